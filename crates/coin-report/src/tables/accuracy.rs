//! Accuracies by level, by task group and by task, their changes, and mean cosines.

use coin_eval::levels::CLEAN;
use coin_eval::metrics::{AVERAGE, Comparison, Difference, Measures};
use coin_eval::{RunSummary, Summary};

use super::Form;
use super::cells::{in_full, none, signed, spread, thousandths, with_interval};
use crate::table::{STD_CHANGE, Table};
use crate::titles::{group_title, level_title};

/// Accuracy ± standard deviation of each run at each level, and the difference between the last two runs.
///
/// `Form::Page` includes the intervals of accuracies and differences. `Form::Terminal` adds the mean cosines after them.
pub fn accuracy_by_level(summary: &Summary, form: Form) -> Table {
    let rows = summary.levels();
    let of = Rows { head: "level", names: &rows, title: level_title, form };
    of.table(summary, |run, level| run.level(level), |found, level| found.level(level))
}

/// The same as [`accuracy_by_level`] for each task group, averaged over all levels.
pub fn accuracy_by_group(summary: &Summary, form: Form) -> Table {
    let rows = summary.groups();
    let of = Rows { head: "task group", names: &rows, title: group_title, form };
    of.table(summary, |run, group| run.group(group, AVERAGE), |found, group| found.group(group, AVERAGE))
}

/// The same as [`accuracy_by_level`] for one task group.
pub fn accuracy_of_group(summary: &Summary, group: &str, form: Form) -> Table {
    let rows = summary.levels();
    let of = Rows { head: group_title(group), names: &rows, title: level_title, form };
    of.table(summary, |run, level| run.group(group, level), |found, level| found.group(group, level))
}

/// The rows of a table of accuracies.
struct Rows<'n> {
    head: &'n str,
    names: &'n [&'n str],
    title: fn(&str) -> &str,
    form: Form,
}

impl Rows<'_> {
    fn table<'a>(
        &self,
        summary: &'a Summary,
        find: impl Fn(&'a RunSummary, &str) -> Option<&'a Measures>,
        compare: impl Fn(&'a Comparison, &str) -> Option<&'a Difference>,
    ) -> Table {
        let pair = last_two(summary);
        let shown = match self.form {
            Form::Terminal => spread,
            Form::Page => in_full,
        };
        // A terminal does not have room for intervals and shows them in a separate table.
        let compared = pair.filter(|_| self.form == Form::Page);
        let compared = compared.and_then(|(before, last)| summary.comparison(&before.name, &last.name));
        let has_cosine = |run: &&RunSummary| run.levels.iter().any(|row| row.measures.cosine.is_some());
        let with_cosine: Vec<&RunSummary> = match self.form {
            Form::Terminal => summary.runs.iter().filter(has_cosine).collect(),
            Form::Page => Vec::new(),
        };
        let mut columns = vec![self.head.to_owned()];
        columns.extend(summary.runs.iter().map(|run| run.name.clone()));
        if let Some((before, last)) = pair {
            columns.push(format!("{} − {}", last.name, before.name));
            columns.push(STD_CHANGE.to_owned());
        }
        columns.extend(with_cosine.iter().map(|run| format!("cosine {}", run.name)));
        let row = |name: &&str| {
            let mut row = vec![(self.title)(name).to_owned()];
            row.extend(summary.runs.iter().map(|run| find(run, name).map_or(none(), shown)));
            if let Some((before, last)) = pair {
                let (accuracy, std) = match compared.and_then(|compared| compare(compared, name)) {
                    Some(found) => (
                        with_interval(found.accuracy, Some(found.accuracy_interval)),
                        with_interval(found.std, Some(found.std_interval)),
                    ),
                    None => match find(before, name).zip(find(last, name)) {
                        Some((before, last)) => {
                            (signed(last.accuracy - before.accuracy), signed(last.std - before.std))
                        }
                        None => (none(), none()),
                    },
                };
                row.extend([accuracy, std]);
            }
            let cosine = |run: &&'a RunSummary| find(run, name).and_then(|measures| measures.cosine);
            row.extend(with_cosine.iter().map(|run| cosine(run).map_or(none(), |value| format!("{value:.3}"))));
            row
        };
        Table { columns, rows: self.names.iter().map(row).collect() }
    }
}

