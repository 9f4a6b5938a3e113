//! A run is one TOML file.
//!
//! Keys that are left out take the paper's values where it has them; unknown keys are errors. The resolved
//! configuration is written beside every result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use coin_data::PromptTemplate;
use coin_data::tokenize::{Boundary, Truncation};
use coin_loss::{CoinLossConfig, Pooling};
use coin_model::{FloatType, LoraConfig, Quantization, WeightFormat};
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Bound of numbers of pairs, steps and epochs: more is a slip, and products of two must be numbers.
const MOST: usize = 1_000_000_000;

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
pub enum Preset {
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
    pub pooling: String,
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
            pooling: Pooling::Last.to_string(),
            contrastive_batch: None,
        }
    }
}

/// `[train]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainTable {
    /// `paper` or `strict`.
    pub preset: Preset,
    /// Pairs per optimiser step. Default 64 (the paper's).
    pub batch_pairs: usize,
    /// Pairs whose activations are held at once. Default 2 (the released program's).
    pub micro_batch_pairs: usize,
    /// Keeps only the input of every layer and computes the rest again in the backward pass: less memory, a third more
    /// time. Default no.
    pub checkpointing: bool,
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
            preset: Preset::Strict,
            batch_pairs: 64,
            micro_batch_pairs: 2,
            checkpointing: false,
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

/// A run file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Folder the run writes to.
    pub out: PathBuf,
    /// The model.
    pub model: ModelTable,
    /// The pairs.
    pub data: DataTable,
    /// The adapters; optional where training continues one, with which it must then agree (dropout may differ).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The objective.
    #[serde(default)]
    pub objective: ObjectiveTable,
    /// The loop.
    #[serde(default)]
    pub train: TrainTable,
}

