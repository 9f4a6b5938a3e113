//! The tables of a run file, [`RunConfig`](crate::RunConfig), and the named values of their keys.

use std::path::{Path, PathBuf};

use coin_data::PromptTemplate;
use coin_data::tokenize::Truncation;
use coin_loss::{CoinLossConfig, LossConfig, Pooling};
use coin_model::{FloatType, Quantization};
use serde::{Deserialize, Serialize};

/// The loss that training minimizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// The generation loss only: continual instruction tuning, the paper's baseline.
    Cit,
    /// The generation loss and the contrastive loss.
    #[default]
    Coin,
}

/// The details of the method: the released program's or this project's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainPreset {
    /// The details of the released program, including its quirks: losses per micro-batch, truncation on the right, last batch
    /// dropped.
    Paper,
    /// This project's choice: losses over the effective batch, answers never cut, every pair used.
    #[default]
    Strict,
}

/// `[model]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelTable {
    /// Folder in Hugging Face's layout. The command also accepts a name on the hub.
    pub path: PathBuf,
    /// Folder of the PEFT adapter that training continues. The command also accepts a name on the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
    /// Number type of the frozen weights and of the activations: `f32`, `f16` or `bf16`. Default f32. Adapters and
    /// optimizer state are always f32.
    #[serde(default)]
    pub dtype: FloatType,
    /// Packing of the frozen linear weights: `int8` or `int4`. Default: not packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// Folders of model and adapter if `path` and `adapter` are names on the hub. The caller downloads them.
    #[serde(skip)]
    pub fetched: Option<(PathBuf, Option<PathBuf>)>,
}

impl ModelTable {
    /// Returns the table for the model in the folder `path`, with all defaults.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        ModelTable { path, adapter: None, dtype: FloatType::default(), quantization: None, fetched: None }
    }

    /// Returns the folders of model and adapter.
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
    /// File of pairs: JSON lines, the released CSV, or Parquet, recognized by its extension.
    pub pairs: PathBuf,
    /// True to skip unreadable rows and their partners instead of rejecting the file. Default false.
    #[serde(default)]
    pub skip_bad: bool,
    /// Maximum length of a row in tokens. Default 256 (the released program's).
    #[serde(default = "max_tokens")]
    pub max_tokens: usize,
    /// Number of held-out pairs. Preset `paper` holds out the last ones. Preset `strict` takes whole groups of pairs of the same
    /// instances from the end of the file, at most this many pairs. Default 0; the paper holds out 2,000.
    #[serde(default)]
    pub validation_pairs: usize,
    /// The prompt, with `{instruction}` in place of the pair's text; the rest after it is the response marker.
    /// Default `{instruction}\n\n### Response:\n` (the released program's).
    #[serde(default = "template")]
    pub template: String,
    /// Treatment of longer texts: `keep-answer` cuts the middle of the prompt, `right` cuts the end, `skip` omits the couple, and
    /// `error` fails. Default `keep-answer` (this project's choice), and `right` under preset `paper` (the released program's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation: Option<Truncation>,
    /// True to append the tokenizer's EOS to every target, so that the model learns to produce it. Default false (the released
    /// program's).
    #[serde(default)]
    pub append_eos: bool,
    /// True to shuffle the couples in every epoch. Default true.
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
    /// Returns the table for a file of pairs, with all defaults.
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
    /// Temperature, by which cosine similarities are divided. Default 0.05 (the paper's).
    pub temperature: f64,
    /// Weight of the contrastive term. Default 1000 (the paper's).
    pub lambda: f64,
    /// `last`, `average_all`, `average_first_last` or `max`. Default `last` (the paper's).
    pub pooling: Pooling,
    /// Number of pairs that are contrasted with each other. Default: the effective batch (this project's choice), and the
    /// micro-batch under preset `paper` (the released program's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrastive_batch: Option<usize>,
    /// Losses that are added, `[[objective.terms]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<TermTable>,
}

/// `[[objective.terms]]`: a loss of `coin-loss`, its weight in the sum, and its settings.
///
/// `info_nce`, `siglip` and `supcon` compare the pooled states of the two wordings; columns with the same answer are not negatives.
/// `consistency` compares the distributions that the two wordings predict for the tokens of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TermTable {
    /// Factor of the loss in the sum.
    pub weight: f64,
    /// The loss and its settings. The key `kind` names it.
    #[serde(flatten)]
    pub loss: LossConfig,
}

impl Default for ObjectiveTable {
    fn default() -> Self {
        let paper = CoinLossConfig::new();
        ObjectiveTable {
            kind: Objective::Coin,
            temperature: paper.contrastive.temperature,
            lambda: paper.lambda,
            pooling: Pooling::Last,
            contrastive_batch: None,
            terms: Vec::new(),
        }
    }
}

/// `[train]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainTable {
    /// `paper` or `strict`.
    pub preset: TrainPreset,
    /// Number of pairs per optimizer step. Default 64 (the paper's).
    pub batch_pairs: usize,
    /// Number of pairs per forward and backward pass. Default 2 (the released program's).
    pub micro_batch_pairs: usize,
    /// Gradient checkpointing: keeps only the input of every layer and recomputes the rest in the backward pass, which takes less
    /// memory and a third more time. Default false.
    pub gradient_checkpointing: bool,
    /// Passes over the data. Default 1 (the paper's).
    pub epochs: usize,
    /// Number of optimizer steps. Replaces `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Peak learning rate. Default 1e-4 (the paper's).
    pub learning_rate: f64,
    /// Share of the steps that are warm-up, in which the learning rate rises. Default 0.1 (the paper's).
    pub warmup_ratio: f64,
    /// Global norm to which a step's gradient is clipped. Default 1 (the released program's).
    pub max_grad_norm: f64,
    /// Steps between evaluations of the held-out pairs. 0: only before the first and after the last step. Default: an eighth
    /// of an epoch (the paper's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_every: Option<usize>,
    /// Steps between checkpoints. With 0 there is one only when the run is stopped. Default: an eighth of an epoch (the paper's).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<usize>,
    /// Number of newest checkpoints to keep. Default 3 (the released program's).
    pub keep_checkpoints: usize,
    /// Seed of the initial adapters, the order of the data and dropout. Default 42 (the released program's).
    pub seed: u64,
    /// Device name, such as `cpu`, or several separated by commas for a data-parallel run with one rank per name. Default `cpu`.
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
