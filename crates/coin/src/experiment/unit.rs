//! One run of an arm with one seed: training, then evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use coin_core::CoreError;
use coin_core::output_folder::{self, OutputFolder};
use coin_core::quote::cut;
use coin_eval::folder::{self, Evaluated};
use coin_eval::{Bootstrap, Evaluation, Ledger, LongPrompts, Summary, statistics};
use coin_model::WeightFormat;
use coin_train::config::ModelTable;
use coin_train::{Progress, RunConfig, RunOptions, TrainOutcome, Trainer};
use serde::{Deserialize, Serialize};

use super::arm::{Arm, Variant, run_of};
use super::{EvaluationTable, Experiment, WorldTable, is_locked};
use crate::stoppable::Stoppable;
use crate::{data_parallel, device, model_folder};

/// Folder of all units.
const ARMS: &str = "arms";

/// The unit's settings.
const SETTINGS: &str = "settings.toml";

/// The run folder of a unit.
pub(super) const TRAINING: &str = "training";

/// The evaluation folder of a unit.
const EVALUATION: &str = "evaluation";

/// The names that a unit writes in its folder.
const ENTRIES: [&str; 3] = [EVALUATION, SETTINGS, TRAINING];

/// Time to wait for a lock. The processes of a killed experiment end within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// One run of an arm with one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The unit's folder among those of all units, such as `cit/seed-1`.
    pub name: String,
    /// The arm.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// The settings that determine the result.
    pub settings: UnitSettings,
}

impl Arm {
    /// The arm's units with one seed.
    pub(super) fn units(&self, experiment: &Experiment, seed: u64) -> Vec<Unit> {
        let unit = |variant: &Variant| {
            let name = match variant.without {
                Some(level) => format!("{}/without-{level}/seed-{seed}", self.name),
                None => format!("{}/seed-{seed}", self.name),
            };
            let settings = UnitSettings::new(experiment, variant, &self.base, &name, seed);
            Unit { name, arm: self.name.clone(), seed, settings }
        };
        self.variants.iter().map(unit).collect()
    }
}

/// The settings of a unit, with paths relative to the experiment's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSettings {
    /// The seed of pairs, training, perturbations and choice of examples.
    pub seed: u64,
    /// The evaluated levels.
    pub levels: Vec<String>,
    /// The unit's folder.
    pub folder: PathBuf,
    /// The devices on which it computes.
    pub device: String,
    /// Base model, pairs, examples and instructions.
    pub world: WorldTable,
    /// Settings of the evaluation.
    pub evaluation: EvaluationTable,
    /// The base model that is evaluated, if nothing is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelTable>,
    /// The training run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunConfig>,
}

/// The progress of a unit.
#[derive(Debug, Clone, PartialEq)]
pub enum UnitProgress {
    /// Finished optimizer steps, and their total.
    Training(usize, usize),
    /// Finished answers, and their total.
    Evaluating(usize, usize),
    /// A warning for the user.
    Warning(String),
}

impl Unit {
    /// The unit's folder in the experiment's folder `out`.
    pub fn folder(&self, out: &Path) -> PathBuf {
        out.join(&self.settings.folder)
    }

    /// True if the unit's results are complete.
    pub fn is_finished(&self, out: &Path) -> bool {
        self.folder(out).join(EVALUATION).join(SUMMARY).is_file()
    }

    /// The unit's run folder in the experiment's folder `out`.
    pub(super) fn training(&self, out: &Path) -> PathBuf {
        self.folder(out).join(TRAINING)
    }

    /// Checks that the unit's folder was not created by another program or with other settings. Does not change anything.
    pub(super) fn check(&self, out: &Path) -> Result<()> {
        let folder = self.folder(out);
        output_folder::check(&folder, &ENTRIES)?;
        self.settings.check(&folder).map(drop)
    }

    /// Reads the answers of a finished unit.
    pub(super) fn answers(&self, out: &Path) -> Result<Evaluated> {
        let folder = self.folder(out).join(EVALUATION);
        let read = Evaluated::read(&folder, &self.name)?;
        read.with_context(|| format!("{}: there is no ledger", folder.display()))
    }
}

/// The metrics of a finished unit, written last.
const SUMMARY: &str = "summary.json";

