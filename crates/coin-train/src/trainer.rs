//! The loop over optimiser steps.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use coin_data::tokenize::TokenizeOptions;
use coin_data::{Pair, Prompt, pairs};
use coin_loss::InfoNceConfig;
use coin_model::{Llama, LoraConfig, TextTokenizer, adapter, checkpoint};

use crate::config::Preset;
use crate::metrics::MetricsFile;
use crate::objective::{PairRow, StepObjective, forward, mask, same_answer, supervised};
use crate::optimizer::clip_global_norm;
use crate::schedule::LinearSchedule;
use crate::{RunConfig, StepMetrics, TrainError, ValidationMetrics};

/// Held-out pairs that are contrasted with each other.
const VALIDATION_GROUP: usize = 32;

/// What a run tells while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// An optimiser step of `total` is done.
    Step(StepMetrics, usize),
    /// The held-out pairs were evaluated.
    Validation(ValidationMetrics),
}

/// A run, ready to start: everything is read and checked.
#[derive(Debug)]
pub struct Trainer {
    config: RunConfig,
    lora: LoraConfig,
    model: Llama,
    train: Vec<PairRow>,
    validation: Vec<PairRow>,
    warnings: Vec<String>,
}

impl Trainer {
    /// Reads model, adapter, tokenizer and pairs of `config`; `device` is where the run computes (without autodiff).
    ///
    /// # Errors
    /// A file is absent or damaged, the pairs do not suffice for one batch, or `[lora]` disagrees with the adapter.
    pub fn new(config: RunConfig, device: &Device) -> Result<Self, TrainError> {
        let loaded = checkpoint::load(config.model.folders().0, config.weight_format(), &device.clone().autodiff())?;
        let tokenizer = TextTokenizer::read(config.model.folders().0, loaded.model.config())?;
        let all = pairs::read_jsonl(&config.data.pairs)?;
        let warnings = loaded.warnings().collect();
        Ok(Trainer { warnings, ..Self::from_parts(config, loaded.model, &tokenizer, all)? })
    }

