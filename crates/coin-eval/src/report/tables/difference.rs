//! What two runs differ in, with intervals and p-values where they were measured.

use crate::levels::{group_title, title};
use crate::summary::{AVERAGE, Comparison, Difference, Interval, Measures, PValue, RunSummary, Summary};
use crate::table::{Grid, STD_CHANGE, last_two, none, percent, signed, spread, three_decimals};

/// Accuracy of each run with its interval and spread, and the difference of the last two with its interval.
pub(in crate::report) fn accuracies(summary: &Summary) -> Grid {
    table(summary, "level", &summary.levels(), |run, level| run.level(level), |found, level| found.level(level), title)
}

/// The same as [`accuracies`] for each task group, averaged over all levels.
pub(in crate::report) fn group_accuracies(summary: &Summary) -> Grid {
    table(
        summary,
        "task group",
        &summary.groups(),
        |run, group| run.group(group, AVERAGE),
        |found, group| found.group(group, AVERAGE),
        group_title,
    )
}

/// The same as [`accuracies`] of one group at each level.
pub(in crate::report) fn group_level_accuracies(summary: &Summary, group: &str) -> Grid {
    table(
        summary,
        group_title(group),
        &summary.levels(),
        |run, level| run.group(group, level),
        |found, level| found.group(group, level),
        title,
    )
}

fn table<'a>(
    summary: &'a Summary,
    head: &str,
    names: &[&str],
    find: impl Fn(&'a RunSummary, &str) -> Option<&'a Measures>,
    compare: impl Fn(&'a Comparison, &str) -> Option<&'a Difference>,
    title: fn(&str) -> &str,
) -> Grid {
    let mut columns = vec![head.to_owned()];
    columns.extend(summary.runs.iter().map(|run| run.name.clone()));
    let pair = last_two(summary);
    let compared = pair.and_then(|(before, last)| summary.comparison(&before.name, &last.name));
    if let Some((before, last)) = pair {
        columns.push(format!("{} − {}", last.name, before.name));
        columns.push(STD_CHANGE.to_owned());
    }
    let row = |name: &&str| {
        let mut row = vec![title(name).to_owned()];
        row.extend(summary.runs.iter().map(|run| find(run, name).map_or(none(), in_full)));
        if let Some((before, last)) = pair {
            let (accuracy, std) = match compared.and_then(|compared| compare(compared, name)) {
                Some(found) => (
                    with_interval(found.accuracy, Some(found.accuracy_interval)),
                    with_interval(found.std, Some(found.std_interval)),
                ),
                None => match find(before, name).zip(find(last, name)) {
                    Some((before, last)) => (signed(last.accuracy - before.accuracy), signed(last.std - before.std)),
                    None => (none(), none()),
                },
            };
            row.extend([accuracy, std]);
        }
        row
    };
    Grid { columns, rows: names.iter().map(row).collect() }
}

/// The tests of a comparison, a row for every level.
pub(in crate::report) fn tests_by_level(compared: &Comparison) -> Grid {
    tests(&["level"], compared.levels.iter().map(|row| (vec![title(&row.level).to_owned()], &row.difference)))
}

/// The tests of a comparison, a row for every task group, averaged over all levels.
pub(in crate::report) fn tests_by_group(compared: &Comparison) -> Grid {
    let rows = compared.groups.iter().filter(|row| row.level == AVERAGE);
    tests(&["task group"], rows.map(|row| (vec![group_title(&row.group).to_owned()], &row.difference)))
}

/// The tests of a comparison, a row for every task and level.
pub(in crate::report) fn tests_by_task(compared: &Comparison) -> Grid {
    let name = |task: &str, level: &str| vec![task.to_owned(), title(level).to_owned()];
    tests(&["task", "level"], compared.tasks.iter().map(|row| (name(&row.task, &row.level), &row.difference)))
}

fn tests<'a>(names: &[&str], rows: impl Iterator<Item = (Vec<String>, &'a Difference)>) -> Grid {
    let heads =
        ["accuracy", "p (Holm)", STD_CHANGE, "p (Holm)", "gained", "lost", "exact p (Holm)", "clustered p (Holm)"];
    let columns = names.iter().chain(&heads).map(|head| (*head).to_owned()).collect();
    let rows = rows.map(|(mut row, difference)| {
        row.extend([
            with_interval(difference.accuracy, Some(difference.accuracy_interval)),
            p_value(&difference.accuracy_p),
            with_interval(difference.std, Some(difference.std_interval)),
            p_value(&difference.std_p),
            difference.mcnemar.gained.to_string(),
            difference.mcnemar.lost.to_string(),
            p_value(&difference.mcnemar.exact_p),
            p_value(&difference.mcnemar.clustered_p),
        ]);
        row
    });
    Grid { columns, rows: rows.collect() }
}

/// A difference in points with its sign, and its interval in brackets.
pub(super) fn with_interval(value: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(interval) => format!("{} [{}, {}]", signed(value), signed(interval.low), signed(interval.high)),
        None => signed(value),
    }
}

/// Accuracy and the spread over instructions, and the accuracy's interval in brackets.
fn in_full(measures: &Measures) -> String {
    match measures.accuracy_interval {
        Some(Interval { low, high }) => format!("{} [{}, {}]", spread(measures), percent(low), percent(high)),
        None => spread(measures),
    }
}

/// A p-value with three decimals, the adjusted one in brackets where there is one.
fn p_value(p: &PValue) -> String {
    match p.holm {
        Some(holm) => format!("{} ({})", three_decimals(p.value), three_decimals(holm)),
        None => three_decimals(p.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    #[test]
    fn differences_carry_their_intervals() {
        let interval = Interval { low: -0.004, high: 0.021 };
        assert_eq!(with_interval(0.011, Some(interval)), "+1.1 [−0.4, +2.1]");
        let summary = synthetic::tested();
        let grid = accuracies(&summary);
        assert_eq!(grid.columns, ["level", "base", "cit", "coin", "coin − cit", "± change"]);
        let clean = &grid.rows[0];
        assert!(clean[1].contains(" ± ") && clean[1].ends_with(']') && clean[4].ends_with(']'), "{clean:?}");
        let mut plain = summary.clone();
        plain.comparisons.clear();
        assert!(!accuracies(&plain).rows[0][4].contains('['));
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
        let rows = [tests_by_level(compared), tests_by_group(compared), tests_by_task(compared)];
        assert_eq!(rows.each_ref().map(|grid| grid.rows.len()), [6, 4, 50]);
        assert_eq!(rows[2].columns.len(), rows[2].rows[0].len());
    }
}
