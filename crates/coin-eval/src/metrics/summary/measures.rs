//! Measures of a task at a level, of a level, or of a group. `docs/metrics.md` gives the formulas.

use serde::{Deserialize, Serialize};

/// Measures of a cell (a task at a level), a level or a group.
///
/// The values of a level or a group are means over its tasks. The values of [`AVERAGE`](super::AVERAGE) are means over the
/// levels. A mean of optional values skips missing ones. Only [`shortened`](Measures::shortened) is a sum.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measures {
    /// Mean over instructions of the fraction of right answers.
    pub accuracy: f64,
    /// 95 % bootstrap interval of `accuracy`. `None` if no interval was requested.
    pub accuracy_interval: Option<Interval>,
    /// Population standard deviation of accuracy over a task's instructions.
    pub std: f64,
    /// Accuracy under the instruction with the lowest accuracy.
    pub worst_instruction: f64,
    /// Highest minus lowest accuracy over the instructions.
    pub spread: f64,
    /// Fraction of examples that are answered right under every instruction.
    pub worst_case: f64,
    /// Fraction of generations that do not name a class.
    pub unparsable: f64,
    /// Fraction of generations that consist of a thought without an end; included in `unparsable`. Written only if it is not 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unfinished_thoughts: f64,
    /// Fraction of generations with a margin below [`NEAR_TIE`](crate::metrics::NEAR_TIE), among those that have a margin.
    /// `None` if no generation has one.
    pub near_ties: Option<f64>,
    /// Number of shortened prompts. Also summed over tasks and levels.
    pub shortened: usize,
    /// Mean cosine of hidden states to those under the clean instruction. `None` at level `clean`.
    pub cosine: Option<f64>,
    /// Accuracy minus the accuracy at level `clean`. `None` if `clean` was not run.
    pub change: Option<f64>,
    /// 95 % bootstrap interval of `change`. `None` at level `clean`, or if no interval was requested.
    pub change_interval: Option<Interval>,
    /// Performance drop rate, 1 - accuracy / accuracy at level `clean`. `None` at level `clean`, and if `clean`
    /// was not run or has accuracy 0.
    pub drop_rate: Option<f64>,
    /// Mean over pairs of instructions of the fraction of examples that get the same class under both. `None` if there is
    /// only one instruction.
    pub consistency: Option<f64>,
    /// Fraction of answers with the same class as under the clean instruction of the same number for the same example.
    /// `None` at level `clean`, and if no example is shared with it.
    pub clean_consistency: Option<f64>,
    /// Mean over instructions of F1 of class 1. `None` for tasks that do not list it among their metrics.
    pub f1: Option<f64>,
    /// Mean over instructions of the Matthews correlation. `None` for tasks that do not list it among their metrics.
    pub matthews: Option<f64>,
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// The ends of an interval, in the unit of the estimated value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Settings of the bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Number of times the examples and the instructions are resampled.
    pub replicates: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 1000 replicates and seed 42, both chosen by this project.
    fn default() -> Self {
        Bootstrap { replicates: 1000, seed: 42 }
    }
}