impl RunConfig {
    /// Reads the run file `path` with `overrides` of the form `table.key=value` applied, and checks it.
    ///
    /// # Errors
    /// The file is absent or no TOML, or a key is unknown, missing or outside its domain; the key is named.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// As [`read`](Self::read), from text; `origin` stands for it in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, TrainError> {
        let error = |origin: &str, message: String| TrainError::Config { origin: origin.to_owned(), message };
        let mut table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| error(origin, e.to_string().trim().replace('\n', ", ")))?;
        for change in overrides {
            let origin = format!("--set {change}");
            let Some((key, value)) = change.split_once('=') else {
                return Err(error(&origin, "expected table.key=value".to_owned()));
            };
            // A value that is no TOML is taken as a string, so that quotes are not needed.
            let value = format!("v = {value}")
                .parse::<toml::Table>()
                .ok()
                .and_then(|mut parsed| parsed.remove("v"))
                .unwrap_or_else(|| toml::Value::String(value.to_owned()));
            let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
            let mut place = &mut table;
            for part in path.into_iter().flat_map(|path| path.split('.')) {
                place = place
                    .entry(part)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()))
                    .as_table_mut()
                    .ok_or_else(|| error(&origin, format!("`{part}` is no table")))?;
            }
            place.insert(last.to_owned(), value);
        }
        let config: RunConfig =
            table.try_into().map_err(|e: toml::de::Error| error(origin, e.to_string().trim().replace('\n', ", ")))?;
        config.check(origin)?;
        Ok(config)
    }

    /// Checks every value; `origin` is named in errors.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the key outside its domain.
    pub fn check(&self, origin: &str) -> Result<(), TrainError> {
        let error = |message: String| Err(TrainError::Config { origin: origin.to_owned(), message });
        let train = &self.train;
        if self.out.as_os_str().is_empty() {
            return error("out must name a folder, got an empty text".to_owned());
        }
        for (key, value) in [("batch_pairs", train.batch_pairs), ("micro_batch_pairs", train.micro_batch_pairs)] {
            if value == 0 || value % 2 == 1 {
                return error(format!("train.{key} must be even (whole couples) and positive, got {value}"));
            }
        }
        if !train.batch_pairs.is_multiple_of(train.micro_batch_pairs) {
            return error(format!(
                "train.batch_pairs ({}) must be a multiple of train.micro_batch_pairs ({})",
                train.batch_pairs, train.micro_batch_pairs
            ));
        }
        if self.data.validation_pairs % 2 == 1 {
            return error(format!("data.validation_pairs must be even, got {}", self.data.validation_pairs));
        }
        if self.data.max_tokens < 8 {
            return error(format!("data.max_tokens must be at least 8, got {}", self.data.max_tokens));
        }
        for (key, value) in [
            ("train.batch_pairs", train.batch_pairs),
            ("train.epochs", train.epochs),
            ("train.steps", train.steps.unwrap_or(1)),
            ("data.validation_pairs", self.data.validation_pairs),
        ] {
            if value > MOST {
                return error(format!("{key} must be at most {MOST}, got {value}"));
            }
        }
        if train.epochs == 0 && train.steps.is_none() || train.steps == Some(0) {
            return error("train.epochs or train.steps must be at least 1".to_owned());
        }
        // Losses and gradients are f32.
        if !is_positive_f32(train.learning_rate) {
            return error(format!("train.learning_rate must be positive and an f32, got {}", train.learning_rate));
        }
        if !(0.0..1.0).contains(&train.warmup_ratio) {
            return error(format!("train.warmup_ratio must be in [0, 1), got {}", train.warmup_ratio));
        }
        if !is_positive_f32(train.max_grad_norm) && train.max_grad_norm != f64::INFINITY {
            return error(format!(
                "train.max_grad_norm must be positive and an f32, or inf, got {}",
                train.max_grad_norm
            ));
        }
        if train.keep_checkpoints == 0 {
            return error("train.keep_checkpoints must be at least 1, got 0".to_owned());
        }
        if let Some(pairs) = self.objective.contrastive_batch {
            let (bound, of) = match train.preset {
                Preset::Paper => (train.micro_batch_pairs, "micro_batch_pairs, within which preset paper contrasts"),
                Preset::Strict => (train.batch_pairs, "batch_pairs"),
            };
            if pairs == 0 || pairs % 2 == 1 || !bound.is_multiple_of(pairs) {
                return error(format!(
                    "objective.contrastive_batch must be even (whole couples) and divide train.{of}: {bound}, got {pairs}"
                ));
            }
        }
        self.template()?;
        self.loss().init()?;
        self.pooling()?;
        if let Some(lora) = &self.lora {
            lora.check()?;
        }
        Ok(())
    }

    /// The keys whose values differ from those of another resolved configuration, `other`, with both values. Keys that
    /// change nothing in the result but rounding are left out: how often and how many checkpoints are kept, where the run
    /// writes, on which devices it computes, whether activations are computed again, and under preset `strict` the size of
    /// micro-batches. So a run that met a device's limits goes on within them, or elsewhere.
    ///
    /// # Errors
    /// One of the two is no TOML.
    pub fn changes(&self, other: &str) -> Result<Vec<String>, TrainError> {
        let wrong = |message: String| TrainError::Config { origin: "resolved configuration".to_owned(), message };
        let ours = toml::Table::try_from(self).map_err(|error| wrong(error.to_string()))?;
        let theirs: toml::Table = other.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        let (ours, theirs) = (flat(&ours), flat(&theirs));
        let mut free =
            vec!["out", "train.checkpoint_every", "train.keep_checkpoints", "train.checkpointing", "train.device"];
        if self.train.preset == Preset::Strict {
            free.push("train.micro_batch_pairs");
        }
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differing =
            keys.into_iter().filter(|key| !free.contains(&key.as_str()) && ours.get(*key) != theirs.get(*key));
        let say = |value: Option<&String>| value.cloned().unwrap_or_else(|| "not set".to_owned());
        Ok(differing.map(|key| format!("{key} ({} -> {})", say(theirs.get(key)), say(ours.get(key)))).collect())
    }

    /// How the model's weights are kept.
    pub fn weight_format(&self) -> WeightFormat {
        WeightFormat { dtype: self.model.dtype, quantization: self.model.quantization }
    }

    /// The contrastive objective's settings.
    pub(crate) fn loss(&self) -> CoinLossConfig {
        CoinLossConfig::new().with_temperature(self.objective.temperature).with_lambda(self.objective.lambda)
    }

    /// The pooling.
    ///
    /// # Errors
    /// The name is not known.
    pub(crate) fn pooling(&self) -> Result<Pooling, TrainError> {
        Ok(self.objective.pooling.parse()?)
    }

    /// Pairs that are contrasted with each other.
    pub(crate) fn contrastive_batch(&self) -> usize {
        self.objective.contrastive_batch.unwrap_or(match self.train.preset {
            Preset::Paper => self.train.micro_batch_pairs,
            Preset::Strict => self.train.batch_pairs,
        })
    }

    /// The template of the prompts.
    ///
    /// # Errors
    /// The instruction's place is missing or stands twice.
    pub(crate) fn template(&self) -> Result<PromptTemplate, TrainError> {
        Ok(self.data.template.parse()?)
    }

    /// What happens to rows that are too long.
    pub(crate) fn truncation(&self) -> Truncation {
        self.data.truncation.unwrap_or(match self.train.preset {
            Preset::Paper => Truncation::Right,
            Preset::Strict => Truncation::KeepAnswer,
        })
    }

    /// Where supervision begins.
    pub(crate) fn boundary(&self) -> Boundary {
        match self.train.preset {
            Preset::Paper => Boundary::PromptAlone,
            Preset::Strict => Boundary::Offsets,
        }
    }
}

