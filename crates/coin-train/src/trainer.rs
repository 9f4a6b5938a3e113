//! Reads and checks a run's configuration, model and pairs before it starts.

use std::sync::Arc;

use burn::tensor::Device;
use coin_data::tokenize::{PairRow, TokenRow, TokenizeOptions, TokenizedPairs, tokenize_pairs};
use coin_data::{Pair, ReadOptions, pairs};
use coin_model::{Llama, LoraConfig, TextTokenizer, adapter, checkpoint};

use crate::checkpoint::RunState;
use crate::config::TrainPreset;
use crate::optimizer::LossScale;
use crate::split::hold_out;
use crate::{RunConfig, TrainError, adapter_settings, fingerprint};

/// Numbers of texts that exceed `data.max_tokens`, by their treatment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TruncationCounts {
    /// Texts whose prompt was cut in the middle.
    pub shortened: usize,
    /// Texts whose target was cut on the right.
    pub cut: usize,
    /// Omitted pairs, including their partners.
    pub skipped: usize,
}

/// A run that is ready to start: its inputs are read and checked.
#[derive(Debug, Clone)]
pub struct Trainer {
    config: RunConfig,
    lora: LoraConfig,
    model: Llama,
    train: Arc<[PairRow]>,
    validation: Arc<[PairRow]>,
    warnings: Vec<String>,
    changed: TruncationCounts,
    data_hash: String,
    model_hash: String,
}

impl Trainer {
    /// Reads the model, adapter, tokenizer and pairs of `config`. The run computes on `device`, given without autodiff.
    ///
    /// # Errors
    /// A file is missing or damaged, there are too few pairs for one batch, or `[lora]` disagrees with the adapter.
    pub fn new(config: RunConfig, device: &Device) -> Result<Self, TrainError> {
        let folder = config.model.folders().0.to_owned();
        let loaded = checkpoint::load(&folder, config.weight_format(), &device.clone().autodiff())?;
        let tokenizer = TextTokenizer::read(&folder, loaded.model.config())?;
        let (all, read) = pairs::read_with(&config.data.pairs, &ReadOptions { skip_bad: config.data.skip_bad })?;
        let mut warnings: Vec<String> = loaded.warnings().collect();
        if let Some((line, why)) = read.skipped.first() {
            let path = config.data.pairs.display();
            warnings.push(format!("{path}: {} rows left out, the first at {line}: {why}", read.skipped_count));
        }
        let mut trainer = Self::from_parts(config, loaded.model, &tokenizer, all)?;
        let (folder, adapter) = trainer.config.model.folders();
        let model_hash = coin_core::model_files::fingerprint(folder, adapter, "")?;
        warnings.append(&mut trainer.warnings);
        Ok(Trainer { warnings, model_hash, ..trainer })
    }

