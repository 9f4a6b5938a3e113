//! The main experiment on an embedded model: a tiny LLaMA is trained on the demo world in three ways, and the results are evaluated under
//! clean and perturbed instructions. The ways are instruction tuning (`cit`), the same with the contrastive loss (`coin`), and instruction
//! tuning for longer on perturbed wordings, by attacks that the evaluation does not use (`robust`).

mod world;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use coin_core::CoreError;
use coin_core::output_folder::{self, OutputFolder};
use coin_data::pairs::{PairBuilder, RewordedSide};
use coin_data::{Pair, Task, TemplateSet};
use coin_eval::folder::{self, Evaluated};
use coin_eval::{Bootstrap, Evaluation, InstructionSet, Ledger, Summary, statistics};
use coin_model::{LoraConfig, WeightFormat};
use coin_perturb::{Augmentation, LabelWords, attack_named, perturb_set};
use coin_report::Report;
use coin_train::config::{DataTable, ModelTable, Objective, ObjectiveTable, TrainTable};
use coin_train::{Progress, RunConfig, RunOptions, TrainOutcome, Trainer};

pub use world::World;

use crate::stoppable::Stoppable;
use crate::{learning_curves, model_folder};

/// The files of the embedded base model, written by `examples/train_demo_base.rs`.
const BASE: [(&str, &[u8]); 3] = [
    ("config.json", include_bytes!("../assets/demo-base/config.json")),
    ("model.safetensors", include_bytes!("../assets/demo-base/model.safetensors")),
    ("tokenizer.json", include_bytes!("../assets/demo-base/tokenizer.json")),
];

/// The names of the files of the embedded base model.
pub const BASE_FILES: [&str; 3] = [BASE[0].0, BASE[1].0, BASE[2].0];

/// The seed of the demo world. The base model was trained on the training half of this world and has not seen its evaluation half.
pub const WORLD_SEED: u64 = 1;

/// The tasks with training templates; the two halves of mnli share theirs.
pub const FAMILIES: [&str; 8] = ["cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli"];

/// Settings of the demo. With the defaults it takes a few minutes on two cores.
#[derive(Debug, Clone, PartialEq)]
pub struct Demo {
    /// Output folder.
    pub out: PathBuf,
    /// Seed of pairs, adapters, order, dropout, perturbations and choice of examples.
    pub seed: u64,
    /// Evaluation examples per task.
    pub samples: usize,
    /// Optimizer steps of `cit` and of `coin`; `robust` takes 3.5 times as many.
    pub steps: usize,
    /// Pairs per optimizer step.
    pub batch_pairs: usize,
    /// Name of the device, for the settings in the summary.
    pub device: String,
}

impl Demo {
    /// The demo with default settings and the output folder `out`.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Demo { out: out.into(), seed: 42, samples: 50, steps: 200, batch_pairs: 32, device: "cpu".to_owned() }
    }
}

/// Progress of the demo.
#[derive(Debug)]
pub enum DemoProgress<'a> {
    /// Progress of the training run of this name.
    Training(&'a str, &'a Progress),
    /// Progress of the evaluation of this name: finished answers, and their total.
    Evaluating(&'a str, usize, usize),
}

impl Demo {
    /// The names that a demo writes, replaces and removes in its folder.
    pub const ENTRIES: [&str; 9] = [
        "base",
        "cit",
        "coin",
        "instructions.json",
        "pairs.jsonl",
        "report.html",
        "robust",
        "robust-pairs.jsonl",
        "summary.json",
    ];

