//! The training loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use coin_core::output_folder::OutputFolder;
use coin_data::pairs;
use coin_data::tokenize::PairRow;
use coin_loss::collective::{Collective, CollectiveError, SingleProcess};
use coin_model::{FloatType, Llama, adapter};

use crate::all_reduce::all_reduce_values;
use crate::checkpoint::{self, Restored, RunState};
use crate::folder::Start;
use crate::metrics::{METRICS, MetricsFile, StepMetrics, ValidationMetrics};
use crate::optimizer::{AdamW, LinearSchedule, LossScale, clip_global_norm};
use crate::step::{StepObjective, supervised};
use crate::tensorboard::EventFile;
use crate::{TrainError, Trainer};

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// The run resumes from a checkpoint after this number of steps.
    Resumed(usize),
    /// An optimizer step is done. The number is the total number of steps.
    Step(StepMetrics, usize),
    /// The held-out pairs were evaluated.
    Validation(ValidationMetrics),
    /// A checkpoint was written after this number of steps.
    Checkpoint(usize),
}

/// Options of [`Trainer::run`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions<'a> {
    /// Resumes from the newest checkpoint of the run folder, if there is one.
    pub resume: bool,
    /// When it becomes true, the run writes a checkpoint after the current step and ends. One rank's flag stops all ranks.
    pub stop: Option<&'a AtomicBool>,
}

/// The end of a run.
#[derive(Debug)]
pub enum TrainOutcome {
    /// All steps are done. Contains the tuned model, without autodiff.
    Finished(Box<Llama>),
    /// The run was stopped after this number of steps and wrote a checkpoint.
    Stopped(usize),
}

/// The state of a run between steps.
struct Running {
    state: RunState,
    model: Llama,
    optimizer: ModuleOptimizer,
    /// Present on rank 0 only, which writes the files.
    logs: Option<Logs>,
}

/// The run folder and its logs, held by rank 0.
struct Logs {
    /// Locks the run folder.
    _folder: OutputFolder,
    metrics: MetricsFile,
    events: EventFile,
}

impl Trainer {
    /// Runs to the end. Writes `config.resolved.toml`, `metrics.jsonl`, `tensorboard/`, `checkpoints/` and `adapter/` to the
    /// configuration's `out`, and `adapter-best/` if there are held-out pairs.
    ///
    /// A run that was stopped or killed and then resumed ends with the same adapter, bit for bit, as an uninterrupted run. Resuming
    /// a finished run writes nothing.
    ///
    /// # Errors
    /// A file cannot be written, the run folder belongs to another run or not to this program, another process writes to it, or
    /// a loss is not finite.
    pub fn run(self, options: RunOptions, progress: impl FnMut(&Progress)) -> Result<TrainOutcome, TrainError> {
        self.run_as(&SingleProcess, options, progress)
    }

