//! Tables of how much a run depends on the wording, of its intervals, and of the tasks' own metrics.

use super::{Grid, none, percent, signed};
use crate::levels::title;
use crate::summary::{AVERAGE, Interval, Measures, RunSummary, Summary};

/// What is measured over instructions at each level for one run, in per cent; the last column is a count.
pub fn robustness(run: &RunSummary) -> Grid {
    type Cell = fn(&Measures) -> String;
    let mut columns: Vec<(&str, Cell)> = vec![
        ("worst instruction", |measures| percent(measures.worst_instruction)),
        ("max − min", |measures| percent(measures.spread)),
        ("right under all", |measures| percent(measures.worst_case)),
        ("drop rate", |measures| measures.drop_rate.map_or(none(), percent)),
        ("consistent", |measures| measures.consistency.map_or(none(), percent)),
        ("as clean", |measures| measures.clean_consistency.map_or(none(), percent)),
        ("unparsable", |measures| percent(measures.unparsable)),
        ("near-ties", |measures| measures.near_ties.map_or(none(), percent)),
        ("shortened", |measures| measures.shortened.to_string()),
    ];
    if run.levels.iter().any(|row| row.measures.unfinished_thoughts > 0.0) {
        columns.insert(7, ("no end of thought", |measures| percent(measures.unfinished_thoughts)));
    }
    let heads = std::iter::once("level").chain(columns.iter().map(|(head, _)| *head));
    let rows = run.levels.iter().map(|row| {
        let cells = columns.iter().map(|(_, cell)| cell(&row.measures));
        std::iter::once(title(&row.level).to_owned()).chain(cells).collect()
    });
    Grid { columns: heads.map(str::to_owned).collect(), rows: rows.collect() }
}

/// For each level the 95 % intervals of accuracy and of the change from clean; none where no run has any.
pub fn intervals(summary: &Summary) -> Option<Grid> {
    let runs: Vec<&RunSummary> = summary.runs.iter().filter(|run| run.bootstrap.is_some()).collect();
    if runs.is_empty() {
        return None;
    }
    let mut columns = vec!["level".to_owned()];
    columns.extend(runs.iter().map(|run| format!("{}: accuracy", run.name)));
    columns.extend(runs.iter().map(|run| format!("{}: change", run.name)));
    let row = |level: &str| {
        let of = |value: fn(&Measures) -> Option<Interval>, shown: fn(Interval) -> String| {
            runs.iter().map(move |run| run.level(level).and_then(value).map_or(none(), shown)).collect::<Vec<_>>()
        };
        let mut row = vec![title(level).to_owned()];
        row.extend(of(|measures| measures.accuracy_interval, of_shares));
        row.extend(of(|measures| measures.change_interval, of_differences));
        row
    };
    Some(Grid { columns, rows: summary.levels().into_iter().map(row).collect() })
}

/// F1 and the Matthews correlation, times 100, of the tasks that have them at each level; none where no task has.
pub fn task_metrics(summary: &Summary, run: &RunSummary) -> Option<Grid> {
    type Metric = fn(&Measures) -> Option<f64>;
    let metrics: [(&str, Metric); 2] = [("F1", |measures| measures.f1), ("Matthews", |measures| measures.matthews)];
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != AVERAGE).collect();
    let mut rows = Vec::new();
    for task in summary.tasks() {
        for (name, metric) in metrics {
            let values: Vec<_> = levels.iter().map(|level| metric(&run.task(task, level)?.measures)).collect();
            if values.iter().any(Option::is_some) {
                let cells = values.into_iter().map(|value| value.map_or(none(), percent));
                rows.push(std::iter::once(format!("{task}: {name}")).chain(cells).collect());
            }
        }
    }
    let columns = std::iter::once("task").chain(levels.iter().map(|level| title(level)));
    (!rows.is_empty()).then(|| Grid { columns: columns.map(str::to_owned).collect(), rows })
}

fn of_shares(interval: Interval) -> String {
    format!("[{}, {}]", percent(interval.low), percent(interval.high))
}

/// An interval of a difference, in points.
pub(super) fn of_differences(interval: Interval) -> String {
    format!("[{}, {}]", signed(interval.low), signed(interval.high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic::summary as synthetic;

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let summary = synthetic();
        let grid = robustness(&summary.runs[0]);
        assert_eq!(grid.columns.len(), grid.rows[0].len());
        assert_eq!((grid.rows[0][0].as_str(), grid.rows[0][4].as_str(), grid.rows[0][6].as_str()), ("clean", "–", "–"));
        assert_ne!(grid.rows[1][4], "–");
        assert!(intervals(&summary).is_none(), "no interval was asked for");
    }

    #[test]
    fn tasks_show_their_own_metrics() {
        let grid = task_metrics(&synthetic(), &synthetic().runs[0]).unwrap();
        let names: Vec<&str> = grid.rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(names, ["cola: Matthews", "mrpc: F1", "qqp: F1"]);
        assert_eq!(grid.rows[0][1], "0.0", "all examples are of one class");
    }

    #[test]
    fn intervals_of_the_runs_that_have_them() {
        let mut summary = synthetic();
        summary.runs[1].bootstrap = Some(Default::default());
        for row in &mut summary.runs[1].levels {
            row.measures.accuracy_interval = Some(Interval { low: 0.78, high: 0.8412 });
            row.measures.change_interval = (row.level != "clean").then_some(Interval { low: -0.1, high: 0.0123 });
        }
        let grid = intervals(&summary).unwrap();
        assert_eq!(grid.columns, ["level", "cit: accuracy", "cit: change"]);
        assert_eq!(grid.rows[0], ["clean", "[78.0, 84.1]", "–"]);
        assert_eq!(grid.rows[5], ["average", "[78.0, 84.1]", "[−10.0, +1.2]"]);
    }
}
