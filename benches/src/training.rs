//! A training step as in `coin train`: the objective of preset `paper`, gradient clipping, AdamW.

use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use coin::data::tokenize::{PairRow, TokenRow};
use coin::loss::{CoinLossConfig, Pooling};
use coin::model::{FloatType, Llama, WeightFormat, adapter};
use coin::train::config::{Objective, TrainPreset};
use coin::train::{AdamW, LossScale, StepObjective, StepValues, clip_global_norm};

use crate::decoder::{self, Size};
use crate::{bytes, flops};

/// Maximum gradient norm and learning rate: the trainer's defaults.
const MAX_NORM: f64 = 1.0;
const RATE: f64 = 1e-4;

/// Sizes of a training step.
#[derive(Debug, Clone, Copy)]
pub struct TrainingStep {
    /// The model.
    pub size: Size,
    /// Dtype of the weights.
    pub dtype: FloatType,
    /// Number of pairs, all in one micro-batch.
    pub pairs: usize,
    /// Tokens per row.
    pub seq: usize,
    /// Answer tokens at the end of a row.
    pub supervised: usize,
}

/// A model in training, with the pairs of its steps.
pub struct Training {
    model: Llama,
    objective: StepObjective,
    optimizer: ModuleOptimizer,
    batches: Vec<Vec<PairRow>>,
    device: Device,
}

impl TrainingStep {
    /// Creates a step of `size` in f32 with the default numbers of pairs and tokens.
    pub fn of(size: Size) -> Self {
        TrainingStep { size, dtype: FloatType::F32, pairs: size.pairs, seq: size.seq, supervised: decoder::SUPERVISED }
    }

    /// Floating-point operations of a step.
    pub fn flops(&self) -> f64 {
        flops::of_training(&self.size, decoder::lora().rank, 2 * self.pairs, self.seq, self.supervised)
    }

    /// Bytes that a step must move.
    pub fn bytes(&self) -> f64 {
        bytes::of_training(&self.size)
    }

    /// Number of tokens in a step, both wordings included.
    pub fn tokens(&self) -> usize {
        2 * self.pairs * self.seq
    }

    /// Creates a random model on `device` and token ids for `steps` different steps.
    pub fn prepare(&self, steps: usize, device: &Device) -> Training {
        let format = WeightFormat { dtype: self.dtype, ..WeightFormat::default() };
        let base = Llama::with_format(&self.size.config(self.seq), format, 1, &device.clone().autodiff());
        let base = base.unwrap_or_else(|error| panic!("{error}"));
        let objective = StepObjective {
            kind: Objective::Coin,
            preset: TrainPreset::Paper,
            loss: CoinLossConfig::new().init().expect("the paper's settings are valid"),
            terms: Vec::new(),
            contrastive_batch: self.pairs,
            pooling: Pooling::Last,
            seed: 1,
            gradient_checkpointing: false,
            loss_scale: if self.dtype == FloatType::F16 { LossScale::default().factor } else { 1.0 },
        };
        Training {
            model: base.with_lora(&decoder::lora(), 1).expect("the paper's settings are valid"),
            objective,
            optimizer: ModuleOptimizer::from(AdamW::default()),
            batches: (0..steps).map(|step| self.batch(step)).collect(),
            device: device.clone(),
        }
    }

    /// The pairs of a step: the two wordings share only the answer.
    fn batch(&self, step: usize) -> Vec<PairRow> {
        let row = |pair: usize, wording: usize| {
            let prompt = self.seq - self.supervised;
            let of = |at: usize| 2 * pair + if at < prompt { wording } else { 0 };
            let ids = (0..self.seq).map(|at| decoder::token(of(at), at, step, self.size.vocab)).collect();
            TokenRow { ids, prompt, shortened: 0, cut: 0 }
        };
        let pair = |pair: usize| {
            let (original, paraphrase) = (row(pair, 0), row(pair, 1));
            PairRow { original, paraphrase, task: None, target: pair.to_string() }
        };
        (0..self.pairs).map(pair).collect()
    }
}

impl Training {
    /// Runs a step to completion. After the last batch, the first one is used again.
    pub fn step(&mut self, number: usize) -> StepValues {
        let rows: Vec<&PairRow> = self.batches[number % self.batches.len()].iter().collect();
        let step = self.objective.step(&self.model, &rows, rows.len(), number as u64);
        let (gradients, values) = step.expect("every row has tokens");
        let (gradients, _) = clip_global_norm(&self.model, gradients, MAX_NORM);
        self.model = self.optimizer.step(RATE, self.model.clone(), gradients);
        self.device.sync().expect("the device computes");
        values
    }

    /// Number of trained parameters.
    pub fn trained_parameters(&self) -> usize {
        adapter::parameters(&self.model)
    }
}
