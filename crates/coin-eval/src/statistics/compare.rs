//! Comparison of two runs on the answers that both have.

use std::collections::HashSet;

use coin_data::Task;

use super::bootstrap::{Replicates, interval, p_value};
use super::holm;
use super::intervals::rows_by_replicate;
use super::pairs::Pairs;
use crate::EvalError;
use crate::metrics::aggregation::{Aggregation, Of};
use crate::metrics::answers::Answers;
use crate::metrics::summary::{
    AVERAGE, Bootstrap, Comparison, Difference, GroupComparison, LevelComparison, McNemar, PValue, TaskComparison,
};
use crate::run::ledger::Record;

/// Computes the run `after` minus the run `before`, each given by its name and its records.
///
/// Only answers that both runs have (same task, level, instruction and row) are compared. The result contains the number
/// of answers left out. Differences are averaged like the summary's rows, and the bootstrap draws the same examples and
/// instructions for both runs. McNemar's tests pool the pairs of a row's cells, so that each task is weighted by its
/// number of examples. The clusters are the examples. P-values are adjusted by [`holm`] for each kind of test, once over
/// all tasks and levels and once over the levels.
///
/// # Errors
/// [`EvalError::Invalid`] if the runs have no answers in common, if one has a duplicate answer, if an example has two classes,
/// or if the number of replicates is outside its domain ([`Bootstrap::check`]).
///
/// ```
/// use coin_data::Task;
/// use coin_eval::{Bootstrap, Record, statistics};
/// let run = |right: usize| -> Vec<Record> {
///     let record = |row| Record { task: "sst2".to_owned(), level: "clean".to_owned(), row, pred: i64::from(row < right), gold: 1, ..Record::default() };
///     (0..40).map(record).collect()
/// };
/// let comparison = statistics::compare(("cit", &run(20)), ("coin", &run(36)), &Task::glue(), Bootstrap::default())?;
/// let clean = comparison.level("clean").unwrap();
/// assert_eq!((clean.accuracy, clean.mcnemar.gained, clean.mcnemar.lost), (0.4, 16, 0));
/// assert!(clean.accuracy_interval.low > 0.2 && clean.accuracy_p.value < 0.01);
/// # Ok::<(), coin_eval::EvalError>(())
/// ```
pub fn compare(
    before: (&str, &[Record]),
    after: (&str, &[Record]),
    tasks: &[Task],
    bootstrap: Bootstrap,
) -> Result<Comparison, EvalError> {
    let common = |of: &[Record], other: &[Record]| -> Vec<usize> {
        let there: HashSet<_> = other.iter().map(key).collect();
        (0..of.len()).filter(|place| there.contains(&key(&of[*place]))).collect()
    };
    let kept = [common(before.1, after.1), common(after.1, before.1)];
    if kept[0].is_empty() {
        return Err(EvalError::Invalid(format!("runs `{}` and `{}` have no answers in common", before.0, after.0)));
    }
    let first = Answers::new(before.0, kept[0].iter().map(|place| &before.1[*place]), tasks)?;
    let second = Answers::new(after.0, kept[1].iter().map(|place| &after.1[*place]), tasks)?;
    let aggregation = Aggregation::new(&first);
    let pairs = Pairs::new([before.0, after.0], &first, &second)?;
    let (of_cells, of_rows) = differences(&aggregation, &first, &second, &pairs, bootstrap)?;

    let tasks = aggregation.cells.iter().zip(of_cells).map(|(cell, difference)| TaskComparison {
        task: cell.task.to_owned(),
        group: cell.group.to_owned(),
        level: cell.level.to_owned(),
        difference,
    });
    let mut tasks: Vec<TaskComparison> = tasks.collect();
    let (mut levels, mut groups) = (Vec::new(), Vec::new());
    for (row, difference) in aggregation.rows.iter().zip(of_rows) {
        let (level, tasks) = (row.level.to_owned(), row.tasks);
        match row.group {
            None => levels.push(LevelComparison { level, tasks, difference }),
            Some(group) => groups.push(GroupComparison { group: group.to_owned(), level, tasks, difference }),
        }
    }
    adjust(tasks.iter_mut().map(|cell| &mut cell.difference).collect());
    adjust(levels.iter_mut().filter(|row| row.level != AVERAGE).map(|row| &mut row.difference).collect());
    Ok(Comparison {
        before: before.0.to_owned(),
        after: after.0.to_owned(),
        bootstrap,
        common: kept[0].len(),
        only_before: before.1.len() - kept[0].len(),
        only_after: after.1.len() - kept[1].len(),
        tasks,
        levels,
        groups,
    })
}

