//! A short run of a tiny model. No test file uses all of it.
#![allow(dead_code)]

use std::path::Path;

use burn::tensor::Device;
use coin_data::{Pair, pairs};
use coin_model::{FloatType, Llama, LlamaConfig, checkpoint};
use coin_train::{Progress, RunConfig, RunOptions, TrainError, TrainOutcome, Trainer};
use serde_json::{Value, json};

/// Number of words of the tokenizer.
pub const WORDS: usize = 40;

/// Writes a model folder and pairs, and returns the settings of a short run that uses every stateful part.
pub fn prepare(dir: &Path) -> RunConfig {
    let config: LlamaConfig = serde_json::from_value(json!({
        "model_type": "llama", "vocab_size": WORDS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": true, "initializer_range": 0.2,
        "bos_token_id": 1, "eos_token_id": 2,
    }))
    .unwrap();
    let base = dir.join("base");
    checkpoint::save(&Llama::new(&config, 3, &Device::flex()).unwrap(), &base, FloatType::F32).unwrap();
    let vocabulary: serde_json::Map<String, Value> =
        (0..WORDS).map(|id| (if id == 0 { "<unk>".to_owned() } else { format!("w{id}") }, id.into())).collect();
    let tokenizer = json!({
        "version": "1.0", "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    });
    std::fs::write(base.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    write_pairs(&dir.join("pairs.jsonl"), 0);
    let text = format!(
        "out = '{0}/run'\n[model]\npath = '{0}/base'\n[data]\npairs = '{0}/pairs.jsonl'\nmax_tokens = 32\n\
         validation_pairs = 4\n[lora]\nrank = 2\ndropout = 0.2\n[train]\nsteps = 10\nbatch_pairs = 4\n\
         micro_batch_pairs = 2\nlearning_rate = 0.02\nvalidate_every = 3\ncheckpoint_every = 2\nkeep_checkpoints = 2\n",
        dir.display()
    );
    RunConfig::parse(&text, "run.toml", &[]).unwrap()
}

/// Writes pairs of words of the tokenizer. The texts depend on `variant`.
pub fn write_pairs(path: &Path, variant: usize) {
    let pair = |number: usize| {
        let word = |at: usize| format!("w{}", 3 + (number * 7 + at * 5 + variant) % (WORDS - 3));
        serde_json::from_value::<Pair>(json!({
            "original_instruction": format!("{} {} {}", word(0), word(1), word(2)),
            "paraphrased_instruction": format!("{} {} {} {}", word(3), word(1), word(2), word(4)),
            "targets": format!("w{}", 30 + number % 3),
            "task": "cola",
        }))
        .unwrap()
    };
    pairs::write_jsonl(path, &(0..18).map(pair).collect::<Vec<_>>()).unwrap();
}

/// Runs to the end.
pub fn run(
    config: &RunConfig,
    options: RunOptions,
    progress: impl FnMut(&Progress),
) -> Result<TrainOutcome, TrainError> {
    Trainer::new(config.clone(), &Device::flex())?.run(options, progress)
}

/// Returns the settings with another run folder.
pub fn at(config: &RunConfig, name: &str) -> RunConfig {
    RunConfig { out: config.out.with_file_name(name), ..config.clone() }
}

/// Reads the adapters and the lines of the metrics, without the seconds.
pub fn results(out: &Path) -> (Vec<u8>, Vec<u8>, Vec<Value>) {
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    let lines = String::from_utf8(read("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("seconds");
        value
    });
    let lines = lines.collect();
    (read("adapter/adapter_model.safetensors"), read("adapter-best/adapter_model.safetensors"), lines)
}

/// Options to resume without a flag to stop.
pub const RESUME: RunOptions = RunOptions { resume: true, stop: None };
