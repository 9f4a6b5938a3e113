//! The run file: all settings of a run in TOML.
//!
//! Omitted keys take the paper's values, where it gives them. Unknown keys are errors. The resolved configuration is written
//! next to every result.

mod changes;
mod check;

use std::path::{Path, PathBuf};

use coin_core::quote::cut;
use coin_data::PromptTemplate;
use coin_data::tokenize::{Boundary, Truncation};
use coin_loss::CoinLossConfig;
use coin_model::{LoraConfig, WeightFormat};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::config::{DataTable, ModelTable, ObjectiveTable, TrainPreset, TrainTable};
use crate::step::Term;

/// Keys with a new name: the table, the old name and the new one.
const RENAMED: [(&str, &str, &str); 1] = [("train", "checkpointing", "gradient_checkpointing")];

/// Maximum number of characters of a TOML error message that is shown in full. Lists of expected keys are shorter.
const MOST_QUOTED: usize = 1_000;

/// A run file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The run folder, to which the run writes.
    pub out: PathBuf,
    /// The model.
    pub model: ModelTable,
    /// The pairs.
    pub data: DataTable,
    /// The adapters. If training continues an adapter, the table is optional and must agree with it, except for dropout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The objective.
    #[serde(default)]
    pub objective: ObjectiveTable,
    /// The training loop.
    #[serde(default)]
    pub train: TrainTable,
}

impl RunConfig {
    /// Reads the run file `path`, applies `overrides` of the form `table.key=value`, and checks every value.
    ///
    /// # Errors
    /// The file does not exist or is not TOML, or a key is unknown, missing or out of range. The message names the key.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// Parses a run file from text, like [`read`](Self::read). Errors name it `origin`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, TrainError> {
        let error = |origin: &str, message: String| TrainError::Config { origin: origin.to_owned(), message };
        let mut table: toml::Table = text.parse().map_err(|e| error(origin, fault(&e, text)))?;
        for change in overrides {
            let origin = format!("--set {}", cut(change));
            let Some((key, value)) = change.split_once('=') else {
                return Err(error(&origin, "expected table.key=value".to_owned()));
            };
            // A value that is not TOML is a string, so that quotes are not needed.
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
                    .ok_or_else(|| error(&origin, format!("`{}` is not a table", cut(part))))?;
            }
            place.insert(last.to_owned(), value);
        }
        for (name, old, new) in RENAMED {
            if table.get(name).is_some_and(|inner| inner.get(old).is_some()) {
                return Err(error(origin, format!("unknown field `{old}` in [{name}]: it is now `{new}`")));
            }
        }
        let config: RunConfig = table.try_into().map_err(|e| error(origin, fault(&e, text)))?;
        config.check(origin)?;
        Ok(config)
    }

    /// Returns the format of the model's weights in memory.
    pub(crate) fn weight_format(&self) -> WeightFormat {
        WeightFormat { dtype: self.model.dtype, quantization: self.model.quantization }
    }

    /// Returns the settings of the loss.
    pub(crate) fn loss(&self) -> CoinLossConfig {
        CoinLossConfig::new().with_temperature(self.objective.temperature).with_lambda(self.objective.lambda)
    }

    /// Returns the added terms.
    ///
    /// # Errors
    /// A weight is negative or not finite, a setting is out of range, or the loss needs more than two wordings.
    pub(crate) fn terms(&self) -> Result<Vec<Term>, TrainError> {
        self.objective.terms.iter().map(Term::new).collect()
    }

    /// Returns the number of pairs that are contrasted with each other.
    pub(crate) fn contrastive_batch(&self) -> usize {
        self.objective.contrastive_batch.unwrap_or(match self.train.preset {
            TrainPreset::Paper => self.train.micro_batch_pairs,
            TrainPreset::Strict => self.train.batch_pairs,
        })
    }

    /// Returns the prompt template.
    ///
    /// # Errors
    /// `{instruction}` is missing or occurs twice.
    pub(crate) fn template(&self) -> Result<PromptTemplate, TrainError> {
        Ok(self.data.template.parse()?)
    }

    /// Returns the treatment of rows that are too long.
    pub(crate) fn truncation(&self) -> Truncation {
        self.data.truncation.unwrap_or(match self.train.preset {
            TrainPreset::Paper => Truncation::Right,
            TrainPreset::Strict => Truncation::KeepAnswer,
        })
    }

    /// Returns the rule for the first supervised token.
    pub(crate) fn boundary(&self) -> Boundary {
        match self.train.preset {
            TrainPreset::Paper => Boundary::PromptAlone,
            TrainPreset::Strict => Boundary::Offsets,
        }
    }
}

