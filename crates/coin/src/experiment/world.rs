//! Base model, pairs, examples and instructions of an experiment.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use coin_data::glue::{self, Split};
use coin_data::{Instance, Task};
use coin_eval::InstructionSet;
use coin_eval::levels::LEVELS;
use coin_train::RunConfig;
use serde::{Deserialize, Serialize};

use super::arm::merge;
use super::unit::UnitSettings;
use crate::demo::{self, BASE_FILES, Demo, World};

/// Replaced by the seed in the paths of `kind = "files"`.
const SEED: &str = "{seed}";

/// Maximum number of pairs of the generated world. A larger number is a mistake.
const MOST_PAIRS: usize = 10_000_000;

/// Folder of the generated world.
const FOLDER: &str = "world";

/// `[world]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum WorldTable {
    /// The embedded base model and the generated world of `coin demo`, with its pairs and instructions. With the settings of the
    /// demo, an arm and a seed give the same numbers as the demo with this seed.
    Demo {},
    /// A model folder and files.
    Files {
        /// Model folder in Hugging Face's layout.
        model: PathBuf,
        /// File of pairs. `{seed}` in the path is replaced by the seed.
        pairs: PathBuf,
        /// GLUE folder, as for `coin eval --glue`.
        glue: PathBuf,
        /// Instructions of all levels, as for `coin eval --prompts`. `{seed}` in the path is replaced by the seed. Default: the
        /// built-in ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompts: Option<PathBuf>,
        /// GLUE tasks. Default: all ten.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tasks: Option<Vec<String>>,
    },
}

impl WorldTable {
    /// The table with absolute paths, because units run in the experiment's folder.
    pub(super) fn absolute(self) -> Result<Self> {
        let absolute = |path: PathBuf| std::path::absolute(&path).with_context(|| format!("world: {}", path.display()));
        Ok(match self {
            WorldTable::Demo {} => WorldTable::Demo {},
            WorldTable::Files { model, pairs, glue, prompts, tasks } => WorldTable::Files {
                model: absolute(model)?,
                pairs: absolute(pairs)?,
                glue: absolute(glue)?,
                prompts: prompts.map(absolute).transpose()?,
                tasks,
            },
        })
    }

    /// The levels that can be evaluated, `clean` first.
    pub(super) fn levels(&self, seeds: &[u64]) -> Result<Vec<String>> {
        match self {
            WorldTable::Demo {} => Ok(LEVELS.map(str::to_owned).to_vec()),
            WorldTable::Files { .. } => {
                let mut found: Option<(u64, Vec<String>)> = None;
                for seed in seeds {
                    let set = self.instructions(*seed)?;
                    let levels: Vec<String> = set.level_names().into_iter().map(str::to_owned).collect();
                    match &found {
                        None => found = Some((*seed, levels)),
                        Some((first, known)) if *known != levels => {
                            let (known, levels) = (known.join(", "), levels.join(", "));
                            bail!("world.prompts: seed {first} has the levels {known}, but seed {seed} has {levels}");
                        }
                        Some(_) => {}
                    }
                }
                Ok(found.map(|(_, levels)| levels).unwrap_or_default())
            }
        }
    }

    /// Run settings that replace the defaults of a run file: those of the demo, with checkpoints.
    pub(super) fn defaults(&self) -> toml::Table {
        let mut table = toml::Table::new();
        if let WorldTable::Demo {} = self {
            let set = |table: &mut toml::Table, outer: &str, key: &str, value: toml::Value| {
                let inner = toml::Table::from_iter([(key.to_owned(), value)]);
                merge(table, toml::Table::from_iter([(outer.to_owned(), inner.into())]));
            };
            let of_demo = Demo::new(FOLDER);
            let number = |value: usize| toml::Value::Integer(value as i64);
            set(&mut table, "data", "validation_pairs", number(demo::VALIDATION_PAIRS));
            for (key, value) in [
                ("steps", of_demo.steps),
                ("batch_pairs", of_demo.batch_pairs),
                ("validate_every", 0),
                ("checkpoint_every", 50),
            ] {
                set(&mut table, "train", key, number(value));
            }
            set(&mut table, "train", "learning_rate", demo::LEARNING_RATE.into());
        }
        table
    }

