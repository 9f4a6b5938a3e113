//! The loop over optimiser steps.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use coin_data::tokenize::{TokenRow, TokenizeOptions};
use coin_data::{Pair, Prompt, pairs};
use coin_loss::{InfoNceConfig, Pooling};
use coin_model::{FloatType, Llama, LoraConfig, TextTokenizer, adapter, checkpoint};

use crate::adamw::AdamW;
use crate::checkpoint::{self as run_checkpoint, Restored, RunState};
use crate::config::Preset;
use crate::loss_scale::LossScale;
use crate::metrics::MetricsFile;
use crate::objective::{PairRow, StepObjective, forward, mask, same_answer, supervised};
use crate::optimizer::clip_global_norm;
use crate::schedule::LinearSchedule;
use crate::tensorboard::EventFile;
use crate::{RunConfig, StepMetrics, TrainError, ValidationMetrics, fingerprint};

/// Held-out pairs that are contrasted with each other.
const VALIDATION_GROUP: usize = 32;

/// What a run tells while it works.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The run goes on from a checkpoint, after so many steps.
    Resumed(usize),
    /// An optimiser step of `total` is done.
    Step(StepMetrics, usize),
    /// The held-out pairs were evaluated.
    Validation(ValidationMetrics),
    /// A checkpoint was written, after so many steps.
    Checkpoint(usize),
}

/// How a run is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions<'a> {
    /// Goes on from the newest checkpoint of the run folder, if there is one.
    pub resume: bool,
    /// Once true, the run writes a checkpoint after the step at hand and ends.
    pub stop: Option<&'a AtomicBool>,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every step is done: the tuned model, without autodiff.
    Finished(Box<Llama>),
    /// It was asked to stop, after so many steps, and left a checkpoint.
    Stopped(usize),
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
    data_hash: String,
    model_hash: String,
}

impl Trainer {
    /// Reads model, adapter, tokenizer and pairs of `config`; `device` is where the run computes (without autodiff).
    ///
    /// # Errors
    /// A file is absent or damaged, the pairs do not suffice for one batch, or `[lora]` disagrees with the adapter.
    pub fn new(config: RunConfig, device: &Device) -> Result<Self, TrainError> {
        let folder = config.model.folders().0.to_owned();
        let loaded = checkpoint::load(&folder, config.weight_format(), &device.clone().autodiff())?;
        let tokenizer = TextTokenizer::read(&folder, loaded.model.config())?;
        let all = pairs::read_jsonl(&config.data.pairs)?;
        let warnings = loaded.warnings().collect();
        let model_hash = fingerprint::of_model(&folder)?;
        Ok(Trainer { warnings, model_hash, ..Self::from_parts(config, loaded.model, &tokenizer, all)? })
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
        let data_hash = fingerprint::of_pairs(&pairs);
        Ok(Trainer {
            config,
            lora,
            model,
            train,
            validation,
            warnings: Vec::new(),
            data_hash,
            model_hash: String::new(),
        })
    }

    /// Texts whose prompt was cut in the middle to fit, of all texts.
    pub fn shortened(&self) -> (usize, usize) {
        (self.texts().filter(|row| row.shortened > 0).count(), self.texts().count())
    }

    /// What a user should know about the weights that were read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Pairs of one epoch that enter a step.
    fn usable(&self) -> usize {
        let batch = self.config.train.batch_pairs;
        match self.config.train.preset {
            Preset::Paper => self.train.len() / batch * batch,
            Preset::Strict => self.train.len(),
        }
    }

    /// Number of optimiser steps of the run.
    pub fn steps(&self) -> usize {
        let per_epoch = self.usable().div_ceil(self.config.train.batch_pairs);
        self.config.train.steps.unwrap_or(per_epoch * self.config.train.epochs)
    }

    /// Tokens of the longest text.
    pub fn longest_row(&self) -> usize {
        self.texts().map(|row| row.ids.len()).max().unwrap_or(0)
    }

    /// Tokens of the longest answer.
    pub fn longest_answer(&self) -> usize {
        self.texts().map(|row| row.supervised()).max().unwrap_or(0)
    }

    fn texts(&self) -> impl Iterator<Item = &TokenRow> {
        self.train.iter().chain(&self.validation).flat_map(|pair| [&pair.original, &pair.paraphrase])
    }

    /// The model with its adapters as the run starts.
    pub fn model(&self) -> &Llama {
        &self.model
    }

    /// The run's settings, as resolved.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The resolved settings as the run file they came from would say them.
    ///
    /// # Errors
    /// They cannot be written as TOML.
    pub fn resolved(&self) -> Result<String, TrainError> {
        toml::to_string(&self.config)
            .map_err(|error| TrainError::Config { origin: "configuration".to_owned(), message: error.to_string() })
    }

