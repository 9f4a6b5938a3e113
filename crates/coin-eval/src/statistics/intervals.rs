//! 95 % intervals of one run's accuracies and of their changes from level `clean`.

use coin_data::Task;

use super::bootstrap::{Replicates, interval};
use crate::EvalError;
use crate::levels::CLEAN;
use crate::metrics::aggregation::Aggregation;
use crate::metrics::answers::Answers;
use crate::metrics::measure;
use crate::metrics::summary::{Bootstrap, Measures, RunSummary};
use crate::run::ledger::Record;

/// Scores one run of `tasks` with 95 % intervals of accuracy and of its change from level `clean`. See
/// [`statistics`](crate::statistics).
///
/// # Errors
/// As [`score`](crate::metrics::score), and [`EvalError::Invalid`] if the number of replicates is outside its domain ([`Bootstrap::check`]).
pub fn score_with_intervals(
    name: impl Into<String>,
    records: &[Record],
    tasks: &[Task],
    bootstrap: Bootstrap,
) -> Result<RunSummary, EvalError> {
    let name = name.into();
    let answers = Answers::new(&name, records, tasks)?;
    let aggregation = Aggregation::new(&answers);
    let mut run = measure(name, &answers, &aggregation);
    intervals(&mut run, &answers, &aggregation, bootstrap)?;
    Ok(run)
}

/// Fills in the intervals of `run`, whose measures were computed from `answers`.
///
/// Every replicate is averaged like the measured values, so that each interval refers to the value it is stored with.
fn intervals(
    run: &mut RunSummary,
    answers: &Answers,
    aggregation: &Aggregation,
    bootstrap: Bootstrap,
) -> Result<(), EvalError> {
    let drawn = Replicates::draw(answers, bootstrap)?;
    let by_row = rows_by_replicate(aggregation, &drawn.accuracy);
    let changes = row_changes(aggregation, &drawn.accuracy, &by_row);

    for (place, cell) in aggregation.cells.iter().enumerate() {
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
    for ((place, row), measures) in aggregation.rows.iter().enumerate().zip(rows) {
        measures.accuracy_interval = Some(interval(by_row[place].clone()));
        if row.level != CLEAN && measures.change.is_some() {
            measures.change_interval = Some(interval(changes[place].clone()));
        }
    }
    run.bootstrap = Some(bootstrap);
    Ok(())
}

/// Computes a value's rows in every replicate, `[row][replicate]`.
pub(super) fn rows_by_replicate(aggregation: &Aggregation, cells: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut rows = vec![Vec::new(); aggregation.rows.len()];
    for replicate in 0..cells.first().map_or(0, Vec::len) {
        for (row, value) in rows.iter_mut().zip(aggregation.rows_of(&at(cells, replicate))) {
            row.push(value);
        }
    }
    rows
}

/// Computes the rows' changes from level `clean` in every replicate. Empty for a row without a change.
fn row_changes(aggregation: &Aggregation, cells: &[Vec<f64>], rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut changes = vec![Vec::new(); aggregation.rows.len()];
    for replicate in 0..cells.first().map_or(0, Vec::len) {
        let of_rows = aggregation.row_changes(&at(cells, replicate), &at(rows, replicate));
        for (row, change) in changes.iter_mut().zip(of_rows) {
            row.extend(change);
        }
    }
    changes
}

fn at(values: &[Vec<f64>], replicate: usize) -> Vec<f64> {
    values.iter().map(|value| value[replicate]).collect()
}