    /// Fills in settings that depend on others: new adapters unless an adapter is continued, and, as in the demo, one pass per
    /// step.
    pub(super) fn complete(&self, table: &mut toml::Table) {
        let continues = table.get("model").is_some_and(|model| model.get("adapter").is_some());
        if !continues && !table.contains_key("lora") {
            table.insert("lora".to_owned(), toml::Table::new().into());
        }
        let Some(train) = table.get_mut("train").and_then(toml::Value::as_table_mut) else { return };
        if let (WorldTable::Demo {}, Some(batch), None) =
            (self, train.get("batch_pairs").cloned(), train.get("micro_batch_pairs"))
        {
            train.insert("micro_batch_pairs".to_owned(), batch);
        }
    }

    /// The model folder.
    pub(super) fn model(&self) -> PathBuf {
        match self {
            WorldTable::Demo {} => Path::new(FOLDER).join("base"),
            WorldTable::Files { model, .. } => model.clone(),
        }
    }

    /// The file of pairs of a run. Runs of the generated world that need the same number of pairs share it.
    pub(super) fn pairs(&self, run: &RunConfig, seed: u64) -> PathBuf {
        match self {
            WorldTable::Demo {} => Path::new(FOLDER).join(format!("seed-{seed}/pairs-{}.jsonl", count(run))),
            WorldTable::Files { pairs, .. } => of_seed(pairs, seed),
        }
    }

    /// Checks that the files are there.
    pub(super) fn check(&self, seeds: &[u64]) -> Result<()> {
        let WorldTable::Files { model, pairs, glue, .. } = self else { return Ok(()) };
        for (key, path) in [("model", model), ("glue", glue)] {
            if !path.is_dir() {
                bail!("world.{key} = {}: no such folder", path.display());
            }
        }
        for seed in seeds {
            let path = of_seed(pairs, *seed);
            if !path.is_file() {
                bail!("world.pairs = {}: no such file", path.display());
            }
        }
        self.tasks().map(drop)
    }

    /// Writes the parts of the generated world that a unit needs and that are not in the experiment's folder `out`.
    pub(super) fn write(&self, out: &Path, unit: &UnitSettings) -> Result<()> {
        let WorldTable::Demo {} = self else { return Ok(()) };
        let base = out.join(self.model());
        if BASE_FILES.iter().any(|name| !base.join(name).is_file()) {
            demo::write_base(&base)?;
        }
        let Some(run) = &unit.run else { return Ok(()) };
        let path = out.join(&run.data.pairs);
        if path.is_file() {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let pairs = count(run);
        if pairs > MOST_PAIRS {
            bail!("train.steps x train.batch_pairs is {pairs} pairs, expected at most {MOST_PAIRS}");
        }
        let pairs = demo::pairs(unit.seed, pairs)?;
        Ok(coin_data::pairs::write_jsonl(&path, &pairs)?)
    }

    /// The instructions of all levels.
    pub(super) fn instructions(&self, seed: u64) -> Result<InstructionSet> {
        match self {
            WorldTable::Demo {} => demo::instructions(seed),
            WorldTable::Files { prompts: None, .. } => Ok(InstructionSet::glue()),
            WorldTable::Files { prompts: Some(path), .. } => {
                Ok(InstructionSet::read(of_seed(path, seed)).context("world.prompts")?)
            }
        }
    }

    /// The evaluated tasks.
    pub(super) fn tasks(&self) -> Result<Vec<Task>> {
        match self {
            WorldTable::Files { tasks: Some(names), .. } => {
                names.iter().map(|name| Task::named(name).context("world.tasks")).collect()
            }
            _ => Ok(Task::glue()),
        }
    }

    /// The examples of a task, from which `samples` are chosen.
    pub(super) fn examples(&self, task: &Task, samples: usize) -> Result<Vec<Instance>, coin_data::DataError> {
        match self {
            // As in the demo, the seed chooses from a pool of four times their number.
            WorldTable::Demo {} => World::new(demo::WORLD_SEED).evaluation(&task.name, samples.saturating_mul(4)),
            WorldTable::Files { glue, .. } => glue::read(glue, &task.name, Split::Validation),
        }
    }
}

/// The number of pairs that a run of the generated world needs.
fn count(run: &RunConfig) -> usize {
    run.train.steps.unwrap_or(1).saturating_mul(run.train.batch_pairs).saturating_add(run.data.validation_pairs)
}

/// The path for one seed.
fn of_seed(path: &Path, seed: u64) -> PathBuf {
    match path.to_str() {
        Some(text) => PathBuf::from(text.replace(SEED, &seed.to_string())),
        None => path.to_owned(),
    }
}