    /// Checks that [`run`](Self::run) may write to the run folder: without `resume` it must not hold checkpoints, with it
    /// the newest one must come from the same configuration, model and pairs.
    ///
    /// # Errors
    /// What is in the way, or what has changed.
    pub fn check_folder(&self, resume: bool) -> Result<(), TrainError> {
        match resume {
            true => self.newest().map(|_| ()),
            false if run_checkpoint::list(&self.config.out)?.is_empty() => Ok(()),
            false => {
                let path = run_checkpoint::folder(&self.config.out);
                let message = "holds checkpoints of an earlier run; resume it, or choose another `out`".to_owned();
                Err(TrainError::Checkpoint { path, message })
            }
        }
    }

    /// The newest checkpoint and its state, after checking that it belongs to this run.
    fn newest(&self) -> Result<Option<(PathBuf, RunState)>, TrainError> {
        let Some(path) = run_checkpoint::list(&self.config.out)?.pop() else { return Ok(None) };
        let (state, config) = run_checkpoint::read_state(&path)?;
        let mut changed = self.config.changes(&config)?;
        if state.data != self.data_hash {
            changed.push(format!("the content of data.pairs ({})", self.config.data.pairs.display()));
        }
        if state.model != self.model_hash {
            changed.push(format!("the weights of model.path ({})", self.config.model.path.display()));
        }
        match changed.is_empty() {
            true => Ok(Some((path, state))),
            false => {
                let message = format!("belongs to another run; changed since: {}", changed.join(", "));
                Err(TrainError::Checkpoint { path, message })
            }
        }
    }

    /// Runs to the end and writes `config.resolved.toml`, `metrics.jsonl`, `tensorboard/`, `checkpoints/` and `adapter/`
    /// to `out` of the configuration, and with held-out pairs `adapter-best/`.
    ///
    /// A run that was stopped or killed and is resumed ends with the same adapter, to the bit, as one that was not.
    ///
    /// # Errors
    /// A file cannot be written, the run folder is that of another run, or a loss is no number.
    pub fn run(self, options: RunOptions, mut progress: impl FnMut(&Progress)) -> Result<Outcome, TrainError> {
        self.check_folder(options.resume)?;
        let out = self.config.out.clone();
        std::fs::create_dir_all(&out).map_err(TrainError::io(&out))?;
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
            loss_scale: 1.0,
        };
        let mut running = self.start(options.resume, &mut progress)?;
        if running.state.step == 0 {
            self.validate_and_keep(&mut running, &mut progress)?;
        }

        let per_epoch = self.usable().div_ceil(train.batch_pairs);
        let mut order = (usize::MAX, Vec::new());
        while running.state.step < total {
            let start = Instant::now();
            let step = running.state.step;
            let (epoch, index) = (step / per_epoch, step % per_epoch);
            if order.0 != epoch {
                order = (epoch, self.order(epoch)?);
            }
            let chunk = order.1.chunks(train.batch_pairs).nth(index).unwrap_or_default();
            let rows: Vec<PairRow> = chunk.iter().map(|&index| self.train[index].clone()).collect();
            let objective = StepObjective {
                loss_scale: running.state.loss_scale.map_or(1.0, |scale| scale.factor),
                ..objective.clone()
            };
            let (gradients, values) = objective.step(&running.model, &rows, train.micro_batch_pairs, step as u64)?;
            if !values.loss.is_finite() {
                return Err(self.not_finite(&running.model, step, "loss", values.loss, chunk));
            }
            let (gradients, grad_norm) = clip_global_norm(&running.model, gradients, train.max_grad_norm);
            let overflowed = !grad_norm.is_finite();
            let can_go_on = match running.state.loss_scale.as_mut() {
                Some(scale) => scale.update(overflowed),
                None => !overflowed,
            };
            if !can_go_on {
                return Err(self.not_finite(&running.model, step, "gradient norm", grad_norm, chunk));
            }
            let lr = schedule.rate(step);
            match overflowed {
                true => running.state.skipped_steps += 1,
                false => running.model = running.optimizer.step(lr, running.model, gradients),
            }
            let (original, paraphrase) = supervised(&rows);
            let done = (index * train.batch_pairs + chunk.len()) as f64 / self.usable() as f64;
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
                loss_scale: running.state.loss_scale.map(|_| objective.loss_scale),
                skipped_steps: running.state.loss_scale.map(|_| running.state.skipped_steps),
            };
            running.metrics.write(&metrics)?;
            running.events.scalars(step, &metrics.scalars())?;
            progress(&Progress::Step(metrics, total));
            running.state.step += 1;