    /// Builds a trainer from a model on an autodiff device and pairs in memory. Errors name them by the paths of `config`.
    fn from_parts(
        mut config: RunConfig,
        model: Llama,
        tokenizer: &TextTokenizer,
        pairs: Vec<Pair>,
    ) -> Result<Self, TrainError> {
        let wrong = |message: String| TrainError::Config { origin: "configuration".to_owned(), message };
        let (model, lora) = match config.model.folders().1 {
            Some(dir) => {
                let of_adapter = adapter::read_config(dir)?;
                let lora = config.lora.clone().unwrap_or_else(|| of_adapter.clone());
                let differences = adapter_settings::differences(&lora, &of_adapter, model.config().num_hidden_layers)?;
                if !differences.is_empty() {
                    let differences = differences.join("; ");
                    return Err(wrong(format!(
                        "[lora] disagrees with the adapter in {}: {differences}. Change these keys, or leave [lora] out",
                        dir.display()
                    )));
                }
                (adapter::load(model, dir)?.with_dropout(lora.dropout), lora)
            }
            None => {
                let lora = config.lora.clone().unwrap_or_default();
                (model.with_lora(&lora, config.train.seed)?, lora)
            }
        };
        let held_out = config.data.validation_pairs;
        let batch = config.train.batch_pairs;
        if pairs.len() < held_out.saturating_add(batch) {
            return Err(wrong(format!(
                "{} contains {} pairs, too few to hold out {held_out} and train on a batch of {batch}",
                config.data.pairs.display(),
                pairs.len()
            )));
        }
        let limit = model.config().max_position_embeddings;
        if config.data.max_tokens > limit {
            return Err(wrong(format!(
                "data.max_tokens is {}, but the model has {limit} positions",
                config.data.max_tokens
            )));
        }
        let eos = match config.data.append_eos {
            true => Some(tokenizer.end().ok_or_else(|| {
                let folder = config.model.folders().0.display();
                wrong(format!(
                    "data.append_eos needs a tokenizer with an EOS token; the one in {folder} does not have it"
                ))
            })?),
            false => None,
        };
        let options = TokenizeOptions {
            bos: tokenizer.bos(),
            eos,
            max_tokens: config.data.max_tokens,
            truncation: config.truncation(),
            boundary: config.boundary(),
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let tokenized = tokenize_pairs(&options, tokenizer.inner(), &config.template()?, &pairs, threads);
        let TokenizedPairs { rows, shortened, cut, skipped, places } = tokenized.map_err(|error| {
            TrainError::Config { origin: config.data.pairs.display().to_string(), message: error.to_string() }
        })?;
        check_ids(&rows, model.config().vocab_size).map_err(wrong)?;
        if rows.len() < held_out + batch {
            return Err(wrong(format!(
                "{skipped} pairs are too long and left out; the other {} are too few",
                rows.len()
            )));
        }
        let kept: Vec<&Pair> = places.iter().map(|&place| &pairs[place]).collect();
        let (split, mut warnings) = hold_out(&kept, &config);
        if split.training.len() < batch {
            return Err(wrong(format!(
                "{} pairs are left to train on, fewer than a batch of {batch}: {held_out} of {} are held out, together with the \
                 other pairs of their instances",
                split.training.len(),
                rows.len()
            )));
        }
        if held_out > 0 && split.validation.is_empty() {
            let pairs = config.data.pairs.display();
            return Err(wrong(format!(
                "{pairs}: cannot hold out {held_out} pairs without other pairs of their instances"
            )));
        }
        if eos.is_some() && cut > 0 {
            warnings.push(format!("the end of the answer is cut in {cut} texts, including the EOS of data.append_eos"));
        }
        let mut rows: Vec<Option<PairRow>> = rows.into_iter().map(Some).collect();
        let mut take = |places: &[usize]| places.iter().filter_map(|&place| rows[place].take()).collect::<Vec<_>>();
        let (train, validation) = (take(&split.training), take(&split.validation));
        config.lora = Some(lora.clone());
        // An eighth of an epoch, rounded as in the released program.
        let eighth = train.len().div_ceil(batch).div_ceil(8);
        config.train.validate_every.get_or_insert(eighth);
        config.train.checkpoint_every.get_or_insert(eighth);
        let data_hash = fingerprint::of_pairs(&pairs);
        Ok(Trainer {
            config,
            lora,
            model,
            train: train.into(),
            validation: validation.into(),
            warnings,
            changed: TruncationCounts { shortened, cut, skipped },
            data_hash,
            model_hash: String::new(),
        })
    }

    /// Returns the numbers of texts that are longer than `data.max_tokens`.
    pub fn changed(&self) -> TruncationCounts {
        self.changed
    }

    /// Returns warnings about the weights and the held-out pairs.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(crate) fn with_model(self, model: Llama) -> Self {
        Trainer { model, ..self }
    }

    /// Returns the training pairs in file order.
    pub(crate) fn training(&self) -> &[PairRow] {
        &self.train
    }

    /// Returns the held-out pairs.
    pub(crate) fn validation(&self) -> &[PairRow] {
        &self.validation
    }

