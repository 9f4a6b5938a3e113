//! A training step as `coin train` takes it: objective under preset `paper`, clipping, AdamW.

use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use coin::data::tokenize::TokenRow;
use coin::loss::{CoinLossConfig, Pooling};
use coin::model::{FloatType, Llama, WeightFormat, adapter};
use coin::train::adamw::AdamW;
use coin::train::config::{Objective, Preset};
use coin::train::loss_scale::LossScale;
use coin::train::objective::{PairRow, StepObjective, StepValues};
use coin::train::optimizer::clip_global_norm;
use serde_json::{Map, Value, json};

use crate::flops;
use crate::options::{self, Options};
use crate::timing::{Timing, object};

/// Largest norm of the gradients, and the learning rate: the trainer's defaults.
const MAX_NORM: f64 = 1.0;
const RATE: f64 = 1e-4;

pub fn measure(options: &Options, device: &Device) -> Map<String, Value> {
    let lora = options::lora();
    let format = WeightFormat { dtype: options.dtype, ..WeightFormat::default() };
    let base = Llama::with_format(&options.config(), format, 1, &device.clone().autodiff());
    let base = base.unwrap_or_else(|error| panic!("{error}"));
    let mut model = base.with_lora(&lora, 1).expect("the paper's settings are valid");
    let objective = StepObjective {
        kind: Objective::Coin,
        preset: Preset::Paper,
        loss: CoinLossConfig::new().init().expect("the paper's settings are valid"),
        contrastive_batch: options.pairs,
        pooling: Pooling::Last,
        seed: 1,
        checkpointing: false,
        loss_scale: if options.dtype == FloatType::F16 { LossScale::default().factor } else { 1.0 },
    };
    let mut optimizer = ModuleOptimizer::from(AdamW::default());
    let mut values = Vec::new();
    let steps = options.warm_up + options.steps;
    // Making token ids is outside the clock.
    let batches: Vec<Vec<PairRow>> = (0..steps).map(|step| pairs(options, step)).collect();
    let timing = Timing::of(options, |step| {
        let rows: Vec<&PairRow> = batches[step].iter().collect();
        let (gradients, of_step) =
            objective.step(&model, &rows, rows.len(), step as u64).expect("every row has tokens");
        let (gradients, _) = clip_global_norm(&model, gradients, MAX_NORM);
        model = optimizer.step(RATE, model.clone(), gradients);
        device.sync().expect("the device computes");
        values.push(of_step);
    });
    let tokens = 2 * options.pairs * options.seq;
    let heads = 2 * options.pairs * options.supervised;
    let mut report =
        timing.fields(flops::of_training(&options.size, lora.rank, 2 * options.pairs, options.seq, heads), tokens);
    let StepValues { loss, generation, contrastive, .. } = values[0];
    report.append(&mut object(json!({
        "mode": "training",
        "pairs": options.pairs, "seq": options.seq, "supervised": options.supervised, "rank": lora.rank,
        "trained_parameters": adapter::parameters(&model),
        "first_loss": loss, "first_loss_generation": generation, "first_loss_contrastive": contrastive,
        "last_loss": values[steps - 1].loss,
    })));
    report
}

/// The pairs of a step: the two wordings differ but for the answer.
fn pairs(options: &Options, step: usize) -> Vec<PairRow> {
    let row = |pair: usize, wording: usize| {
        let prompt = options.seq - options.supervised;
        let of = |at: usize| 2 * pair + if at < prompt { wording } else { 0 };
        let ids = (0..options.seq).map(|at| options::token(of(at), at, step, options.size.vocab)).collect();
        TokenRow { ids, prompt, shortened: 0, cut: 0 }
    };
    let pair = |pair: usize| {
        let (original, paraphrase) = (row(pair, 0), row(pair, 1));
        PairRow { original, paraphrase, task: None, target: pair.to_string() }
    };
    (0..options.pairs).map(pair).collect()
}
