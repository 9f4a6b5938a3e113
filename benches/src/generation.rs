//! Greedy generation with a random model and merged adapters. The prompts form one batch and do not share a prefix.

use burn::tensor::Device;
use coin::model::generate::{GenerateOptions, generate};
use coin::model::{FloatType, Llama, WeightFormat, adapter};

use crate::decoder::{self, Size};
use crate::{bytes, flops};

/// Tokens generated per prompt.
pub const NEW_TOKENS: usize = 7;

/// A generation workload.
#[derive(Debug, Clone, Copy)]
pub struct Generation {
    /// The model.
    pub size: Size,
    /// Dtype of the weights.
    pub dtype: FloatType,
    /// Number of prompts.
    pub rows: usize,
    /// Tokens per prompt.
    pub seq: usize,
}

/// A model and its prompts.
#[derive(Debug)]
pub struct Generator {
    model: Llama,
    settings: GenerateOptions,
    batches: Vec<Vec<Vec<u32>>>,
}

impl Generation {
    /// Floating-point operations for all prompts.
    pub fn flops(&self) -> f64 {
        flops::of_generation(&self.size, 0, self.rows, self.seq, NEW_TOKENS)
    }

    /// Bytes that must be moved for all prompts.
    pub fn bytes(&self) -> f64 {
        bytes::of_generation(&self.size, NEW_TOKENS)
    }

    /// Creates a random model on `device` and `steps` different batches of prompts.
    pub fn prepare(&self, steps: usize, device: &Device) -> Generator {
        let format = WeightFormat { dtype: self.dtype, ..WeightFormat::default() };
        let base = Llama::with_format(&self.size.config(self.seq), format, 1, device);
        let base = base.unwrap_or_else(|error| panic!("{error}"));
        let adapted = base.with_lora(&decoder::lora(), 1).expect("the paper's settings are valid");
        let settings = GenerateOptions {
            max_new_tokens: NEW_TOKENS,
            batch_size: self.rows,
            memory: None,
            threads: 1,
            eos: Vec::new(),
            hidden: false,
            sampling: None,
        };
        let prompt = |row, step| (0..self.seq).map(|at| decoder::token(row, at, step, self.size.vocab)).collect();
        Generator {
            model: adapter::set_merged(adapted, true),
            settings,
            batches: (0..steps).map(|step| (0..self.rows).map(|row| prompt(row, step)).collect()).collect(),
        }
    }
}

impl Generator {
    /// Generates for one batch and waits for the result. After the last batch, the first one is used again.
    pub fn step(&self, number: usize) {
        let prompts = &self.batches[number % self.batches.len()];
        let continuations = generate(&self.model, prompts, &self.settings, |_, _| false);
        let continuations = continuations.unwrap_or_else(|error| panic!("{error}"));
        assert!(continuations.iter().all(|row| row.ids.len() == NEW_TOKENS), "every row has all its tokens");
    }
}
