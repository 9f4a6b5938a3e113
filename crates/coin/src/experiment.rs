//! Experiments: several arms (ways to train a model), each run with several seeds and compared with a baseline.
//!
//! An arm and a seed are a [`Unit`], with a folder of its own. An arm that leaves out the level evaluated has one unit for every
//! level and seed. Units do not depend on each other, so they can run in any order, at the same time and on several
//! machines. Finished units are not repeated, and an interrupted one resumes. [`Experiment::collect`] compares the arms.
//!
//! ```text
//! OUT/experiment.resolved.toml              the settings of every arm
//! OUT/world/                                base model, pairs and instructions, if the world is generated
//! OUT/arms/ARM/seed-1/settings.toml         the unit's settings, with which it is compared when it resumes
//! OUT/arms/ARM/seed-1/training/             run folder
//! OUT/arms/ARM/seed-1/evaluation/           evaluation folder
//! OUT/arms/ARM/without-word/seed-1/         a unit of an arm that leaves out the level evaluated
//! OUT/table.md, summary.json, report.html   the comparison
//! ```
//!
//! `docs/experiments.md` describes the file and the results.

mod arm;
mod file;
mod results;
mod unit;
mod world;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use coin_core::CoreError;
use coin_core::output_folder::{self, OutputFolder};
use coin_eval::Bootstrap;

pub use arm::{Arm, Augment, LEAVE_LEVEL_OUT, Variant};
pub use file::EvaluationTable;
pub use unit::{Unit, UnitProgress, UnitSettings};
pub use world::WorldTable;

/// The names that an experiment writes and replaces in its folder.
pub const ENTRIES: [&str; 6] = [RESOLVED, "arms", "report.html", "summary.json", "table.md", "world"];

/// The resolved settings of all arms.
const RESOLVED: &str = "experiment.resolved.toml";

/// An experiment whose settings are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// The experiment's name.
    pub name: String,
    /// Output folder.
    pub out: PathBuf,
    /// The seeds. A seed determines pairs, initial adapters, order, dropout, perturbations and the choice of examples.
    pub seeds: Vec<u64>,
    /// The arm with which the others are compared.
    pub baseline: String,
    /// Settings of intervals and p-values.
    pub bootstrap: Bootstrap,
    /// Base model, pairs, examples and instructions.
    pub world: WorldTable,
    /// Settings of the evaluations.
    pub evaluation: EvaluationTable,
    /// The evaluated levels, `clean` first.
    pub levels: Vec<String>,
    /// The arms, in the order of the tables.
    pub arms: Vec<Arm>,
}

impl Experiment {
    /// Reads and checks the experiment file `path`. `out` replaces the file's output folder.
    ///
    /// # Errors
    /// The file cannot be read, or a setting is wrong. The message names the key, the value and what was expected.
    pub fn read(path: &Path, out: Option<&Path>) -> Result<Self> {
        let text = coin_core::file::read_to_string(path)?;
        file::parse(&text, &path.display().to_string(), out)
    }

    /// Every unit, by seed and then by arm.
    pub fn units(&self) -> Vec<Unit> {
        let of_seed = |seed: &u64| self.arms.iter().flat_map(|arm| arm.units(self, *seed)).collect::<Vec<_>>();
        self.seeds.iter().flat_map(of_seed).collect()
    }

    /// Checks that the experiment may write to its folder, and that every unit in it was made with the same settings. Does not
    /// change anything.
    ///
    /// # Errors
    /// The folder was not created by this program, or a unit has other settings. The message names the keys that differ.
    pub fn check(&self) -> Result<()> {
        output_folder::check(&self.out, &ENTRIES)?;
        for unit in self.units() {
            unit.check(&self.out)?;
        }
        self.world.check(&self.seeds)
    }

    /// Creates the folder, and writes the resolved settings and the parts of the world that the `units` need and that are not
    /// there.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn prepare(&self, units: &[&Unit]) -> Result<()> {
        drop(self.claim()?);
        let text = toml::to_string(&self.resolved()?).context("cannot write the resolved settings")?;
        coin_core::file::write_atomically(self.out.join(RESOLVED), |file| file.write_all(text.as_bytes()))?;
        units.iter().try_for_each(|unit| self.world.write(&self.out, &unit.settings))
    }

    /// Marks and locks the experiment's folder, which is only done for moments: units have locks of their own.
    ///
    /// # Errors
    /// As [`OutputFolder::claim`].
    pub fn claim(&self) -> Result<OutputFolder> {
        Ok(unit::claim(&self.out, &ENTRIES)?)
    }

    /// The resolved settings of all arms.
    fn resolved(&self) -> Result<toml::Table> {
        let mut table = toml::Table::new();
        table.insert("name".to_owned(), self.name.clone().into());
        table.insert("seeds".to_owned(), toml::Value::try_from(&self.seeds)?);
        table.insert("baseline".to_owned(), self.baseline.clone().into());
        table.insert("draws".to_owned(), toml::Value::try_from(self.bootstrap.replicates)?);
        table.insert("levels".to_owned(), toml::Value::try_from(&self.levels)?);
        table.insert("world".to_owned(), toml::Value::try_from(&self.world)?);
        table.insert("evaluation".to_owned(), toml::Value::try_from(&self.evaluation)?);
        let arms = self.arms.iter().map(|arm| Ok(toml::Value::Table(arm.resolved()?))).collect::<Result<Vec<_>>>()?;
        table.insert("arm".to_owned(), toml::Value::Array(arms));
        Ok(table)
    }
}

/// The N-th share of a job array, such as `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The share, from 1.
    pub index: usize,
    /// The number of shares.
    pub of: usize,
}

impl Share {
    /// True if the unit at this place belongs to the share.
    pub fn contains(self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

impl std::str::FromStr for Share {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Share { index, of }),
            _ => bail!("expected I/N with I from 1 to N, such as 2/5"),
        }
    }
}

/// True if another process holds the lock of a folder.
fn is_locked(error: &CoreError) -> bool {
    matches!(error, CoreError::Locked { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_divide_the_units() {
        let share: Share = "2/3".parse().unwrap();
        assert_eq!((0..7).filter(|place| share.contains(*place)).collect::<Vec<_>>(), [1, 4]);
        for wrong in ["", "0/2", "3/2", "1/0", "1", "a/b", "-1/2"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
