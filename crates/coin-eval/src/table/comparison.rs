//! Tables of the tests between two runs. Differences are in points; `Holm` heads the adjusted p-value of the column
//! before it.

use super::robustness::of_differences;
use super::{Grid, none, signed};
use crate::levels::title;
use crate::summary::{Comparison, Difference, PValue};

/// Differences of accuracy and of the standard deviation over instructions at each level, with McNemar's tests.
pub fn comparison(comparison: &Comparison) -> Grid {
    let heads = [
        "level",
        &difference(comparison),
        "95 %",
        "p",
        "Holm",
        "±",
        "95 %",
        "p",
        "Holm",
        "won / lost",
        "exact p",
        "clustered p",
        "Holm",
    ]
    .map(str::to_owned);
    let rows = comparison.levels.iter().map(|row| {
        let mut cells = vec![title(&row.level).to_owned()];
        let Difference { std, std_interval, std_p, mcnemar, .. } = &row.difference;
        cells.extend(accuracy(&row.difference));
        cells.extend([signed(*std), of_differences(*std_interval), value(std_p), holm(std_p)]);
        cells.extend([pairs(&row.difference), value(&mcnemar.exact_p)]);
        cells.extend([value(&mcnemar.clustered_p), holm(&mcnemar.clustered_p)]);
        cells
    });
    Grid { columns: heads.to_vec(), rows: rows.collect() }
}

/// Differences of accuracy for each task and level, with McNemar's test for clustered pairs.
pub fn task_comparison(comparison: &Comparison) -> Grid {
    let heads = ["task", "level", &difference(comparison), "95 %", "p", "Holm", "won / lost", "clustered p", "Holm"]
        .map(str::to_owned);
    let rows = comparison.tasks.iter().map(|cell| {
        let mut cells = vec![cell.task.clone(), title(&cell.level).to_owned()];
        let clustered = &cell.difference.mcnemar.clustered_p;
        cells.extend(accuracy(&cell.difference));
        cells.extend([pairs(&cell.difference), value(clustered), holm(clustered)]);
        cells
    });
    Grid { columns: heads.to_vec(), rows: rows.collect() }
}

fn difference(comparison: &Comparison) -> String {
    format!("{} − {}", comparison.after, comparison.before)
}

fn accuracy(difference: &Difference) -> [String; 4] {
    let Difference { accuracy, accuracy_interval, accuracy_p, .. } = difference;
    [signed(*accuracy), of_differences(*accuracy_interval), value(accuracy_p), holm(accuracy_p)]
}

fn pairs(difference: &Difference) -> String {
    format!("{} / {}", difference.mcnemar.gained, difference.mcnemar.lost)
}

fn value(p: &PValue) -> String {
    three_decimals(p.value)
}

fn holm(p: &PValue) -> String {
    p.holm.map_or(none(), three_decimals)
}

/// Three decimals, rounded up so that what is shown as 0.050 is at most that.
pub(crate) fn three_decimals(p: f64) -> String {
    // What is a multiple of 0.001 but for rounding in f64 stays so.
    let thousandths = (1000.0 * p - 1e-9).ceil();
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{:.3}", thousandths / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Record;
    use crate::{Bootstrap, statistics};

    #[test]
    fn rows_by_hand() {
        let run = |right: usize| -> Vec<Record> {
            let (task, level) = ("sst2".to_owned(), "textfooler".to_owned());
            let record = |row| Record { pred: i64::from(row < right), gold: 1, row, ..Record::default() };
            (0..40).map(|row| Record { task: task.clone(), level: level.clone(), ..record(row) }).collect()
        };
        let bootstrap = Bootstrap { replicates: 199, seed: 1 };
        let found = statistics::compare(("cit", &run(10)), ("coin", &run(40)), &[], bootstrap).unwrap();
        let grid = comparison(&found);
        assert_eq!(grid.columns[1], "coin − cit");
        let shown = |row: &[String], columns: &[usize]| columns.iter().map(|c| row[*c].clone()).collect::<Vec<_>>();
        // (30)^2 / 30 * 39 / 40 = 29.25; one test, so that nothing is adjusted.
        let expected = ["word", "+75.0", "0.010", "0.010", "0.0", "30 / 0", "< 0.001", "< 0.001", "< 0.001"];
        assert_eq!(shown(&grid.rows[0], &[0, 1, 3, 4, 5, 9, 10, 11, 12]), expected);
        assert_eq!(shown(&grid.rows[1], &[0, 1, 4, 12]), ["average", "+75.0", "–", "–"]);
        let grid = task_comparison(&found);
        assert_eq!(shown(&grid.rows[0], &[0, 1, 2, 6]), ["sst2", "word", "+75.0", "30 / 0"]);
    }

    #[test]
    fn p_values_are_rounded_up() {
        let shown = [0.0009, 0.001, 0.0501, 0.05, 1.0].map(three_decimals);
        assert_eq!(shown, ["< 0.001", "0.001", "0.051", "0.050", "1.000"]);
    }
}