    /// Returns the settings of the adapters.
    pub(crate) fn lora(&self) -> &LoraConfig {
        &self.lora
    }

    /// Returns the state before the first step.
    pub(crate) fn first_state(&self, loss_scale: Option<LossScale>) -> RunState {
        RunState::new(self.data_hash.clone(), self.model_hash.clone(), loss_scale)
    }

    /// Returns a hash of the settings, pairs and model, which must be equal on all ranks of a run.
    ///
    /// # Errors
    /// The settings cannot be written as TOML.
    pub fn session(&self) -> Result<String, TrainError> {
        let mut config = self.config.clone();
        // The device differs between ranks.
        config.train.device = String::new();
        let settings = toml::to_string(&config)
            .map_err(|error| TrainError::Config { origin: "configuration".to_owned(), message: error.to_string() })?;
        Ok(fingerprint::of_texts([settings.as_str(), &self.data_hash, &self.model_hash]))
    }

    /// Returns the number of pairs that are used in an epoch.
    pub(crate) fn usable(&self) -> usize {
        let batch = self.config.train.batch_pairs;
        match self.config.train.preset {
            TrainPreset::Paper => self.train.len() / batch * batch,
            TrainPreset::Strict => self.train.len(),
        }
    }

    /// Returns the number of optimizer steps of the run.
    pub fn steps(&self) -> usize {
        let per_epoch = self.usable().div_ceil(self.config.train.batch_pairs);
        self.config.train.steps.unwrap_or(per_epoch.saturating_mul(self.config.train.epochs))
    }

    /// Returns the number of tokens of the longest text.
    pub(crate) fn longest_row(&self) -> usize {
        self.texts().map(|row| row.ids.len()).max().unwrap_or(0)
    }

    /// Returns the number of tokens of the longest answer.
    pub(crate) fn longest_answer(&self) -> usize {
        self.texts().map(|row| row.supervised()).max().unwrap_or(0)
    }

    fn texts(&self) -> impl Iterator<Item = &TokenRow> {
        self.train.iter().chain(self.validation.iter()).flat_map(|pair| [&pair.original, &pair.paraphrase])
    }

    /// Returns the model with its adapters at the start of the run.
    pub fn model(&self) -> &Llama {
        &self.model
    }

    /// Returns the resolved settings.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Returns the resolved settings as the text of a run file.
    ///
    /// # Errors
    /// They cannot be written as TOML.
    pub fn resolved(&self) -> Result<String, TrainError> {
        toml::to_string(&self.config)
            .map_err(|error| TrainError::Config { origin: "configuration".to_owned(), message: error.to_string() })
    }

    /// Returns the hashes of pairs and model, which a checkpoint must match.
    pub(crate) fn hashes(&self) -> (&str, &str) {
        (&self.data_hash, &self.model_hash)
    }
}

/// Checks that every token id is in the model's vocabulary. Special tokens of the tokenizer may be outside it.
fn check_ids(rows: &[PairRow], vocabulary: usize) -> Result<(), String> {
    let ids = rows.iter().flat_map(|pair| [&pair.original, &pair.paraphrase]).flat_map(|row| &row.ids);
    match ids.max() {
        Some(&id) if id as usize >= vocabulary => {
            Err(format!("the tokenizer gives token id {id}, but the model has {vocabulary} ids, counted from 0"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_id_outside_the_vocabulary_is_named() {
        let row = |ids: &[u32]| TokenRow { ids: ids.to_vec(), prompt: 1, shortened: 0, cut: 0 };
        let pair =
            |last| PairRow { original: row(&[1, 2]), paraphrase: row(&[1, last]), task: None, target: String::new() };
        assert_eq!(check_ids(&[pair(3), pair(39)], 40), Ok(()));
        let message = check_ids(&[pair(3), pair(40)], 40).unwrap_err();
        assert!(message.contains("token id 40, but the model has 40 ids"), "{message}");
    }
}