/// Returns the message of `error` on one line. A message that quotes long input is cut; the place in `text` and the error remain.
fn fault(error: &toml::de::Error, text: &str) -> String {
    let whole = error.to_string().trim().replace('\n', ", ");
    match (whole.chars().nth(MOST_QUOTED), error.span().and_then(|span| text.get(..span.start))) {
        (None, _) => whole,
        (Some(_), Some(before)) => {
            let line = before.matches('\n').count() + 1;
            format!("TOML parse error at line {line}: {}", cut(error.message()))
        }
        (Some(_), None) => cut(error.message()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Objective;

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
    fn long_input_is_cut_in_messages() {
        let long = "x".repeat(1_000_000);
        let messages = [
            message(&format!("{RUN}[train]\n{long} = 1\n"), &[]),
            message(&format!("{RUN}[train]\nseed = '{long}'\n"), &[]),
            message(&format!("{RUN}[train]\nseed = {long}\n"), &[]),
            message(&format!("{RUN}{long}"), &[]),
            message(&format!("{RUN}[{long}]\n[{long}]\n"), &[]),
            message(&format!("{RUN}[objective]\nkind = '{long}'\n"), &[]),
            message(RUN, &[&long]),
            message(RUN, &[&format!("out.{long}=1")]),
            message(RUN, &[&format!("train.seed={long}")]),
        ];
        for message in messages {
            assert!(message.len() < 2_000, "{}: {}", message.len(), &message[..300]);
        }
        let message = message(&format!("{RUN}seed = {long}\n"), &[]);
        assert!(message.starts_with("run.toml: TOML parse error at line 6: "), "{message}");
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
    fn a_renamed_key_is_rejected_with_its_new_name_and_earlier_runs_still_match() {
        let message = message(RUN, &["train.checkpointing=true"]);
        assert!(message.contains("unknown field `checkpointing`") && message.contains("`gradient_checkpointing`"));
        let config = RunConfig::parse(RUN, "run.toml", &["train.gradient_checkpointing=true".into()]).unwrap();
        let earlier = toml::to_string(&config).unwrap().replace("gradient_checkpointing", "checkpointing");
        assert_eq!(config.changes(&earlier).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn terms_are_named_losses_with_their_settings() {
        let term = |text: &str| format!("{RUN}[[objective.terms]]\n{text}\n");
        let text = term("kind = 'consistency'\nweight = 0.5\ndivergence = 'kl_from_first'");
        let config = RunConfig::parse(&text, "run.toml", &[]).unwrap();
        assert_eq!((config.objective.terms.len(), config.objective.terms[0].weight), (1, 0.5));
        assert_eq!(RunConfig::parse(&toml::to_string(&config).unwrap(), "resolved", &[]).unwrap(), config);
        for (text, expected) in [
            ("kind = 'triplet'\nweight = 1", "expected one of `info_nce`"),
            ("kind = 'info_nce'\nweight = 1\ntemprature = 0.1", "temprature"),
            ("kind = 'info_nce'\nweight = 1\ntemperature = 0", "temperature must be positive"),
            ("kind = 'supcon'\nweight = -1", "the weight of `supcon` must be from 0"),
            ("kind = 'supcon'\nweight = inf", "the weight of `supcon` must be from 0"),
            ("kind = 'cosent'\nweight = 1", "`cosent` needs scores"),
            ("kind = 'supcon'", "weight"),
        ] {
            let message = message(&term(text), &[]);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn bad_values_are_named() {
        assert!(message(&RUN.replace("pairs =", "pears ="), &[]).contains("pears"));
        assert!(message(RUN, &["objective.temperature=0"]).contains("temperature"));
        assert!(message(RUN, &["train.batch_pairs=3"]).contains("batch_pairs"));
        assert!(message(RUN, &["objective.pooling=mean"]).contains("`mean`"));
        assert!(message(RUN, &["train.batch_pairs"]).contains("table.key=value"));
        assert!(message(RUN, &["out.x=1"]).contains("`out` is not a table"));
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
        // A value that is positive in f64 but 0 in f32.
        for key in ["objective.temperature", "train.learning_rate", "train.max_grad_norm", "lora.alpha"] {
            for value in ["1e-300", "0", "-1"] {
                let message = message(RUN, &[&format!("{key}={value}")]);
                assert!(message.contains(key.split('.').next_back().unwrap()), "{key} {value}: {message}");
            }
        }
    }
}