/// Accuracy ± standard deviation of each task at each level for one run.
pub fn accuracy_by_task(summary: &Summary, run: &RunSummary) -> Table {
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != AVERAGE).collect();
    let mut columns = vec!["task".to_owned()];
    columns.extend(levels.iter().map(|level| level_title(level).to_owned()));
    let row = |task: &str| {
        let mut row = vec![task.to_owned()];
        row.extend(levels.iter().map(|level| run.task(task, level).map_or(none(), |cell| spread(&cell.measures))));
        row
    };
    Table { columns, rows: summary.tasks().into_iter().map(row).collect() }
}

/// The change of accuracy from level clean for each run, with its interval if there is one.
pub fn changes(summary: &Summary) -> Table {
    let mut columns = vec!["level".to_owned()];
    columns.extend(summary.runs.iter().map(|run| run.name.clone()));
    let change = |run: &RunSummary, level: &str| {
        let measures = run.level(level).filter(|_| level != CLEAN)?;
        Some(with_interval(measures.change?, measures.change_interval))
    };
    let row = |level: &str| {
        let cells = summary.runs.iter().map(|run| change(run, level).unwrap_or(none()));
        std::iter::once(level_title(level).to_owned()).chain(cells).collect()
    };
    Table { columns, rows: summary.levels().into_iter().map(row).collect() }
}

/// Mean cosine between hidden states and those under the clean instruction, by level and run. `None` if no run has cosines.
pub fn cosines(summary: &Summary) -> Option<Table> {
    let value = |run: &RunSummary, level: &str| run.level(level).and_then(|measures| measures.cosine);
    let levels: Vec<&str> = summary
        .levels()
        .into_iter()
        .filter(|level| summary.runs.iter().any(|run| value(run, level).is_some()))
        .collect();
    let columns = std::iter::once("level".to_owned()).chain(summary.runs.iter().map(|run| run.name.clone())).collect();
    let row = |level: &&str| {
        let cell = |run: &RunSummary| value(run, level).map_or(none(), thousandths);
        std::iter::once(level_title(level).to_owned()).chain(summary.runs.iter().map(cell)).collect()
    };
    (!levels.is_empty()).then(|| Table { columns, rows: levels.iter().map(row).collect() })
}

/// Returns the two runs whose difference is shown: the last run, and the one that the summary compares it with, otherwise the run before
/// it.
pub(crate) fn last_two(summary: &Summary) -> Option<(&RunSummary, &RunSummary)> {
    let [.., previous, last] = &summary.runs[..] else { return None };
    let compared = summary.comparisons.iter().find(|comparison| comparison.after == last.name);
    let before = compared.and_then(|comparison| summary.runs.iter().find(|run| run.name == comparison.before));
    Some((before.unwrap_or(previous), last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;
    use coin_eval::metrics::Interval;

    #[test]
    fn the_level_table_compares_the_last_two_runs() {
        let grid = accuracy_by_level(&synthetic::summary(), Form::Terminal);
        assert_eq!(
            grid.columns,
            ["level", "base", "cit", "coin", "coin − cit", "± change", "cosine base", "cosine cit", "cosine coin"]
        );
        assert_eq!(grid.rows[0][7], "–", "no cosine at level clean");
        assert!(grid.rows.iter().any(|row| row[4].starts_with('−')), "the synthetic runs have a loss to show");
    }

    #[test]
    fn differences_carry_their_intervals() {
        let interval = Interval { low: -0.004, high: 0.021 };
        assert_eq!(with_interval(0.011, Some(interval)), "+1.1 [−0.4, +2.1]");
        let summary = synthetic::tested();
        let grid = accuracy_by_level(&summary, Form::Page);
        assert_eq!(grid.columns, ["level", "base", "cit", "coin", "coin − cit", "± change"]);
        let clean = &grid.rows[0];
        assert!(clean[1].contains(" ± ") && clean[1].ends_with(']') && clean[4].ends_with(']'), "{clean:?}");
        let mut plain = summary.clone();
        plain.comparisons.clear();
        assert!(!accuracy_by_level(&plain, Form::Page).rows[0][4].contains('['));
    }
}