    /// Runs as one rank of a data-parallel run, like [`run`](Self::run). All ranks have the same configuration, model and pairs, and
    /// rank 0 writes.
    ///
    /// # Errors
    /// See [`run`](Self::run). It is also an error if a rank is gone or at another step.
    pub fn run_as(
        self,
        collective: &dyn Collective,
        options: RunOptions,
        mut progress: impl FnMut(&Progress),
    ) -> Result<TrainOutcome, TrainError> {
        let train = self.config().train.clone();
        let total = self.steps();
        let schedule = LinearSchedule::new(train.learning_rate, train.warmup_ratio, total);
        let objective = StepObjective {
            kind: self.config().objective.kind,
            preset: train.preset,
            loss: self.config().loss().init()?,
            terms: self.config().terms()?,
            contrastive_batch: self.config().contrastive_batch(),
            pooling: self.config().objective.pooling,
            seed: train.seed,
            gradient_checkpointing: train.gradient_checkpointing,
            loss_scale: 1.0,
        };
        let Some(mut running) = self.start(options.resume, collective, &mut progress)? else {
            let tuned = adapter::load(self.model().clone(), &self.config().out.join("adapter"))?;
            return Ok(TrainOutcome::Finished(Box::new(tuned.valid())));
        };
        if running.state.step == 0 {
            self.validate_and_keep(&mut running, collective, &mut progress)?;
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
            let rows: Vec<&PairRow> = chunk.iter().map(|&index| &self.training()[index]).collect();
            let objective = StepObjective {
                loss_scale: running.state.loss_scale.map_or(1.0, |scale| scale.factor),
                ..objective.clone()
            };
            let (gradients, values) =
                objective.step_of_rank(&running.model, &rows, train.micro_batch_pairs, step as u64, collective)?;
            if !values.loss.is_finite() {
                return Err(self.not_finite(&running.model.valid(), step, "loss", values.loss, chunk));
            }
            let (gradients, grad_norm) = clip_global_norm(&running.model, gradients, train.max_grad_norm);
            let overflowed = !grad_norm.is_finite();
            let can_continue = match running.state.loss_scale.as_mut() {
                Some(scale) => scale.update(overflowed),
                None => !overflowed,
            };
            if !can_continue {
                return Err(self.not_finite(&running.model.valid(), step, "gradient norm", grad_norm, chunk));
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
                loss_contrastive: (values.contrasted > 0.0).then_some(values.contrastive),
                loss_contrastive_scaled: values.scaled,
                loss_terms: (!objective.terms.is_empty()).then_some(values.terms),
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
            if let Some(logs) = &mut running.logs {
                logs.metrics.write(&metrics)?;
                logs.events.scalars(step, &metrics.scalars())?;
            }
            progress(&Progress::Step(metrics, total));
            running.state.step += 1;

            let step = running.state.step;
            let due = |every: Option<usize>| every.is_some_and(|n| n > 0 && step.is_multiple_of(n)) && step < total;
            if due(train.validate_every) {
                self.validate_and_keep(&mut running, collective, &mut progress)?;
            }
            let stopped = step < total && self.asked_to_stop(options, &running.model, collective)?;
            if stopped || due(train.checkpoint_every) {
                if running.logs.is_some() {
                    self.checkpoint(&running)?;
                }
                progress(&Progress::Checkpoint(step));
            }
            if stopped {
                return Ok(TrainOutcome::Stopped(step));
            }
        }
        self.validate_and_keep(&mut running, collective, &mut progress)?;
        if running.logs.is_some() {
            self.save_adapter(&running.model, "adapter")?;
        }
        Ok(TrainOutcome::Finished(Box::new(running.model.valid())))
    }

    /// True if any rank was asked to stop. All ranks get the same value.
    fn asked_to_stop(
        &self,
        options: RunOptions,
        model: &Llama,
        collective: &dyn Collective,
    ) -> Result<bool, TrainError> {
        let asked = options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        let [asked] = all_reduce_values([f64::from(asked)], collective, &model.device())?;
        Ok(asked > 0.0)
    }

    /// Returns the order of the pairs in an epoch. Couples stay together.
    pub(crate) fn order(&self, epoch: usize) -> Result<Vec<usize>, TrainError> {
        let mut order: Vec<usize> = (0..self.training().len()).collect();
        if self.config().data.shuffle {
            pairs::shuffle_couples(&mut order, self.config().train.seed, epoch)?;
        }
        order.truncate(self.usable());
        Ok(order)
    }

    /// Returns the state at the beginning or at the newest checkpoint, or `None` if the run is finished.
    fn start(
        &self,
        resume: bool,
        collective: &dyn Collective,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Option<Running>, TrainError> {
        let out = &self.config().out;
        let writes = collective.rank() == 0;
        let optimizer = ModuleOptimizer::from(AdamW::default());
        let mut start = self.begins(resume)?;
        let folder = match start {
            Start::End => None,
            _ => writes.then(|| self.claim_folder()).transpose()?,
        };
        if folder.is_some() {
            // Another process may have written to the folder before it was locked.
            start = self.begins(resume)?;
        }
        // This exchange also ensures that every rank has read before any rank writes.
        let step = match &start {
            Start::Beginning => 0,
            Start::Checkpoint(_, state) => state.step,
            Start::End => self.steps(),
        };
        let device = self.model().device();
        let [sum] = all_reduce_values([step as f64], collective, &device)?;
        if sum != (step * collective.world_size()) as f64 {
            let (got, expected) = (format!("{step} steps done"), "as many as the others".to_owned());
            return Err(CollectiveError::Disagreement { rank: collective.rank(), got, expected }.into());
        }
        let metrics_path = out.join(METRICS);
        let (state, model, optimizer, metrics) = match start {
            Start::End => return Ok(None),
            Start::Checkpoint(path, state) => {
                let Restored { state, model, optimizer } =
                    checkpoint::load(&path, state, self.model().clone(), optimizer)?;
                progress(&Progress::Resumed(state.step));
                let metrics = writes.then(|| MetricsFile::resume(&metrics_path, state.step)).transpose()?;
                (state, model.with_dropout(self.lora().dropout), optimizer, metrics)
            }
            Start::Beginning => {
                let metrics = writes
                    .then(|| {
                        self.clear_folder()?;
                        MetricsFile::create(&metrics_path)
                    })
                    .transpose()?;
                let scale = (self.config().model.dtype == FloatType::F16).then(LossScale::default);
                (self.first_state(scale), self.model().clone(), optimizer, metrics)
            }
        };
        let logs = match folder.zip(metrics) {
            Some((folder, metrics)) => {
                let events = EventFile::create(&out.join("tensorboard"), state.step)?;
                Some(Logs { _folder: folder, metrics, events })
            }
            None => None,
        };
        Ok(Some(Running { state, model, optimizer, logs }))
    }

    fn checkpoint(&self, running: &Running) -> Result<(), TrainError> {
        let Running { state, model, optimizer, logs } = running;
        // The checkpoint cannot be used without the earlier lines.
        if let Some(logs) = logs {
            logs.metrics.sync()?;
        }
        let keep = self.config().train.keep_checkpoints;
        checkpoint::save(&self.config().out, state, model, self.lora(), optimizer, &self.resolved()?, keep)
    }

    fn save_adapter(&self, model: &Llama, name: &str) -> Result<(), TrainError> {
        let base = self.config().model.path.display().to_string();
        Ok(adapter::save(model, self.lora(), Some(&base), &self.config().out.join(name))?)
    }

    /// Evaluates the held-out pairs, if there are any, and saves the adapter if it is the best so far.
    fn validate_and_keep(
        &self,
        running: &mut Running,
        collective: &dyn Collective,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<(), TrainError> {
        let Some(metrics) = self.validate(&running.model.valid(), running.state.step, collective)? else {
            return Ok(());
        };
        let better = running.state.best_validation.is_none_or(|best| metrics.loss_generation < best);
        if better && metrics.loss_generation.is_finite() {
            running.state.best_validation = Some(metrics.loss_generation);
        }
        if let Some(logs) = &mut running.logs {
            logs.metrics.write(&metrics)?;
            logs.events.scalars(metrics.step, &metrics.scalars())?;
            if running.state.best_validation == Some(metrics.loss_generation) {
                self.save_adapter(&running.model, "adapter-best")?;
            }
        }
        progress(&Progress::Validation(metrics));
        Ok(())
    }
}
