//! `metrics.jsonl`: a line per optimiser step, and one per evaluation on held-out pairs.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// What one optimiser step measured. Losses are in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Optimiser step, counted from 0.
    pub step: usize,
    /// Passes over the data so far, as a fraction, at the end of the step.
    pub epoch: f64,
    /// Learning rate used in this step.
    pub lr: f64,
    /// What was minimised.
    pub loss: f64,
    /// Sum of the two wordings' mean token losses.
    pub loss_generation: f64,
    /// Contrastive loss before lambda; measured under `cit` too.
    pub loss_contrastive: f64,
    /// What of it enters the sum; 0 under `cit`.
    pub loss_contrastive_scaled: f64,
    /// Share of rows whose positive ranks above every unmasked column.
    pub contrastive_accuracy: f64,
    /// Mean cosine of the pairs' two wordings.
    pub similarity_positive: f64,
    /// Mean cosine over unmasked negatives.
    pub similarity_negative: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Pairs in this step.
    pub pairs: usize,
    /// Supervised tokens in this step, both wordings.
    pub supervised_tokens: usize,
    /// Wall-clock seconds of this step.
    pub seconds: f64,
}

/// What an evaluation on the held-out pairs measured. They are contrasted in groups of 32 pairs, in file order, in which
/// columns of the same task and target are masked, as in a step of preset `strict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationMetrics {
    /// Always `validation`.
    pub split: String,
    /// Optimiser steps done before this evaluation.
    pub step: usize,
    /// Sum of the two wordings' mean token losses, over all held-out tokens.
    pub loss_generation: f64,
    /// Contrastive loss before lambda.
    pub loss_contrastive: f64,
    /// Share of rows whose positive ranks above every unmasked column.
    pub contrastive_accuracy: f64,
    /// Share of rows whose positive ranks above the hard negative, the other entry of the couple.
    pub hard_negative_accuracy: f64,
    /// Mean cosine of the pairs' two wordings.
    pub similarity_positive: f64,
    /// Mean cosine over unmasked negatives.
    pub similarity_negative: f64,
    /// Held-out pairs.
    pub pairs: usize,
}

/// The file, written line by line.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    pub(crate) fn create(path: &Path) -> Result<Self, TrainError> {
        Ok(MetricsFile { path: path.to_owned(), file: File::create(path).map_err(TrainError::io(path))? })
    }

    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<(), TrainError> {
        let text = serde_json::to_string(line)
            .map_err(|error| TrainError::Io { path: self.path.clone(), source: error.into() })?;
        writeln!(self.file, "{text}").map_err(TrainError::io(&self.path))
    }
}
