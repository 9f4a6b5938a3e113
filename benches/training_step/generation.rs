//! Greedy generation of a model with adapters: prompts that share no beginning, all in one batch.

use burn::tensor::Device;
use coin::model::generate::{GenerateOptions, generate};
use coin::model::{Llama, WeightFormat};
use serde_json::{Map, Value, json};

use crate::flops;
use crate::options::{self, Options};
use crate::timing::{Timing, object};

/// Tokens after each prompt.
const NEW_TOKENS: usize = 7;

pub fn measure(options: &Options, rows: usize, device: &Device) -> Map<String, Value> {
    let lora = options::lora();
    let format = WeightFormat { dtype: options.dtype, ..WeightFormat::default() };
    let base = Llama::with_format(&options.config(), format, 1, device).unwrap_or_else(|error| panic!("{error}"));
    let model = base.with_lora(&lora, 1).expect("the paper's settings are valid");
    let settings = GenerateOptions {
        max_new_tokens: NEW_TOKENS,
        batch_size: rows,
        memory: None,
        threads: 1,
        eos: Vec::new(),
        hidden: false,
        sampling: None,
    };
    let prompts = |step: usize| -> Vec<Vec<u32>> {
        let prompt = |row| (0..options.seq).map(|at| options::token(row, at, step, options.size.vocab)).collect();
        (0..rows).map(prompt).collect()
    };
    let batches: Vec<Vec<Vec<u32>>> = (0..options.warm_up + options.steps).map(prompts).collect();
    let timing = Timing::of(options, |step| {
        let continuations = generate(&model, &batches[step], &settings, |_, _| false);
        let continuations = continuations.unwrap_or_else(|error| panic!("{error}"));
        assert!(continuations.iter().all(|row| row.ids.len() == NEW_TOKENS), "every row has all its tokens");
    });
    let flops = flops::of_generation(&options.size, lora.rank, rows, options.seq, NEW_TOKENS);
    let mut report = timing.fields(flops, rows * NEW_TOKENS);
    report.append(&mut object(json!({
        "mode": "generation",
        "rows": rows, "seq": options.seq, "new_tokens": NEW_TOKENS, "rank": lora.rank,
    })));
    report
}