impl UnitSettings {
    pub(super) fn new(experiment: &Experiment, variant: &Variant, base: &RunConfig, name: &str, seed: u64) -> Self {
        let folder = Path::new(ARMS).join(name);
        let world = &experiment.world;
        let run = variant.run.as_ref().map(|run| run_of(run, world, &folder, seed));
        let base = run_of(base, world, &folder, seed);
        UnitSettings {
            seed,
            levels: variant.levels.clone(),
            folder,
            device: base.train.device.clone(),
            world: world.clone(),
            // The levels above replace the choice in the file.
            evaluation: EvaluationTable { levels: None, ..experiment.evaluation.clone() },
            model: run.is_none().then_some(base.model),
            run,
        }
    }

    /// Compares the settings with those in the unit's folder. Returns false if there are none.
    fn check(&self, folder: &Path) -> Result<bool> {
        let path = folder.join(SETTINGS);
        if !path.is_file() {
            return Ok(false);
        }
        let text = coin_core::file::read_to_string(&path)?;
        let unreadable = |error: &dyn std::fmt::Display| {
            let message = error.to_string().trim().replace('\n', ", ");
            anyhow::anyhow!("{}: not the settings of a unit: {}", path.display(), cut(&message))
        };
        let theirs: toml::Table = text.parse().map_err(|error: toml::de::Error| unreadable(&error))?;
        let changed = self.changes(theirs).map_err(|error| unreadable(&error))?;
        if !changed.is_empty() {
            bail!(
                "{}: was run with other settings: {}; undo the change, or choose another output folder",
                folder.display(),
                changed.join(", ")
            );
        }
        Ok(true)
    }

    /// Returns the keys that differ from the stored settings, with both values. Leaves out those that do not affect the results.
    fn changes(&self, mut theirs: toml::Table) -> Result<Vec<String>> {
        let mut ours = toml::Table::try_from(self)?;
        let (run, other) = (ours.remove("run"), theirs.remove("run"));
        let mut changed = Vec::new();
        let switched = self.run.is_some() != other.is_some();
        match (&self.run, other) {
            (Some(run), Some(other)) => changed.extend(run.changes(&toml::to_string(&other)?)?),
            (None, None) => {}
            (_, other) => {
                let say = |trained: bool| if trained { "trained" } else { "not trained" };
                changed.push(format!("train ({} -> {})", say(other.is_some()), say(run.is_some())));
            }
        }
        let (ours, theirs) = (flat(&ours, ""), flat(&theirs, ""));
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let say = |value: Option<&String>| value.map_or("not set".into(), |value| cut(value).into_owned());
        let free = |key: &str| ["device", "folder"].contains(&key) || switched && key.starts_with("model.");
        for key in keys.into_iter().filter(|key| !free(key) && ours.get(*key) != theirs.get(*key)) {
            changed.push(format!("{} ({} -> {})", cut(key), say(theirs.get(key)), say(ours.get(key))));
        }
        Ok(changed)
    }

    /// Trains and evaluates the unit in the current folder, which is the experiment's. Resumes what is there. Returns false if
    /// `stop` became true before the end.
    ///
    /// # Errors
    /// Another process works on the unit, its folder has other settings, or training or evaluation fails.
    pub fn run(&self, stop: &AtomicBool, progress: &mut dyn FnMut(UnitProgress)) -> Result<bool> {
        let _held = claim(&self.folder, &ENTRIES)?;
        if !self.check(&self.folder)? {
            let text = toml::to_string(self).context("cannot write the settings of the unit")?;
            coin_core::file::write_atomically(self.folder.join(SETTINGS), |file| file.write_all(text.as_bytes()))?;
        }
        let devices = device::all_named(&self.device)?;
        let Some(device) = devices.first() else { bail!("train.device names no device") };
        let model = match (&self.run, &self.model) {
            (Some(run), _) => {
                if !self.train(run, &devices, stop, progress)? {
                    return Ok(false);
                }
                ModelTable { adapter: Some(run.out.join("adapter")), ..run.model.clone() }
            }
            (None, Some(model)) => model.clone(),
            (None, None) => bail!("{}: neither a run nor a model", self.folder.join(SETTINGS).display()),
        };
        self.evaluate(&model, device, stop, progress)
    }

