//! The tables of a run file, [`RunConfig`](crate::RunConfig), and the names that their keys take.

use std::path::{Path, PathBuf};

use coin_data::PromptTemplate;
use coin_data::tokenize::Truncation;
use coin_loss::{CoinLossConfig, Pooling};
use coin_model::{FloatType, Quantization};
use serde::{Deserialize, Serialize};

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// The generation loss alone: continual instruction tuning, the paper's baseline.
    Cit,
    /// Generation loss and contrastive loss.
    #[default]
    Coin,
}

/// Whose details are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainPreset {
    /// The released program's, quirks included: losses per micro-batch, truncation on the right, last batch dropped.
    Paper,
    /// Ours: losses over the effective batch, answers never cut, every pair used.
    #[default]
    Strict,
}

/// `[model]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTable {
    /// Folder in Hugging Face's layout; the command also takes a name on the hub.
    pub path: PathBuf,
    /// PEFT adapter that training continues: a folder, or for the command a name on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
    /// Number type of the frozen weights and of the activations: `f32`, `f16` or `bf16`. Default f32. Adapters and
    /// optimiser state are f32 always.
    #[serde(default)]
    pub dtype: FloatType,
    /// Packs the frozen linear weights: `int8` or `int4`. Default not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// Where the files of `path` and `adapter` lie if these are names on the hub; the caller fetches them.
    #[serde(skip)]
    pub fetched: Option<(PathBuf, Option<PathBuf>)>,
}

impl ModelTable {
    /// The model in the folder `path`, with every default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        ModelTable { path, adapter: None, dtype: FloatType::default(), quantization: None, fetched: None }
    }

    /// The folders of model and adapter.
    pub(crate) fn folders(&self) -> (&Path, Option<&Path>) {
        match &self.fetched {
            Some((model, adapter)) => (model, adapter.as_deref()),
            None => (&self.path, self.adapter.as_deref()),
        }
    }
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataTable {
    /// Pairs: JSON lines, the released CSV, or Parquet, by the file's ending.
    pub pairs: PathBuf,
    /// Leaves out rows that cannot be read, with their partners, instead of refusing the file. Default no.
    #[serde(default)]
    pub skip_bad: bool,
    /// Longest row, in tokens. Default 256 (the released program's).
    #[serde(default = "max_tokens")]
    pub max_tokens: usize,
    /// So many pairs are held out: under preset `paper` the last ones, under `strict` at most so many, in whole groups of pairs of
    /// the same instances, from the end of the file. Default 0; the paper holds out 2,000.
    #[serde(default)]
    pub validation_pairs: usize,
    /// The text given to the model, with `{instruction}` for the pair's text; what follows it is the response marker.
    /// Default `{instruction}\n\n### Response:\n` (the released program's).
    #[serde(default = "template")]
    pub template: String,
    /// What happens to texts that are longer: `keep-answer` cuts the prompt's middle, `right` cuts the end, `skip` leaves the
    /// couple out, `error` refuses. Default `keep-answer` (ours), under preset `paper` `right` (the released program's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation: Option<Truncation>,
    /// Puts the tokenizer's EOS after every target, where it is learned as the last token. Default no (the released program's).
    #[serde(default)]
    pub append_eos: bool,
    /// Whether the couples of an epoch are shuffled. Default yes.
    #[serde(default = "yes")]
    pub shuffle: bool,
}

fn template() -> String {
    PromptTemplate::default().to_string()
}

fn yes() -> bool {
    true
}

fn max_tokens() -> usize {
    256
}

impl DataTable {
    /// The pairs of a file, with every default.
    pub fn new(pairs: impl Into<PathBuf>) -> Self {
        DataTable {
            pairs: pairs.into(),
            skip_bad: false,
            max_tokens: max_tokens(),
            validation_pairs: 0,
            template: template(),
            truncation: None,
            append_eos: false,
            shuffle: true,
        }
    }
}

/// `[objective]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveTable {
    /// `cit` or `coin`.
    pub kind: Objective,
    /// Divides cosine similarities. Default 0.05 (the paper's).
    pub temperature: f64,
    /// Weight of the contrastive term. Default 1000 (the paper's).
    pub lambda: f64,
    /// `last`, `average_all`, `average_first_last` or `max`. Default `last` (the paper's).
    pub pooling: Pooling,
    /// Pairs that are contrasted with each other. Default: the effective batch (ours), under preset `paper` the
    /// micro-batch (the released program's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrastive_batch: Option<usize>,
}

impl Default for ObjectiveTable {
    fn default() -> Self {
        let paper = CoinLossConfig::new();
        ObjectiveTable {
            kind: Objective::Coin,
            temperature: paper.temperature,
            lambda: paper.lambda,
            pooling: Pooling::Last,
            contrastive_batch: None,
        }
    }
}

/// `[train]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainTable {
    /// `paper` or `strict`.
    pub preset: TrainPreset,
    /// Pairs per optimiser step. Default 64 (the paper's).
    pub batch_pairs: usize,
    /// Pairs whose activations are held at once. Default 2 (the released program's).
    pub micro_batch_pairs: usize,
    /// Keeps only the input of every layer and computes the rest again in the backward pass: less memory, a third more
    /// time. Default no.
    pub gradient_checkpointing: bool,
    /// Passes over the data. Default 1 (the paper's).
    pub epochs: usize,
    /// Optimiser steps, in place of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Peak learning rate. Default 1e-4 (the paper's).
    pub learning_rate: f64,
    /// Share of the steps in which the rate rises. Default 0.1 (the paper's).
    pub warmup_ratio: f64,
    /// Largest global norm of a step's gradient. Default 1 (the released program's).
    pub max_grad_norm: f64,
    /// Steps between evaluations on the held-out pairs; 0 = before the first and after the last only. Default: an eighth
    /// of an epoch (the paper's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_every: Option<usize>,
    /// Steps between checkpoints; 0 = none but where the run is stopped. Default: an eighth of an epoch (the paper's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<usize>,
    /// Checkpoints that are kept, the newest. Default 3 (the released program's).
    pub keep_checkpoints: usize,
    /// Seed of adapters, order and dropout. Default 42 (the released program's).
    pub seed: u64,
    /// Device name, such as `cpu`; or several, separated by commas, for a data-parallel run with a rank on each.
    pub device: String,
}

impl Default for TrainTable {
    fn default() -> Self {
        TrainTable {
            preset: TrainPreset::Strict,
            batch_pairs: 64,
            micro_batch_pairs: 2,
            gradient_checkpointing: false,
            epochs: 1,
            steps: None,
            learning_rate: 1e-4,
            warmup_ratio: 0.1,
            max_grad_norm: 1.0,
            validate_every: None,
            checkpoint_every: None,
            keep_checkpoints: 3,
            seed: 42,
            device: "cpu".to_owned(),
        }
    }
}