    /// As [`new`](Self::new), from a model on an autodiff device and pairs in memory; the paths of `config` only
    /// name them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn from_parts(
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
                if (LoraConfig { dropout: lora.dropout, ..of_adapter.clone() }) != lora {
                    return Err(wrong(format!("[lora] disagrees with the adapter in {}", dir.display())));
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
        if pairs.len() < held_out + batch {
            return Err(wrong(format!(
                "{} holds {} pairs; {held_out} held out and one batch of {batch} need more",
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
        let mut train = tokenize(&config, tokenizer, &pairs)?;
        let validation = train.split_off(train.len() - held_out);
        config.lora = Some(lora.clone());
        Ok(Trainer { config, lora, model, train, validation, warnings: Vec::new() })
    }

    /// Texts whose prompt was cut in the middle to fit, of all texts.
    pub fn shortened(&self) -> (usize, usize) {
        let rows = || self.train.iter().chain(&self.validation).flat_map(|pair| [&pair.original, &pair.paraphrase]);
        (rows().filter(|row| row.shortened > 0).count(), rows().count())
    }

    /// What a user should know about the weights that were read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Number of optimiser steps of the run.
    pub fn steps(&self) -> usize {
        let batch = self.config.train.batch_pairs;
        let per_epoch = match self.config.train.preset {
            Preset::Paper => self.train.len() / batch,
            Preset::Strict => self.train.len().div_ceil(batch),
        };
        self.config.train.steps.unwrap_or(per_epoch * self.config.train.epochs)
    }

    /// Number of trainable parameters.
    pub fn trainable_parameters(&self) -> usize {
        adapter::parameters(&self.model)
    }

    /// The run's settings, as resolved.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Runs to the end and writes `config.resolved.toml`, `metrics.jsonl` and `adapter/` to `out` of the
    /// configuration. Returns the tuned model, without autodiff.
    ///
    /// # Errors
    /// A file cannot be written, or a loss is no number.
    pub fn run(self, mut progress: impl FnMut(&Progress)) -> Result<Llama, TrainError> {
        let out = self.config.out.clone();
        std::fs::create_dir_all(&out).map_err(TrainError::io(&out))?;
        // An adapter of an earlier run must not stand beside this one's metrics.
        let adapter_dir = out.join("adapter");
        if adapter_dir.is_dir() {
            std::fs::remove_dir_all(&adapter_dir).map_err(TrainError::io(&adapter_dir))?;
        }
        self.write_config(&out.join("config.resolved.toml"))?;
        let mut file = MetricsFile::create(&out.join("metrics.jsonl"))?;

        let train = self.config.train.clone();
        let total = self.steps();
        let schedule = LinearSchedule::new(train.learning_rate, train.warmup_ratio, total);
        let objective = StepObjective {
            kind: self.config.objective.kind,
            preset: train.preset,
            loss: self.config.loss().init()?,
            pooling: self.config.pooling()?,
            seed: train.seed,
            checkpointing: train.checkpointing,
        };
        let mut optimizer: ModuleOptimizer = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(0.0).init();
        let mut model = self.model.clone();
        let validate =
            |trainer: &Self, model: &Llama, step, file: &mut MetricsFile, progress: &mut dyn FnMut(&Progress)| {
                if let Some(metrics) = trainer.validate(&model.valid(), step)? {
                    file.write(&metrics)?;
                    progress(&Progress::Validation(metrics));
                }
                Ok::<_, TrainError>(())
            };
        validate(&self, &model, 0, &mut file, &mut progress)?;

        let mut step = 0;
        let mut epoch = 0;
        while step < total {
            let mut order: Vec<usize> = (0..self.train.len()).collect();
            pairs::shuffle_couples(&mut order, train.seed, epoch)?;
            let usable = match train.preset {
                Preset::Paper => order.len() / train.batch_pairs * train.batch_pairs,
                Preset::Strict => order.len(),
            };
            for (index, chunk) in order[..usable].chunks(train.batch_pairs).enumerate() {
                if step == total {
                    break;
                }
                let start = Instant::now();
                let rows: Vec<PairRow> = chunk.iter().map(|&index| self.train[index].clone()).collect();
                let (gradients, values) = objective.step(&model, &rows, train.micro_batch_pairs, step as u64)?;
                if !values.loss.is_finite() {
                    return Err(TrainError::NotFinite { step, what: "loss", value: values.loss });
                }
                let (gradients, grad_norm) = clip_global_norm(&model, gradients, train.max_grad_norm);
                if !grad_norm.is_finite() {
                    return Err(TrainError::NotFinite { step, what: "gradient norm", value: grad_norm });
                }
                let lr = schedule.rate(step);
                model = optimizer.step(lr, model, gradients);
                let (original, paraphrase) = supervised(&rows);
                let done = (index * train.batch_pairs + chunk.len()) as f64 / usable as f64;
                let metrics = StepMetrics {
                    step,
                    epoch: epoch as f64 + done,
                    lr,
                    loss: values.loss,
                    loss_generation: values.generation,
                    loss_contrastive: values.contrastive,
                    loss_contrastive_scaled: values.scaled,
                    contrastive_accuracy: values.accuracy,
                    similarity_positive: values.similarity_positive,
                    similarity_negative: values.similarity_negative,
                    grad_norm,
                    pairs: rows.len(),
                    supervised_tokens: (original + paraphrase) as usize,
                    seconds: start.elapsed().as_secs_f64(),
                };
                file.write(&metrics)?;
                progress(&Progress::Step(metrics, total));
                step += 1;
                if train.validate_every > 0 && step % train.validate_every == 0 && step < total {
                    validate(&self, &model, step, &mut file, &mut progress)?;
                }
            }
            epoch += 1;
        }
        validate(&self, &model, total, &mut file, &mut progress)?;
        let base = self.config.model.path.display().to_string();
        adapter::save(&model, &self.lora, Some(&base), &adapter_dir)?;
        Ok(model.valid())
    }

    fn write_config(&self, path: &Path) -> Result<(), TrainError> {
        let text = toml::to_string(&self.config)
            .map_err(|error| TrainError::Config { origin: path.display().to_string(), message: error.to_string() })?;
        coin_data::file::write_atomically(path, |writer| writer.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// Evaluates the held-out pairs, if there are any, without dropout.
    fn validate(&self, model: &Llama, step: usize) -> Result<Option<ValidationMetrics>, TrainError> {
        let rows = &self.validation;
        if rows.is_empty() {
            return Ok(None);
        }
        let pooling = self.config.pooling()?;
        let loss = InfoNceConfig::new().with_temperature(self.config.objective.temperature).init()?;
        let (original, paraphrase) = supervised(rows);
        let mut metrics = ValidationMetrics {
            split: "validation".to_owned(),
            step,
            loss_generation: 0.0,
            loss_contrastive: 0.0,
            contrastive_accuracy: 0.0,
            hard_negative_accuracy: 0.0,
            similarity_positive: 0.0,
            similarity_negative: 0.0,
            pairs: rows.len(),
        };
        let read = |tensor: Tensor<1>| f64::from(tensor.into_scalar::<f32>());
        for chunk in rows.chunks(VALIDATION_GROUP) {
            let (mut originals, mut paraphrases) = (Vec::new(), Vec::new());
            for micro in chunk.chunks(self.config.train.micro_batch_pairs) {
                let states = forward(model, micro, pooling, None, false)?;
                metrics.loss_generation +=
                    read(states.original_nats) / original + read(states.paraphrase_nats) / paraphrase;
                originals.push(states.original);
                paraphrases.push(states.paraphrase);
            }
            let device = model.device();
            let (originals, paraphrases) = (Tensor::cat(originals, 0), Tensor::cat(paraphrases, 0));
            let contrast = |excluded| loss.forward(originals.clone(), paraphrases.clone(), Some(excluded));
            let output = contrast(same_answer(chunk, &device));
            // A couple is two adjacent rows; everything outside it is excluded.
            let couples = contrast(mask(chunk.len(), &device, |i, j| i / 2 != j / 2));
            let share = chunk.len() as f64 / rows.len() as f64;
            metrics.loss_contrastive += read(output.loss) * share;
            metrics.contrastive_accuracy += read(output.accuracy) * share;
            metrics.hard_negative_accuracy += read(couples.accuracy) * share;
            metrics.similarity_positive += read(output.similarity_positive) * share;
            metrics.similarity_negative += read(output.similarity_negative) * share;
        }
        Ok(Some(metrics))
    }
}

/// The token rows of `pairs`; an error names the pair, counted from 1.
fn tokenize(config: &RunConfig, tokenizer: &TextTokenizer, pairs: &[Pair]) -> Result<Vec<PairRow>, TrainError> {
    let options =
        TokenizeOptions { bos: tokenizer.bos(), max_tokens: config.data.max_tokens, truncation: config.truncation() };
    let row = |index: usize, instruction: &str, target: &str| {
        options.row(tokenizer.inner(), &Prompt::new(instruction, "").render(), target).map_err(|error| {
            TrainError::Config {
                origin: format!("{}, pair {}", config.data.pairs.display(), index + 1),
                message: error.to_string(),
            }
        })
    };
    pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| {
            Ok(PairRow {
                original: row(index, &pair.original_instruction, &pair.targets)?,
                paraphrase: row(index, &pair.paraphrased_instruction, &pair.targets)?,
                task: pair.task.clone(),
                target: pair.targets.clone(),
            })
        })
        .collect()
}
