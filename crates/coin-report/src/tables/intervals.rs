//! Intervals of runs, for a terminal. A page shows them in its tables of accuracies.

use coin_eval::metrics::{Interval, Measures};
use coin_eval::{RunSummary, Summary};

use super::cells::{none, of_differences, of_shares};
use crate::table::Table;
use crate::titles::level_title;

/// The 95 % intervals of accuracy and of the change from clean, by level. `None` if no run has intervals.
pub fn intervals(summary: &Summary) -> Option<Table> {
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
        let mut row = vec![level_title(level).to_owned()];
        row.extend(of(|measures| measures.accuracy_interval, of_shares));
        row.extend(of(|measures| measures.change_interval, of_differences));
        row
    };
    Some(Table { columns, rows: summary.levels().into_iter().map(row).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::summary as synthetic;

    #[test]
    fn no_interval_no_table() {
        let summary = synthetic();
        assert!(intervals(&summary).is_none(), "no interval was asked for");
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
