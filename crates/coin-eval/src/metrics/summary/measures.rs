//! What is measured of a task at a level, of a level or of a group. `docs/metrics.md` gives the formulas.

use serde::{Deserialize, Serialize};

/// What is measured of a cell (a task at a level), a level or a group.
///
/// A level's and a group's values are the means over its tasks, those of [`AVERAGE`](super::AVERAGE) the means over the
/// levels; a mean of optional values leaves out what has none. Only [`shortened`](Measures::shortened) is a sum.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measures {
    /// Mean over instructions of the share of right answers.
    pub accuracy: f64,
    /// 95 % bootstrap interval of `accuracy`; none where no interval was asked for.
    pub accuracy_interval: Option<Interval>,
    /// Population standard deviation of accuracy over a task's instructions.
    pub std: f64,
    /// Accuracy under the instruction with the lowest.
    pub worst_instruction: f64,
    /// Highest minus lowest accuracy of an instruction.
    pub spread: f64,
    /// Share of examples that are answered right under every instruction.
    pub worst_case: f64,
    /// Share of generations that name no class.
    pub unparsable: f64,
    /// Share of generations that are a thought without an end; part of `unparsable`. Written only where it is not 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unfinished_thoughts: f64,
    /// Share of generations whose margin is below [`NEAR_TIE`](crate::metrics::NEAR_TIE), of those that have one; none
    /// where none has.
    pub near_ties: Option<f64>,
    /// How many prompts were shortened: a sum, over tasks and levels too.
    pub shortened: usize,
    /// Mean cosine of hidden states to those under the clean instruction; none at level `clean`.
    pub cosine: Option<f64>,
    /// Accuracy minus that at level `clean`; none where `clean` was not run.
    pub change: Option<f64>,
    /// 95 % bootstrap interval of `change`; none at level `clean` and where no interval was asked for.
    pub change_interval: Option<Interval>,
    /// Performance drop rate, 1 - accuracy / accuracy at level `clean`; none at level `clean`, and where that was not
    /// run or its accuracy is 0.
    pub drop_rate: Option<f64>,
    /// Mean over pairs of instructions of the share of examples that both give the same class; none where there is one
    /// instruction.
    pub consistency: Option<f64>,
    /// Share of answers with the same class as under the clean instruction of the same number for the same example;
    /// none at level `clean`, and where no example is shared with it.
    pub clean_consistency: Option<f64>,
    /// Mean over instructions of F1 of class 1; none for tasks that do not name it among their metrics.
    pub f1: Option<f64>,
    /// Mean over instructions of the Matthews correlation; none for tasks that do not name it among their metrics.
    pub matthews: Option<f64>,
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// The ends of an interval, both in the unit of what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How intervals were drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// How many times the examples and the instructions were drawn again.
    pub replicates: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 1000 replicates, seed 42; both ours.
    fn default() -> Self {
        Bootstrap { replicates: 1000, seed: 42 }
    }
}