/// Whether a value is positive and neither 0 nor infinite as an f32, which is what gradients are.
fn is_positive_f32(value: f64) -> bool {
    (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&value)
}

/// The values of a table by dotted key.
fn flat(table: &toml::Table) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                out.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            // Of modules and layers the order has no meaning.
            toml::Value::Array(items) if ["target_modules", "layers"].contains(&key.as_str()) => {
                let items: BTreeSet<String> = items.iter().map(ToString::to_string).collect();
                out.insert(key.clone(), format!("[{}]", Vec::from_iter(items).join(", ")));
            }
            value => {
                out.insert(key.clone(), value.to_string());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "out = 'run'\n[model]\npath = 'base'\n[data]\npairs = 'pairs.jsonl'\n";

    fn message(text: &str, set: &[&str]) -> String {
        let overrides: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
        RunConfig::parse(text, "run.toml", &overrides).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_the_papers_and_overrides_apply() {
        let config = RunConfig::parse(RUN, "run.toml", &["train.seed=7".into(), "objective.kind=cit".into()]).unwrap();
        assert_eq!((config.train.seed, config.objective.kind), (7, Objective::Cit));
        assert_eq!((config.objective.temperature, config.objective.lambda), (0.05, 1000.0));
        let text = toml::to_string(&config).unwrap();
        assert_eq!(RunConfig::parse(&text, "resolved", &[]).unwrap(), config);
    }

    #[test]
    fn modules_and_layers_are_compared_without_their_order() {
        let lora = |modules: &str| {
            let text = format!("{RUN}[lora]\ntarget_modules = {modules}\nlayers = [1, 0]\n");
            RunConfig::parse(&text, "run.toml", &[]).unwrap()
        };
        let config = lora("['v_proj', 'q_proj']");
        let other = toml::to_string(&lora("['q_proj', 'v_proj', 'q_proj']")).unwrap();
        assert_eq!(config.changes(&other).unwrap(), Vec::<String>::new());
        let other = toml::to_string(&lora("['q_proj']")).unwrap();
        let changed = config.changes(&other).unwrap();
        assert_eq!(changed, [r#"lora.target_modules (["q_proj"] -> ["q_proj", "v_proj"])"#]);
    }

    #[test]
    fn bad_values_are_named() {
        assert!(message(&RUN.replace("pairs =", "pears ="), &[]).contains("pears"));
        assert!(message(RUN, &["objective.temperature=0"]).contains("temperature"));
        assert!(message(RUN, &["train.batch_pairs=3"]).contains("batch_pairs"));
        assert!(message(RUN, &["objective.pooling=mean"]).contains("`mean`"));
        assert!(message(RUN, &["train.batch_pairs"]).contains("table.key=value"));
        assert!(message(RUN, &["out.x=1"]).contains("`out` is no table"));
        assert!(message(RUN, &["out="]).contains("out must name a folder"));
        assert!(message(RUN, &["train.epochs=1000000000000"]).contains("train.epochs must be at most"));
        assert!(message(RUN, &["train.steps=9000000000000000000"]).contains("train.steps must be at most"));
        assert!(message(RUN, &["train.batch_pairs=9000000000000000000"]).contains("train.batch_pairs must be at most"));
        assert!(message(RUN, &["data.validation_pairs=9000000000000000000"]).contains("data.validation_pairs must be"));
        assert!(message(RUN, &["lora.rank=1000000000"]).contains("lora rank must be at most 65536"));
        for key in ["objective.lambda", "objective.temperature", "train.learning_rate", "lora.alpha"] {
            for value in ["1e300", "inf", "nan"] {
                let message = message(RUN, &[&format!("{key}={value}")]);
                assert!(message.contains(key.split('.').next_back().unwrap()), "{key} {value}: {message}");
            }
        }
        // Within f64 and beyond f32 a value would act as 0.
        for key in ["objective.temperature", "train.learning_rate", "train.max_grad_norm", "lora.alpha"] {
            for value in ["1e-300", "0", "-1"] {
                let message = message(RUN, &[&format!("{key}={value}")]);
                assert!(message.contains(key.split('.').next_back().unwrap()), "{key} {value}: {message}");
            }
        }
    }
}
