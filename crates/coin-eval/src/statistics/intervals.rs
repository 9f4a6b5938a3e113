//! 95 % intervals of one run's accuracies and of their changes from level `clean`.

use super::bootstrap::{Replicates, interval};
use crate::EvalError;
use crate::answers::Answers;
use crate::layout::Layout;
use crate::levels::CLEAN;
use crate::summary::{Bootstrap, Measures, RunSummary};

/// Fills in the intervals of `run`, which was measured on `answers`.
///
/// Every replicate goes through the same means as the measured values, so that an interval is one of what is beside it.
pub(crate) fn intervals(
    run: &mut RunSummary,
    answers: &Answers,
    layout: &Layout,
    bootstrap: Bootstrap,
) -> Result<(), EvalError> {
    let drawn = Replicates::draw(answers, bootstrap)?;
    let by_row = rows_by_replicate(layout, &drawn.accuracy);
    let changes = row_changes(layout, &drawn.accuracy, &by_row);

    for (place, cell) in layout.cells.iter().enumerate() {
        let measures = &mut run.tasks[place].measures;
        measures.accuracy_interval = Some(interval(drawn.accuracy[place].clone()));
        if let Some(clean) = cell.clean.filter(|clean| *clean != place) {
            let pairs = drawn.accuracy[place].iter().zip(&drawn.accuracy[clean]);
            measures.change_interval = Some(interval(pairs.map(|(value, clean)| value - clean).collect()));
        }
    }
    let rows: Vec<&mut Measures> = run
        .levels
        .iter_mut()
        .map(|row| &mut row.measures)
        .chain(run.groups.iter_mut().map(|row| &mut row.measures))
        .collect();
    for ((place, row), measures) in layout.rows.iter().enumerate().zip(rows) {
        measures.accuracy_interval = Some(interval(by_row[place].clone()));
        if row.level != CLEAN && measures.change.is_some() {
            measures.change_interval = Some(interval(changes[place].clone()));
        }
    }
    run.bootstrap = Some(bootstrap);
    Ok(())
}

/// A value's rows in every replicate, `[row][replicate]`.
pub(super) fn rows_by_replicate(layout: &Layout, cells: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut rows = vec![Vec::new(); layout.rows.len()];
    for replicate in 0..cells.first().map_or(0, Vec::len) {
        for (row, value) in rows.iter_mut().zip(layout.rows_of(&at(cells, replicate))) {
            row.push(value);
        }
    }
    rows
}

/// The rows' changes from level `clean` in every replicate; empty where a row has none.
fn row_changes(layout: &Layout, cells: &[Vec<f64>], rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut changes = vec![Vec::new(); layout.rows.len()];
    for replicate in 0..cells.first().map_or(0, Vec::len) {
        let of_rows = layout.row_changes(&at(cells, replicate), &at(rows, replicate));
        for (row, change) in changes.iter_mut().zip(of_rows) {
            row.extend(change);
        }
    }
    changes
}

fn at(values: &[Vec<f64>], replicate: usize) -> Vec<f64> {
    values.iter().map(|value| value[replicate]).collect()
}
