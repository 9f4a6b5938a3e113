//! Differences between two runs, on the generations that both have. `docs/metrics.md` describes the tests.

use serde::{Deserialize, Serialize};

use super::{Bootstrap, Interval};

/// One run minus another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the run that is subtracted.
    pub before: String,
    /// Name of the run it is subtracted from.
    pub after: String,
    /// Settings of the bootstrap for intervals and p-values.
    pub bootstrap: Bootstrap,
    /// Number of (task, level, instruction, row) that both runs have. Only these are compared.
    pub common: usize,
    /// Number that only `before` has.
    pub only_before: usize,
    /// Number that only `after` has.
    pub only_after: usize,
    /// A cell for every task and level. P-values are adjusted over all of them.
    pub tasks: Vec<TaskComparison>,
    /// A row for every level, [`AVERAGE`](super::AVERAGE) last. P-values are adjusted over the levels, excluding the average.
    pub levels: Vec<LevelComparison>,
    /// A row for every group and level, [`AVERAGE`](super::AVERAGE) last within each group. P-values are not adjusted.
    pub groups: Vec<GroupComparison>,
}

impl Comparison {
    /// The cell of `task` at `level`.
    pub fn task(&self, task: &str, level: &str) -> Option<&Difference> {
        self.tasks.iter().find(|cell| cell.task == task && cell.level == level).map(|cell| &cell.difference)
    }

    /// The row of `level`.
    pub fn level(&self, level: &str) -> Option<&Difference> {
        self.levels.iter().find(|row| row.level == level).map(|row| &row.difference)
    }

    /// The row of `group` at `level`.
    pub fn group(&self, group: &str, level: &str) -> Option<&Difference> {
        self.groups.iter().find(|row| row.group == group && row.level == level).map(|row| &row.difference)
    }
}

/// One task at one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskComparison {
    /// The task's name.
    pub task: String,
    /// The task's group.
    pub group: String,
    /// The level.
    pub level: String,
    /// The difference between the runs.
    #[serde(flatten)]
    pub difference: Difference,
}

/// All tasks at one level, or at all levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelComparison {
    /// The level.
    pub level: String,
    /// Number of tasks.
    pub tasks: usize,
    /// The difference between the runs.
    #[serde(flatten)]
    pub difference: Difference,
}

/// The tasks of one group at one level, or at all levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupComparison {
    /// The group.
    pub group: String,
    /// The level.
    pub level: String,
    /// Number of tasks.
    pub tasks: usize,
    /// The difference between the runs.
    #[serde(flatten)]
    pub difference: Difference,
}

/// `after` minus `before`, with 95 % intervals and two-sided p-values of the paired bootstrap, and McNemar's tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Difference of accuracies.
    pub accuracy: f64,
    /// Its interval.
    pub accuracy_interval: Interval,
    /// Bootstrap p-value of no difference in accuracy.
    pub accuracy_p: PValue,
    /// Difference of the standard deviations over instructions.
    pub std: f64,
    /// Its interval.
    pub std_interval: Interval,
    /// Bootstrap p-value of no difference in the standard deviations.
    pub std_p: PValue,
    /// Tests on the pairs of answers on which the runs disagree.
    pub mcnemar: McNemar,
}

/// Pairs of answers to the same prompt, one from each run, where one is right and the other is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Right in `after` only.
    pub gained: usize,
    /// Right in `before` only.
    pub lost: usize,
    /// Exact binomial test of `gained` against `lost`. It treats all pairs as independent, although pairs of one example are not.
    pub exact_p: PValue,
    /// Chi-square statistic (one degree of freedom) for pairs clustered by example. 0 if the runs agree.
    pub clustered_statistic: f64,
    /// P-value of the clustered statistic.
    pub clustered_p: PValue,
}

/// A two-sided p-value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PValue {
    /// The unadjusted p-value.
    pub value: f64,
    /// The p-value adjusted by Holm's procedure over the tests of the same kind in the same list. `None` for rows that are not adjusted.
    pub holm: Option<f64>,
}
