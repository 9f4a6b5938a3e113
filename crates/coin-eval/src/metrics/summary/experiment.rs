//! The results of an experiment: several arms (ways to train), each run with the same seeds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Bootstrap, Interval, PValue, file};
use crate::EvalError;

/// The value of [`ExperimentSummary::schema`].
pub const EXPERIMENT_SCHEMA: &str = "coin.experiment";

/// The version of that schema.
pub const EXPERIMENT_VERSION: u32 = 1;

/// The name of the row that averages over all levels except `clean`.
pub const PERTURBED: &str = "perturbed";

/// The name of the row that averages over the perturbed levels that neither the arm nor the baseline was trained on.
pub const UNSEEN: &str = "unseen";

/// The results of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentSummary {
    /// Always [`EXPERIMENT_SCHEMA`].
    pub schema: String,
    /// Always [`EXPERIMENT_VERSION`].
    pub version: u32,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// Name of the experiment.
    pub name: String,
    /// The arm with which the others are compared.
    pub baseline: String,
    /// The seeds, in the order of [`ArmRow::seeds`].
    pub seeds: Vec<u64>,
    /// The levels, in the order of the rows.
    pub levels: Vec<String>,
    /// Settings of the bootstrap.
    pub bootstrap: Bootstrap,
    /// The arms, in the order of the experiment file.
    pub arms: Vec<ArmSummary>,
    /// The resolved settings.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// The arm's name.
    pub name: String,
    /// The evaluated levels whose attacks were used in training. Empty if the result at each level comes from a run that was
    /// trained without the attacks of this level.
    pub trained_levels: Vec<String>,
    /// A row for every level, then [`PERTURBED`], then [`UNSEEN`]. The last two are missing if they have no level.
    pub rows: Vec<ArmRow>,
}

impl ArmSummary {
    /// The row of `level`.
    pub fn row(&self, level: &str) -> Option<&ArmRow> {
        self.rows.iter().find(|row| row.level == level)
    }
}

/// One arm at one level, or averaged over several. All values are means over the seeds of means over the tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmRow {
    /// The level, [`PERTURBED`] or [`UNSEEN`].
    pub level: String,
    /// The levels that are averaged.
    pub levels: Vec<String>,
    /// Mean over instructions of the fraction of right answers.
    pub accuracy: f64,
    /// 95 % interval of `accuracy` over seeds, instructions and examples.
    pub accuracy_interval: Interval,
    /// Population standard deviation of accuracy over a task's instructions.
    pub std: f64,
    /// Accuracy under the instruction with the lowest accuracy.
    pub worst_instruction: f64,
    /// `accuracy` of each seed.
    pub seeds: Vec<f64>,
    /// The arm minus the baseline. `None` for the baseline.
    pub difference: Option<ArmDifference>,
}

/// An arm minus the baseline at the same levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmDifference {
    /// Difference of accuracy.
    pub accuracy: f64,
    /// Its 95 % interval.
    pub accuracy_interval: Interval,
    /// Its p-value, adjusted over the arms.
    pub accuracy_p: PValue,
    /// Difference of the standard deviation over instructions.
    pub std: f64,
    /// Its 95 % interval.
    pub std_interval: Interval,
    /// Its p-value, adjusted over the arms.
    pub std_p: PValue,
    /// Difference of the accuracy under the worst instruction.
    pub worst_instruction: f64,
    /// Difference of accuracy of each seed.
    pub seeds: Vec<f64>,
}

impl ExperimentSummary {
    /// The arm called `name`.
    pub fn arm(&self, name: &str) -> Option<&ArmSummary> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// Writes `path` atomically.
    ///
    /// # Errors
    /// [`EvalError::Io`] if it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        file::write(self, path.as_ref())
    }
}