fn key(record: &Record) -> (&str, &str, usize, usize) {
    (&record.task, &record.level, record.instruction, record.row)
}

/// Computes the differences of the cells and of the rows, without adjusted p-values.
fn differences(
    aggregation: &Aggregation,
    before: &Answers,
    after: &Answers,
    pairs: &Pairs,
    bootstrap: Bootstrap,
) -> Result<(Vec<Difference>, Vec<Difference>), EvalError> {
    let (a, b) = (Replicates::draw(before, bootstrap)?, Replicates::draw(after, bootstrap)?);
    // A row is a mean of cells, so the difference of two rows is the same mean of the cells' differences.
    let minus = |after: &[Vec<f64>], before: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let cell = |(after, before): (&Vec<f64>, &Vec<f64>)| after.iter().zip(before).map(|(b, a)| b - a).collect();
        after.iter().zip(before).map(cell).collect()
    };
    let drawn = [minus(&b.accuracy, &a.accuracy), minus(&b.std, &a.std)];
    let measured = [0, 1].map(|place| {
        let value = |(accuracy, std): (f64, f64)| if place == 0 { accuracy } else { std };
        let cells = a.measured.iter().zip(&b.measured);
        cells.map(|(before, after)| value(*after) - value(*before)).collect::<Vec<f64>>()
    });
    let of_cells = (0..aggregation.cells.len()).map(|place| {
        let values = [measured[0][place], measured[1][place]];
        difference(values, [&drawn[0][place], &drawn[1][place]], pairs.test(&[place]))
    });
    let measured_rows = [aggregation.rows_of(&measured[0]), aggregation.rows_of(&measured[1])];
    let drawn_rows = [rows_by_replicate(aggregation, &drawn[0]), rows_by_replicate(aggregation, &drawn[1])];
    let of_rows = aggregation.rows.iter().enumerate().map(|(place, row)| {
        let cells = match &row.of {
            Of::Cells(cells) => cells.clone(),
            Of::Rows { .. } => {
                let inside = |cell: &usize| row.group.is_none_or(|group| aggregation.cells[*cell].group == group);
                (0..aggregation.cells.len()).filter(inside).collect()
            }
        };
        let values = [measured_rows[0][place], measured_rows[1][place]];
        difference(values, [&drawn_rows[0][place], &drawn_rows[1][place]], pairs.test(&cells))
    });
    Ok((of_cells.collect(), of_rows.collect()))
}

fn difference([accuracy, std]: [f64; 2], [accuracies, stds]: [&Vec<f64>; 2], mcnemar: McNemar) -> Difference {
    Difference {
        accuracy,
        accuracy_interval: interval(accuracies.clone()),
        accuracy_p: p_value(accuracies),
        std,
        std_interval: interval(stds.clone()),
        std_p: p_value(stds),
        mcnemar,
    }
}