    /// Trains the adapter. Returns false if it was stopped.
    fn train(
        &self,
        run: &RunConfig,
        devices: &[Device],
        stop: &AtomicBool,
        progress: &mut dyn FnMut(UnitProgress),
    ) -> Result<bool> {
        // The adapter is written last.
        if run.out.join("adapter/adapter_config.json").is_file() {
            return Ok(true);
        }
        let trainer = Trainer::new(run.clone(), &devices[0])?;
        for warning in trainer.warnings() {
            progress(UnitProgress::Warning(warning.clone()));
        }
        trainer.check_folder(true)?;
        let options = RunOptions { resume: true, stop: Some(stop) };
        let total = trainer.steps();
        let show = |event: &Progress| match event {
            Progress::Step(step, total) => progress(UnitProgress::Training(step.step + 1, *total)),
            Progress::Resumed(step) => progress(UnitProgress::Training(*step, total)),
            Progress::Validation(_) | Progress::Checkpoint(_) => {}
        };
        Ok(matches!(data_parallel::run(trainer, devices, options, show)?, TrainOutcome::Finished(_)))
    }

    /// Evaluates the model and writes the metrics. Returns false if it was stopped.
    fn evaluate(
        &self,
        model: &ModelTable,
        device: &Device,
        stop: &AtomicBool,
        progress: &mut dyn FnMut(UnitProgress),
    ) -> Result<bool> {
        let out = self.folder.join(EVALUATION);
        if out.join(SUMMARY).is_file() {
            return Ok(true);
        }
        let format = WeightFormat { dtype: model.dtype, quantization: model.quantization };
        let engine = model_folder::engine_options(device);
        let (mut model, warnings) =
            model_folder::for_evaluation(&model.path, model.adapter.as_deref(), format, device, engine)?;
        warnings.into_iter().for_each(|warning| progress(UnitProgress::Warning(warning)));
        let EvaluationTable { samples, scorer, max_new_tokens, .. } = self.evaluation;
        let evaluation = Evaluation {
            samples,
            seed: self.seed,
            levels: self.levels.clone(),
            parser: scorer,
            max_new_tokens,
            long_prompts: LongPrompts::Refuse,
            ..Evaluation::new(self.world.tasks()?, self.world.instructions(self.seed)?)
        };
        let mut plan = evaluation.plan(&|task| self.world.examples(task, samples))?;
        plan.fit(&model)?;
        let _held = claim(&out, &folder::ENTRIES)?;
        let mut ledger = Ledger::open(out.join(folder::LEDGER))?;
        plan.accepts(&model, &ledger)?;
        if ledger.found().len() < plan.total() {
            folder::begin(&out, &plan, &evaluation.tasks)?;
        }
        let mut model = Stoppable::new(&mut model, stop);
        let answered = plan.run(&mut model, &mut ledger, &mut |done, total| {
            progress(UnitProgress::Evaluating(done, total));
        });
        if model.stopped() {
            return Ok(false);
        }
        let records = answered?;
        let name = self.folder.strip_prefix(ARMS).unwrap_or(&self.folder).to_string_lossy().into_owned();
        let run = statistics::score_with_intervals(name, &records, &evaluation.tasks, Bootstrap::default())?;
        folder::finish(&out, &plan, &records, &run, 0)?;
        let settings = serde_json::to_value(self)?.as_object().cloned().unwrap_or_default();
        Summary::new(settings, vec![run]).write(out.join(SUMMARY))?;
        Ok(true)
    }
}

/// Locks a folder. Waits a while if another process has locked it, because the processes of a killed experiment need a moment
/// to end, and processes of a job array lock the experiment's folder for moments.
pub(super) fn claim(folder: &Path, written: &[&str]) -> Result<OutputFolder, CoreError> {
    let start = Instant::now();
    loop {
        match OutputFolder::claim(folder, written) {
            Err(error) if is_locked(&error) && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            outcome => return outcome,
        }
    }
}

/// The values of a table by dotted key.
fn flat(table: &toml::Table, before: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in table {
        let key = format!("{before}{key}");
        match value {
            toml::Value::Table(inner) => out.extend(flat(inner, &format!("{key}."))),
            value => {
                out.insert(key, value.to_string());
            }
        }
    }
    out
}
