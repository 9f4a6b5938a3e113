//! Assignment of cells (a task at a level) to the rows of a summary: levels, groups, and the average over levels.

use std::collections::BTreeSet;

use super::answers::{Answers, order};
use super::summary::AVERAGE;
use crate::levels::{CLEAN, LEVELS};

/// Order of the task groups in tables. Others follow, sorted by name.
const GROUPS: [&str; 4] = ["sentiment", "nli", "paraphrase", "grammar"];

/// The cells and rows of a summary, in its order.
pub(crate) struct Aggregation<'a> {
    pub cells: Vec<Cell<'a>>,
    /// The levels and [`AVERAGE`], then the same for each group.
    pub rows: Vec<Row<'a>>,
}

/// A task at a level.
pub(crate) struct Cell<'a> {
    pub task: &'a str,
    pub group: &'a str,
    pub level: &'a str,
    /// The cell of the same task at level `clean`.
    pub clean: Option<usize>,
}

/// A mean over cells or rows.
pub(crate) struct Row<'a> {
    /// The group, or `None` for all tasks.
    pub group: Option<&'a str>,
    pub level: &'a str,
    /// Number of tasks.
    pub tasks: usize,
    pub of: Of,
}

/// The values that a row averages.
pub(crate) enum Of {
    /// The cells of one level.
    Cells(Vec<usize>),
    /// The rows of all levels, and which of them is `clean`.
    Rows { rows: std::ops::Range<usize>, clean: Option<usize> },
}

impl<'a> Aggregation<'a> {
    pub fn new(answers: &Answers<'a>) -> Aggregation<'a> {
        let mut cells: Vec<Cell<'a>> = Vec::new();
        for task in &answers.tasks {
            let clean = task.levels.iter().position(|level| level.level == CLEAN).map(|place| cells.len() + place);
            let cell = |level: &'a str| Cell { task: task.task, group: task.group, level, clean };
            cells.extend(task.levels.iter().map(|level| cell(level.level)));
        }
        let groups: BTreeSet<(usize, &str)> =
            cells.iter().map(|cell| (order(&GROUPS, cell.group), cell.group)).collect();
        let mut rows = Vec::new();
        add_rows(&mut rows, &cells, None);
        for (_, group) in groups {
            add_rows(&mut rows, &cells, Some(group));
        }
        Aggregation { cells, rows }
    }

    /// Computes the rows of a value given for each cell.
    pub fn rows_of(&self, cells: &[f64]) -> Vec<f64> {
        let mut values: Vec<f64> = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            values.push(match &row.of {
                Of::Cells(members) => mean(members.iter().map(|cell| cells[*cell])),
                Of::Rows { rows, .. } => mean(values[rows.clone()].iter().copied()),
            });
        }
        values
    }

    /// Computes the cells' changes from level `clean`.
    pub fn cell_changes(&self, cells: &[f64]) -> Vec<Option<f64>> {
        let change = |(cell, value): (&Cell, &f64)| cell.clean.map(|clean| value - cells[clean]);
        self.cells.iter().zip(cells).map(change).collect()
    }

    /// Computes the rows' changes from level `clean`. The change of a level is the mean over the tasks that have one. The change
    /// of the average is the difference of two rows, because a task may lack a level.
    pub fn row_changes(&self, cells: &[f64], rows: &[f64]) -> Vec<Option<f64>> {
        let of_cells = self.cell_changes(cells);
        let change = |(row, value): (&Row, &f64)| match &row.of {
            Of::Cells(members) => mean_of_some(members.iter().map(|cell| of_cells[*cell])),
            Of::Rows { clean, .. } => clean.map(|clean| value - rows[clean]),
        };
        self.rows.iter().zip(rows).map(change).collect()
    }
}

fn add_rows<'a>(rows: &mut Vec<Row<'a>>, cells: &[Cell<'a>], group: Option<&'a str>) {
    let inside = || cells.iter().enumerate().filter(|(_, cell)| group.is_none_or(|group| cell.group == group));
    let levels: BTreeSet<(usize, &str)> = inside().map(|(_, cell)| (order(&LEVELS, cell.level), cell.level)).collect();
    let first = rows.len();
    for (_, level) in levels {
        let members: Vec<usize> = inside().filter(|(_, cell)| cell.level == level).map(|(place, _)| place).collect();
        rows.push(Row { group, level, tasks: members.len(), of: Of::Cells(members) });
    }
    let clean = (first..rows.len()).find(|row| rows[*row].level == CLEAN);
    let tasks: BTreeSet<&str> = inside().map(|(_, cell)| cell.task).collect();
    let of = Of::Rows { rows: first..rows.len(), clean };
    rows.push(Row { group, level: AVERAGE, tasks: tasks.len(), of });
}

/// The arithmetic mean, in f64. Returns 0 for no values, which no caller passes.
pub(crate) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// The mean of the values that are present. `None` if there are none.
pub(crate) fn mean_of_some(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values.flatten().fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