    /// The folders in it, with the names that the demo writes, replaces and removes in each.
    fn folders(&self) -> [(PathBuf, Vec<&'static str>); 4] {
        let written = |of_model: &[&'static str]| [of_model, &folder::ENTRIES].concat();
        let run = || written(&coin_train::RUN_FOLDER_ENTRIES);
        let tuned = |name: &str| (self.out.join(name), run());
        [(self.out.join("base"), written(&BASE_FILES)), tuned("cit"), tuned("coin"), tuned("robust")]
    }

    /// Checks that the demo may write to its folder. Does not change anything.
    ///
    /// # Errors
    /// [`CoreError::ForeignFolder`] for the output folder or a folder in it; [`CoreError::Io`].
    pub fn check(&self) -> Result<(), CoreError> {
        output_folder::check(&self.out, &Self::ENTRIES)?;
        self.folders().iter().try_for_each(|(folder, written)| output_folder::check(folder, written))
    }

    /// Trains `cit` and `coin` on the same pairs and `robust` on pairs with perturbed wordings, all from the same base model, evaluates
    /// all four, and writes `base/`, `pairs.jsonl`, `robust-pairs.jsonl`, `instructions.json`, `cit/`, `coin/`, `robust/`, `summary.json`
    /// and `report.html` to `out`. Replaces the results of an
    /// earlier demo. Returns `None` if `stop` became true before the end.
    ///
    /// # Errors
    /// Same as [`check`](Self::check); also if another process writes to the folder, a file cannot be written, or a loss is not
    /// finite.
    pub fn run(
        &self,
        device: &Device,
        stop: &AtomicBool,
        mut progress: impl FnMut(DemoProgress),
    ) -> Result<Option<Summary>> {
        self.check()?;
        let _held = OutputFolder::claim(&self.out, &Self::ENTRIES)?;
        let base = self.out.join("base");
        // Results of an earlier demo do not belong to the new ledgers.
        for name in ["summary.json", "report.html"] {
            match std::fs::remove_file(self.out.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", self.out.join(name).display()));
                }
                _ => {}
            }
        }
        for (folder, written) in self.folders() {
            let _held = OutputFolder::claim(&folder, &written)?;
            // A stopped demo leaves checkpoints, and a new training run refuses to start with them.
            let checkpoints = folder.join("checkpoints");
            if checkpoints.is_dir() {
                let removed = std::fs::remove_dir_all(&checkpoints);
                removed.with_context(|| format!("cannot remove {}", checkpoints.display()))?;
            }
        }
        write_base(&base)?;
        let count = |steps: usize| steps * self.batch_pairs + VALIDATION_PAIRS;
        let [pairs_file, robust_file] = ["pairs.jsonl", "robust-pairs.jsonl"].map(|name| self.out.join(name));
        coin_data::pairs::write_jsonl(&pairs_file, &pairs(self.seed, count(self.steps))?)?;
        coin_data::pairs::write_jsonl(&robust_file, &robust_pairs(self.seed, count(self.robust_steps()))?)?;
        let instructions = instructions(self.seed)?;
        let json = serde_json::to_vec_pretty(&instructions.to_json())?;
        coin_core::file::write_atomically(self.out.join("instructions.json"), |file| file.write_all(&json))?;

        let mut curves = Vec::new();
        for (name, kind, steps, pairs_file) in [
            ("cit", Objective::Cit, self.steps, &pairs_file),
            ("coin", Objective::Coin, self.steps, &pairs_file),
            ("robust", Objective::Cit, self.robust_steps(), &robust_file),
        ] {
            let config = self.run_config(name, kind, steps, &base, pairs_file);
            let options = RunOptions { stop: Some(stop), ..RunOptions::default() };
            let tuned =
                Trainer::new(config, device)?.run(options, |event| progress(DemoProgress::Training(name, event)))?;
            if let TrainOutcome::Stopped(_) = tuned {
                return Ok(None);
            }
            curves.push(learning_curves::read(&self.out.join(name), name)?);
        }

        let (mut runs, mut evaluated) = (Vec::new(), Vec::new());
        for name in ["base", "cit", "coin", "robust"] {
            let adapter = (name != "base").then(|| self.out.join(name).join("adapter"));
            let format = WeightFormat::default();
            let (mut model, _) = model_folder::for_evaluation(
                &base,
                adapter.as_deref(),
                format,
                device,
                model_folder::engine_options(device),
            )?;
            let world = World::new(WORLD_SEED);
            // The seed chooses the examples from a pool of four times their number.
            let pool = self.samples * 4;
            let evaluation = Evaluation {
                samples: self.samples,
                seed: self.seed,
                ..Evaluation::new(Task::glue(), instructions.clone())
            };
            let folder = self.out.join(name);
            let mut plan = evaluation.plan(&|task| world.evaluation(&task.name, pool))?;
            plan.fit(&model)?;
            let _held = OutputFolder::claim(&folder, &folder::ENTRIES)?;
            let mut model = Stoppable::new(&mut model, stop);
            let mut ledger = Ledger::create(folder.join(folder::LEDGER))?;
            folder::begin(&folder, &plan, &evaluation.tasks)?;
            let answered = plan.run(&mut model, &mut ledger, &mut |done, total| {
                progress(DemoProgress::Evaluating(name, done, total));
            });
            if model.stopped() {
                return Ok(None);
            }
            let records = answered?;
            let run = statistics::score_with_intervals(name, &records, &evaluation.tasks, Bootstrap::default())?;
            folder::finish(&folder, &plan, &records, &run, 0)?;
            let mapped = [MAPPED.to_owned()];
            let states = folder::write_states(&folder, &plan, &mut model, &mapped, &records, &mut |_, _| ());
            if model.stopped() {
                return Ok(None);
            }
            states?;
            runs.push(run);
            evaluated.extend(Evaluated::read(&folder, name)?);
        }
        let mut summary = Summary::new(self.settings(), runs);
        let find = |name: &str| evaluated.iter().find(|one| one.name == name).expect("every run was evaluated");
        // Everything that was tuned is compared with the plain way to tune.
        for (before, after) in [("base", "cit"), ("cit", "coin"), ("cit", "robust")] {
            let compared = folder::compare_two(&mut summary, find(before), find(after), Bootstrap::default());
            if let Some(reason) = compared {
                bail!("{reason}");
            }
        }
        summary.write(self.out.join("summary.json"))?;
        let report = Report::of_runs(summary.clone(), curves, &evaluated)?;
        report.write_html(self.out.join("report.html"))?;
        Ok(Some(summary))
    }

    /// The optimizer steps of `robust`. Varied wordings pay off after more steps than plain ones, which make a model more brittle then.
    fn robust_steps(&self) -> usize {
        self.steps * 7 / 2
    }

    fn run_config(&self, name: &str, kind: Objective, steps: usize, base: &Path, pairs: &Path) -> RunConfig {
        RunConfig {
            out: self.out.join(name),
            model: ModelTable::new(base),
            data: DataTable { validation_pairs: VALIDATION_PAIRS, ..DataTable::new(pairs) },
            lora: Some(LoraConfig::default()),
            objective: ObjectiveTable { kind, ..ObjectiveTable::default() },
            train: TrainTable {
                batch_pairs: self.batch_pairs,
                micro_batch_pairs: self.batch_pairs,
                steps: Some(steps),
                learning_rate: LEARNING_RATE,
                validate_every: Some(0),
                checkpoint_every: Some(0),
                seed: self.seed,
                device: self.device.clone(),
                ..TrainTable::default()
            },
        }
    }

    fn settings(&self) -> serde_json::Map<String, serde_json::Value> {
        let settings = serde_json::json!({
            "command": "demo",
            "seed": self.seed,
            "samples": self.samples,
            "steps": self.steps,
            "batch_pairs": self.batch_pairs,
            "learning_rate": LEARNING_RATE,
            "robust_steps": self.robust_steps(),
            "robust_attacks": ROBUST_ATTACKS,
            "preset": "strict",
            "device": self.device,
        });
        settings.as_object().cloned().unwrap_or_default()
    }
}

/// Writes the embedded base model to `folder` in Hugging Face's layout. Creates the folder if necessary.
///
/// # Errors
/// The files cannot be written.
pub fn write_base(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, bytes) in BASE {
        coin_core::file::write_atomically(folder.join(name), |file| file.write_all(bytes))?;
    }
    Ok(())
}