/// Adjusts each kind of p-value over `family`.
fn adjust(mut family: Vec<&mut Difference>) {
    let kinds: [fn(&mut Difference) -> &mut PValue; 4] = [
        |difference| &mut difference.accuracy_p,
        |difference| &mut difference.std_p,
        |difference| &mut difference.mcnemar.exact_p,
        |difference| &mut difference.mcnemar.clustered_p,
    ];
    for kind in kinds {
        let values: Vec<f64> = family.iter_mut().map(|difference| kind(difference).value).collect();
        for (difference, adjusted) in family.iter_mut().zip(holm(&values)) {
            kind(difference).holm = Some(adjusted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 40, seed: 1 };

    /// Records of one task; `right` gives the correctness of each row for each instruction.
    fn run(task: &str, level: &str, right: &[&[bool]]) -> Vec<Record> {
        let mut records = Vec::new();
        for (instruction, column) in right.iter().enumerate() {
            for (row, right) in column.iter().enumerate() {
                let (task, level) = (task.to_owned(), level.to_owned());
                records.push(Record {
                    task,
                    level,
                    instruction,
                    row,
                    pred: i64::from(*right),
                    gold: 1,
                    ..Record::default()
                });
            }
        }
        records
    }

    #[test]
    fn pairs_and_clusters_by_hand() {
        let (yes, no) = (true, false);
        let before: &[&[bool]] = &[&[yes, no, no], &[no, no, yes]];
        let after: &[&[bool]] = &[&[yes, yes, yes], &[yes, yes, no]];
        let ledger = |right, other: &[&[bool]]| [run("sst2", "clean", right), run("cola", "clean", other)].concat();
        let found =
            compare(("a", &ledger(before, &[&[yes]])), ("b", &ledger(after, &[&[no]])), &[], BOOTSTRAP).unwrap();

        let cell = found.task("sst2", "clean").unwrap();
        assert!((cell.accuracy - 0.5).abs() < 1e-15);
        // Before: both are 1 / 3. After: 1 and 2 / 3; the deviation is half of their difference.
        assert!((cell.std - 1.0 / 6.0).abs() < 1e-15);
        // By row: 1, 2, and 1 - 1.
        let McNemar { gained, lost, clustered_statistic, .. } = cell.mcnemar;
        assert_eq!((gained, lost), (4, 1));
        assert!((clustered_statistic - 2.0 / 3.0 * 9.0 / 5.0).abs() < 1e-15);

        let level = found.level("clean").unwrap();
        assert!((level.accuracy - (0.5 - 1.0) / 2.0).abs() < 1e-15, "tasks count the same");
        assert_eq!((level.mcnemar.gained, level.mcnemar.lost), (4, 2), "pairs are pooled");
        // Clusters 1, 2, 0 of sst2 and -1 of cola.
        assert!((level.mcnemar.clustered_statistic - 3.0 / 4.0 * 4.0 / 6.0).abs() < 1e-15);
        assert_eq!(found.level(AVERAGE).unwrap().mcnemar.gained, 4);
    }

    #[test]
    fn an_example_is_one_cluster_over_levels() {
        let cells =
            |right| [run("sst2", "clean", &[&[right, true]]), run("sst2", "semantic", &[&[right, true]])].concat();
        let found = compare(("a", &cells(false)), ("b", &cells(true)), &[], BOOTSTRAP).unwrap();
        let average = &found.level(AVERAGE).unwrap().mcnemar;
        assert_eq!((average.gained, average.lost), (2, 0));
        assert_eq!(average.clustered_statistic, 0.5, "differences 2 and 0");
    }

    #[test]
    fn only_what_both_have_is_compared() {
        let before = run("sst2", "clean", &[&[true, false], &[true, true]]);
        let after = [run("sst2", "clean", &[&[true, true]]), run("sst2", "semantic", &[&[false; 3]])].concat();
        let found = compare(("a", &before), ("b", &after), &[], BOOTSTRAP).unwrap();
        assert_eq!((found.common, found.only_before, found.only_after), (2, 2, 3));
        assert_eq!((found.tasks.len(), found.tasks[0].difference.accuracy), (1, 0.5));
        assert_eq!(found.tasks[0].difference.mcnemar.exact_p, PValue { value: 1.0, holm: Some(1.0) });

        let other = run("cola", "clean", &[&[true]]);
        let message = compare(("a", &before), ("b", &other), &[], BOOTSTRAP).unwrap_err().to_string();
        assert_eq!(message, "runs `a` and `b` have no answers in common");
    }

    #[test]
    fn an_example_has_one_class() {
        let before = run("sst2", "clean", &[&[true, false]]);
        let mut after = before.clone();
        after[1].gold = 0;
        let message = compare(("a", &before), ("b", &after), &[], BOOTSTRAP).unwrap_err().to_string();
        assert_eq!(message, "task `sst2`, level `clean`, row 1: class 1 in run `a`, but class 0 in run `b`");
    }
}