            let step = running.state.step;
            let due = |every: usize| every > 0 && step.is_multiple_of(every) && step < total;
            if due(train.validate_every) {
                self.validate_and_keep(&mut running, &mut progress)?;
            }
            let stopped = step < total && options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
            if stopped || due(train.checkpoint_every) {
                self.checkpoint(&running)?;
                progress(&Progress::Checkpoint(step));
            }
            if stopped {
                return Ok(Outcome::Stopped(step));
            }
        }
        self.validate_and_keep(&mut running, &mut progress)?;
        self.save_adapter(&running.model, "adapter")?;
        Ok(Outcome::Finished(Box::new(running.model.valid())))
    }

    /// The pairs of an epoch in the order of their use, whole couples together.
    fn order(&self, epoch: usize) -> Result<Vec<usize>, TrainError> {
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        if self.config.data.shuffle {
            pairs::shuffle_couples(&mut order, self.config.train.seed, epoch)?;
        }
        order.truncate(self.usable());
        Ok(order)
    }

    /// Where the run starts: at its beginning, or at the newest checkpoint.
    fn start(&self, resume: bool, progress: &mut dyn FnMut(&Progress)) -> Result<Running, TrainError> {
        let out = &self.config.out;
        let optimizer = ModuleOptimizer::from(AdamW::default());
        let newest = if resume { self.newest()? } else { None };
        let metrics_path = out.join("metrics.jsonl");
        let (state, model, optimizer, metrics) = match newest {
            Some((path, state)) => {
                let Restored { state, model, optimizer } =
                    run_checkpoint::load(&path, state, self.model.clone(), optimizer)?;
                progress(&Progress::Resumed(state.step));
                let metrics = MetricsFile::resume(&metrics_path, state.step)?;
                (state, model.with_dropout(self.lora.dropout), optimizer, metrics)
            }
            None => {
                // Results of an earlier run must not stand beside this one's metrics.
                for name in ["adapter", "adapter-best", "tensorboard"] {
                    let old = out.join(name);
                    if old.is_dir() {
                        std::fs::remove_dir_all(&old).map_err(TrainError::io(&old))?;
                    }
                }
                let config = self.resolved()?;
                let path = out.join("config.resolved.toml");
                coin_data::file::write_atomically(path, |writer| writer.write_all(config.as_bytes()))?;
                let scale = (self.config.model.dtype == FloatType::F16).then(LossScale::default);
                let state = RunState::new(self.data_hash.clone(), self.model_hash.clone(), scale);
                (state, self.model.clone(), optimizer, MetricsFile::create(&metrics_path)?)
            }
        };
        let events = EventFile::create(&out.join("tensorboard"), state.step)?;
        Ok(Running { state, model, optimizer, metrics, events })
    }

    fn checkpoint(&self, running: &Running) -> Result<(), TrainError> {
        let Running { state, model, optimizer, .. } = running;
        let keep = self.config.train.keep_checkpoints;
        run_checkpoint::save(&self.config.out, state, model, &self.lora, optimizer, &self.resolved()?, keep)
    }

    fn save_adapter(&self, model: &Llama, name: &str) -> Result<(), TrainError> {
        let base = self.config.model.path.display().to_string();
        Ok(adapter::save(model, &self.lora, Some(&base), &self.config.out.join(name))?)
    }

    /// Evaluates the held-out pairs, if there are any, and keeps the adapter if it is the best so far.
    fn validate_and_keep(&self, running: &mut Running, progress: &mut dyn FnMut(&Progress)) -> Result<(), TrainError> {
        let Some(metrics) = self.validate(&running.model.valid(), running.state.step)? else { return Ok(()) };
        running.metrics.write(&metrics)?;
        running.events.scalars(metrics.step, &metrics.scalars())?;
        let better = running.state.best_validation.is_none_or(|best| metrics.loss_generation < best);
        if better && metrics.loss_generation.is_finite() {
            running.state.best_validation = Some(metrics.loss_generation);
            self.save_adapter(&running.model, "adapter-best")?;
        }
        progress(&Progress::Validation(metrics));
        Ok(())
    }

    /// The error of a step that is not finite, with its batch written to `failed-batch.json` and the pairs named that are
    /// not finite alone.
    fn not_finite(&self, model: &Llama, step: usize, what: &'static str, value: f64, batch: &[usize]) -> TrainError {
        let path = self.config.out.join("failed-batch.json");
        let plain = model.valid();
        let mut guilty = Vec::new();
        let mut described = Vec::new();
        for &index in batch {
            let pair = &self.train[index];
            let alone = forward(&plain, std::slice::from_ref(pair), Pooling::Last, None, false)
                .map(|states| [states.original_nats, states.paraphrase_nats].map(|nats| nats.into_scalar::<f32>()));
            let losses = alone.unwrap_or([f32::NAN; 2]);
            if losses.iter().any(|loss| !loss.is_finite()) {
                guilty.push((index + 1).to_string());
            }
            described.push(serde_json::json!({
                "pair": index + 1,
                "original_ids": pair.original.ids,
                "paraphrase_ids": pair.paraphrase.ids,
                // JSON has no NaN: null says it.
                "loss_original": losses[0],
                "loss_paraphrase": losses[1],
            }));
        }
        let content = serde_json::json!({ "step": step, "pairs": described }).to_string();
        if let Err(error) = coin_data::file::write_atomically(&path, |writer| writer.write_all(content.as_bytes())) {
            return error.into();
        }
        let data = self.config.data.pairs.display();
        let rows = match guilty.is_empty() {
            true => format!("no pair of {data} is so alone"),
            false => format!("so alone, without dropout: pair {} of {data}", guilty.join(", ")),
        };
        TrainError::NotFinite { step, what, value, rows, batch: path }
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

/// What a run changes as it goes.
struct Running {
    state: RunState,
    model: Llama,
    optimizer: ModuleOptimizer,
    metrics: MetricsFile,
    events: EventFile,
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
