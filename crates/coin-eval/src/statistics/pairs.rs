//! Pairs of answers of two runs to the same prompts, and McNemar's tests on the discordant ones (one right, the other wrong).

use std::collections::BTreeMap;

use coin_core::quote::cut;

use super::{mcnemar_clustered, mcnemar_exact};
use crate::EvalError;
use crate::metrics::answers::{Answers, right, shared};
use crate::metrics::summary::{McNemar, PValue};
use crate::run::ledger::Record;

/// Gained minus lost pairs of every example, for each cell.
pub(super) struct Pairs {
    cells: Vec<CellPairs>,
}

struct CellPairs {
    /// Place of the task.
    task: usize,
    gained: usize,
    lost: usize,
    /// Gained minus lost pairs, by place of the row.
    by_row: BTreeMap<usize, i64>,
}

impl Pairs {
    /// Pairs the answers of two runs, called `names`, with the same tasks, levels, instructions and rows. Rejects an example
    /// whose class differs between the runs.
    pub fn new(names: [&str; 2], before: &Answers, after: &Answers) -> Result<Pairs, EvalError> {
        let mut cells = Vec::new();
        for (place, (task, other)) in before.tasks.iter().zip(&after.tasks).enumerate() {
            for (level, other) in task.levels.iter().zip(&other.levels) {
                let mut cell = CellPairs { task: place, gained: 0, lost: 0, by_row: BTreeMap::new() };
                for (column, other) in level.columns.iter().zip(&other.columns) {
                    for (answer, (before, after)) in column.answers.iter().zip(shared(column, other)) {
                        if before.gold != after.gold {
                            let [a, b] = names.map(cut);
                            let Record { task, level, row, .. } = before;
                            let (task, level) = (cut(task), cut(level));
                            return Err(EvalError::Invalid(format!(
                                "task `{task}`, level `{level}`, row {row}: class {} in run `{a}`, but class {} in run `{b}`",
                                before.gold, after.gold
                            )));
                        }
                        let (gained, lost) = (right(after) && !right(before), right(before) && !right(after));
                        cell.gained += usize::from(gained);
                        cell.lost += usize::from(lost);
                        *cell.by_row.entry(answer.0).or_default() += i64::from(gained) - i64::from(lost);
                    }
                }
                cells.push(cell);
            }
        }
        Ok(Pairs { cells })
    }

    /// Computes the tests on the pooled pairs of `cells`. An example of several cells is one cluster.
    pub fn test(&self, cells: &[usize]) -> McNemar {
        let (mut gained, mut lost) = (0, 0);
        let mut clusters: BTreeMap<(usize, usize), i64> = BTreeMap::new();
        for cell in cells.iter().map(|cell| &self.cells[*cell]) {
            gained += cell.gained;
            lost += cell.lost;
            for (row, difference) in &cell.by_row {
                *clusters.entry((cell.task, *row)).or_default() += difference;
            }
        }
        let (clustered_statistic, clustered) = mcnemar_clustered(&clusters.into_values().collect::<Vec<_>>());
        let alone = |value| PValue { value, holm: None };
        let exact_p = alone(mcnemar_exact(gained, lost));
        McNemar { gained, lost, exact_p, clustered_statistic, clustered_p: alone(clustered) }
    }
}
