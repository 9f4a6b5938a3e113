//! Tests between two runs. Differences are in points.

use coin_eval::metrics::{AVERAGE, Comparison, Difference, PValue};

use super::Form;
use super::cells::{none, of_differences, signed, three_decimals, with_interval};
use crate::table::{STD_CHANGE, Table};
use crate::titles::{group_title, level_title};

/// Differences of accuracy and of the standard deviation over instructions at each level, with McNemar's tests.
///
/// `Form::Page` shows intervals and adjusted p-values in brackets. `Form::Terminal` gives them separate columns, where `Holm` is
/// the header of the adjusted p-values of the column before it.
pub fn comparison_by_level(compared: &Comparison, form: Form) -> Table {
    let rows = compared.levels.iter().map(|row| (vec![level_title(&row.level).to_owned()], &row.difference));
    tests(compared, &["level"], rows, form)
}

/// The same as [`comparison_by_level`] for each task group, averaged over all levels.
pub fn comparison_by_group(compared: &Comparison, form: Form) -> Table {
    let rows = compared.groups.iter().filter(|row| row.level == AVERAGE);
    let rows = rows.map(|row| (vec![group_title(&row.group).to_owned()], &row.difference));
    tests(compared, &["task group"], rows, form)
}

/// The same as [`comparison_by_level`] for each task and level.
pub fn comparison_by_task(compared: &Comparison, form: Form) -> Table {
    let name = |task: &str, level: &str| vec![task.to_owned(), level_title(level).to_owned()];
    let rows = compared.tasks.iter().map(|row| (name(&row.task, &row.level), &row.difference));
    tests(compared, &["task", "level"], rows, form)
}

/// Formats a cell of a difference.
type Cell = fn(&Difference) -> String;

/// The header of a column and its cells.
type Column = (String, Cell);

fn tests<'a>(
    compared: &Comparison,
    names: &[&str],
    rows: impl Iterator<Item = (Vec<String>, &'a Difference)>,
    form: Form,
) -> Table {
    let shown = match form {
        Form::Terminal => separate(compared),
        Form::Page => in_brackets(),
    };
    let heads = names.iter().map(|name| (*name).to_owned()).chain(shown.iter().map(|(head, _)| head.clone()));
    let rows =
        rows.map(|(name, difference)| name.into_iter().chain(shown.iter().map(|(_, cell)| cell(difference))).collect());
    Table { columns: heads.collect(), rows: rows.collect() }
}

/// Returns the columns of a table with a separate column for every number.
fn separate(compared: &Comparison) -> Vec<Column> {
    let heads = ["95 %", "p", "Holm", "±", "95 %", "p", "Holm", "won / lost", "exact p", "clustered p", "Holm"];
    let heads = std::iter::once(format!("{} − {}", compared.after, compared.before)).chain(heads.map(str::to_owned));
    let cells: [Cell; 12] = [
        |of| signed(of.accuracy),
        |of| of_differences(of.accuracy_interval),
        |of| three_decimals(of.accuracy_p.value),
        |of| holm(&of.accuracy_p),
        |of| signed(of.std),
        |of| of_differences(of.std_interval),
        |of| three_decimals(of.std_p.value),
        |of| holm(&of.std_p),
        |of| format!("{} / {}", of.mcnemar.gained, of.mcnemar.lost),
        |of| three_decimals(of.mcnemar.exact_p.value),
        |of| three_decimals(of.mcnemar.clustered_p.value),
        |of| holm(&of.mcnemar.clustered_p),
    ];
    heads.zip(cells).collect()
}

/// Returns the columns of a table with intervals and adjusted p-values in brackets after their values.
fn in_brackets() -> Vec<Column> {
    let columns: [(&str, Cell); 8] = [
        ("accuracy", |of| with_interval(of.accuracy, Some(of.accuracy_interval))),
        ("p (Holm)", |of| p_value(&of.accuracy_p)),
        (STD_CHANGE, |of| with_interval(of.std, Some(of.std_interval))),
        ("p (Holm)", |of| p_value(&of.std_p)),
        ("gained", |of| of.mcnemar.gained.to_string()),
        ("lost", |of| of.mcnemar.lost.to_string()),
        ("exact p (Holm)", |of| p_value(&of.mcnemar.exact_p)),
        ("clustered p (Holm)", |of| p_value(&of.mcnemar.clustered_p)),
    ];
    columns.map(|(head, cell)| (head.to_owned(), cell)).to_vec()
}

fn holm(p: &PValue) -> String {
    p.holm.map_or(none(), three_decimals)
}

/// Formats a p-value with three decimals, followed by the adjusted p-value in brackets if there is one.
pub(super) fn p_value(p: &PValue) -> String {
    match p.holm {
        Some(holm) => format!("{} ({})", three_decimals(p.value), three_decimals(holm)),
        None => three_decimals(p.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;
    use coin_eval::{Bootstrap, Record, statistics};

    #[test]
    fn rows_by_hand() {
        let run = |right: usize| -> Vec<Record> {
            let (task, level) = ("sst2".to_owned(), "textfooler".to_owned());
            let record = |row| Record { pred: i64::from(row < right), gold: 1, row, ..Record::default() };
            (0..40).map(|row| Record { task: task.clone(), level: level.clone(), ..record(row) }).collect()
        };
        let bootstrap = Bootstrap { replicates: 199, seed: 1 };
        let found = statistics::compare(("cit", &run(10)), ("coin", &run(40)), &[], bootstrap).unwrap();
        let grid = comparison_by_level(&found, Form::Terminal);
        assert_eq!(grid.columns[1], "coin − cit");
        let shown = |row: &[String], columns: &[usize]| columns.iter().map(|c| row[*c].clone()).collect::<Vec<_>>();
        // (30)^2 / 30 * 39 / 40 = 29.25. There is only one test, so nothing is adjusted.
        let expected = ["word", "+75.0", "0.010", "0.010", "0.0", "30 / 0", "< 0.001", "< 0.001", "< 0.001"];
        assert_eq!(shown(&grid.rows[0], &[0, 1, 3, 4, 5, 9, 10, 11, 12]), expected);
        assert_eq!(shown(&grid.rows[1], &[0, 1, 4, 12]), ["average", "+75.0", "–", "–"]);
        let grid = comparison_by_task(&found, Form::Terminal);
        assert_eq!(shown(&grid.rows[0], &[0, 1, 2, 10]), ["sst2", "word", "+75.0", "30 / 0"]);
    }

    #[test]
    fn p_values_are_never_zero() {
        let p = |value, holm| p_value(&PValue { value, holm });
        assert_eq!((p(0.0, Some(0.0123)), p(0.25, None)), ("< 0.001 (0.013)".to_owned(), "0.250".to_owned()));
    }

    #[test]
    fn tests_have_a_row_for_every_level_group_and_cell() {
        let summary = synthetic::tested();
        let compared = summary.comparison("cit", "coin").unwrap();
        let rows = [comparison_by_level, comparison_by_group, comparison_by_task].map(|of| of(compared, Form::Page));
        assert_eq!(rows.each_ref().map(|grid| grid.rows.len()), [6, 4, 50]);
        assert_eq!(rows[2].columns.len(), rows[2].rows[0].len());
    }
}