/// At least `count` contrastive pairs of the demo world, with the same number from each of the [`FAMILIES`], shuffled.
///
/// # Errors
/// Does not fail in practice, because the built-in templates match the world.
pub fn pairs(seed: u64, count: usize) -> Result<Vec<Pair>> {
    let templates = TemplateSet::demo();
    built(PairBuilder::new(&templates, seed), seed, count)
}

/// Like [`pairs`], with half of the wordings perturbed by [`ROBUST_ATTACKS`].
///
/// # Errors
/// Does not fail in practice, because the built-in templates match the world.
pub fn robust_pairs(seed: u64, count: usize) -> Result<Vec<Pair>> {
    let templates = TemplateSet::demo();
    let augmentation = Augmentation::new(&ROBUST_ATTACKS.map(str::to_owned), 0.5)?;
    let builder = PairBuilder::new(&templates, seed).with_rewording(&augmentation, RewordedSide::Both, seed);
    built(builder, seed, count)
}

fn built(builder: PairBuilder, seed: u64, count: usize) -> Result<Vec<Pair>> {
    let world = World::new(WORLD_SEED);
    let per_family = count.div_ceil(FAMILIES.len()).next_multiple_of(2);
    let mut lists = Vec::new();
    for family in FAMILIES {
        let task = Task::named(family)?;
        let instances = world.training(family, per_family)?;
        lists.push(builder.build(&task, &instances, per_family)?.0);
    }
    Ok(coin_data::pairs::interleave(lists, seed)?)
}

/// The clean and semantic instructions of the demo world, and their perturbations at the character, word and sentence levels
/// with this seed.
///
/// # Errors
/// Does not fail in practice, because the built-in instructions can be perturbed.
pub fn instructions(seed: u64) -> Result<InstructionSet> {
    let mut set = InstructionSet::demo();
    let clean = set.level(coin_eval::levels::CLEAN)?.clone();
    let label_words: LabelWords =
        clean.keys().map(|name| Ok((name.clone(), Task::named(name)?.label_words()))).collect::<Result<_>>()?;
    for name in ["deepwordbug", "textfooler", "checklist"] {
        let perturbed = perturb_set(&clean, &[attack_named(name)?], &label_words, seed)?;
        let instructions = perturbed.sets()[name].clone();
        set = set.with_level(name, instructions)?;
    }
    Ok(set)
}

/// The attacks that perturb the training wordings of `robust`. None of them is used to evaluate.
pub const ROBUST_ATTACKS: [&str; 3] = ["textbugger", "bertattack", "stresstest"];

/// The peak learning rate of all runs. This project's value: the paper's 1e-4 is for a model 5,000 times larger.
pub const LEARNING_RATE: f64 = 2e-3;

/// The task whose hidden states are shown as a map, as in the paper.
const MAPPED: &str = "cola";

/// Held-out pairs of each run.
pub(crate) const VALIDATION_PAIRS: usize = 128;
