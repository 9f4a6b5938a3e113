//! Measures of robustness beside the mean and its spread, and what limits their trust.

use super::difference::with_interval;
use crate::levels::{CLEAN, title};
use crate::summary::{AVERAGE, Measures, RunSummary, Summary};
use crate::table::{Grid, last_two, none, percent, signed};

/// A measure: its name and unit, its value, and whether it is a share, shown in per cent.
struct Row {
    name: &'static str,
    value: fn(&Measures) -> Option<f64>,
    share: bool,
}

const ROWS: [Row; 8] = [
    Row { name: "worst instruction (%)", value: |of| Some(of.worst_instruction), share: true },
    Row { name: "best minus worst instruction (points)", value: |of| Some(of.spread), share: true },
    Row { name: "right under every instruction (%)", value: |of| Some(of.worst_case), share: true },
    Row { name: "performance drop rate (%)", value: |of| of.drop_rate, share: true },
    Row { name: "consistency between instructions (%)", value: |of| of.consistency, share: true },
    Row { name: "consistency with clean (%)", value: |of| of.clean_consistency, share: true },
    Row { name: "F1 (mrpc, qqp)", value: |of| of.f1, share: false },
    Row { name: "Matthews correlation (cola)", value: |of| of.matthews, share: false },
];

/// A row for every measure and a column for every run, averaged over all levels; the last column is the difference of the
/// last two runs.
pub(in crate::report) fn robustness(summary: &Summary) -> Grid {
    let mut columns = vec!["averaged over all levels".to_owned()];
    columns.extend(summary.runs.iter().map(|run| run.name.clone()));
    let pair = last_two(summary);
    columns.extend(pair.map(|(before, last)| format!("{} − {}", last.name, before.name)));
    let value = |run: &RunSummary, row: &Row| run.level(AVERAGE).and_then(row.value);
    let of = |row: &Row| {
        let mut cells = vec![row.name.to_owned()];
        cells.extend(summary.runs.iter().map(|run| value(run, row).map_or(none(), |value| show(row, value))));
        let both = pair.map(|(before, last)| value(before, row).zip(value(last, row)));
        // No color: more is not better for every measure.
        cells.extend(both.map(|both| both.map_or(none(), |(before, last)| change(row, last - before))));
        cells
    };
    let measured = |row: &&Row| summary.runs.iter().any(|run| value(run, row).is_some());
    Grid { columns, rows: ROWS.iter().filter(measured).map(of).collect() }
}

/// A row for every level and a column for every measure, for one run.
pub(in crate::report) fn robustness_by_level(summary: &Summary, run: &RunSummary) -> Grid {
    let measured = |row: &&Row| run.levels.iter().any(|level| (row.value)(&level.measures).is_some());
    let rows: Vec<&Row> = ROWS.iter().filter(measured).collect();
    let columns = std::iter::once("level".to_owned()).chain(rows.iter().map(|row| row.name.to_owned())).collect();
    let of = |level: &str| {
        let value = |row: &&Row| run.level(level).and_then(row.value).map_or(none(), |value| show(row, value));
        std::iter::once(title(level).to_owned()).chain(rows.iter().map(value)).collect()
    };
    Grid { columns, rows: summary.levels().into_iter().map(of).collect() }
}

/// For each run, the change of accuracy from level clean, with its interval where there is one.
pub(in crate::report) fn changes(summary: &Summary) -> Grid {
    let mut columns = vec!["level".to_owned()];
    columns.extend(summary.runs.iter().map(|run| run.name.clone()));
    let change = |run: &RunSummary, level: &str| {
        let measures = run.level(level).filter(|_| level != CLEAN)?;
        Some(with_interval(measures.change?, measures.change_interval))
    };
    let row = |level: &str| {
        let cells = summary.runs.iter().map(|run| change(run, level).unwrap_or(none()));
        std::iter::once(title(level).to_owned()).chain(cells).collect()
    };
    Grid { columns, rows: summary.levels().into_iter().map(row).collect() }
}

/// For each run and level, the share of unparsable answers and of near-ties, and how many prompts were shortened.
pub(in crate::report) fn reliability(summary: &Summary) -> Grid {
    let mut columns = vec!["level".to_owned()];
    type Column = (&'static str, fn(&Measures) -> String);
    let mut shown: Vec<Column> = vec![
        ("unparsable (%)", |measures| percent(measures.unparsable)),
        ("near\u{2011}ties (%)", |measures| measures.near_ties.map_or(none(), percent)),
        ("shortened", |measures| measures.shortened.to_string()),
    ];
    if summary.runs.iter().flat_map(|run| &run.levels).any(|row| row.measures.unfinished_thoughts > 0.0) {
        shown.insert(1, ("no end of thought (%)", |measures| percent(measures.unfinished_thoughts)));
    }
    for (head, _) in &shown {
        columns.extend(summary.runs.iter().map(|run| format!("{}: {head}", run.name)));
    }
    let row = |level: &str| {
        let mut row = vec![title(level).to_owned()];
        for (_, show) in &shown {
            row.extend(summary.runs.iter().map(|run| run.level(level).map_or(none(), show)));
        }
        row
    };
    Grid { columns, rows: summary.levels().into_iter().map(row).collect() }
}

/// The mean cosine of hidden states to those under the clean instruction, for each level and run; none where no run has any.
pub(in crate::report) fn cosines(summary: &Summary) -> Option<Grid> {
    let value = |run: &RunSummary, level: &str| run.level(level).and_then(|measures| measures.cosine);
    let levels: Vec<&str> = summary
        .levels()
        .into_iter()
        .filter(|level| summary.runs.iter().any(|run| value(run, level).is_some()))
        .collect();
    let columns = std::iter::once("level".to_owned()).chain(summary.runs.iter().map(|run| run.name.clone())).collect();
    let row = |level: &&str| {
        let cell = |run: &RunSummary| value(run, level).map_or(none(), |value| format!("{value:.3}").replace('-', "−"));
        std::iter::once(title(level).to_owned()).chain(summary.runs.iter().map(cell)).collect()
    };
    (!levels.is_empty()).then(|| Grid { columns, rows: levels.iter().map(row).collect() })
}

fn show(row: &Row, value: f64) -> String {
    if row.share { percent(value) } else { format!("{value:.3}").replace('-', "−") }
}

fn change(row: &Row, value: f64) -> String {
    if row.share {
        return signed(value);
    }
    match format!("{:.3}", value.abs()) {
        text if text == "0.000" => text,
        text if value < 0.0 => format!("−{text}"),
        text => format!("+{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;
    use crate::table;

    #[test]
    fn measures_that_no_run_has_are_left_out() {
        let mut summary = synthetic::summary();
        let grid = robustness(&summary);
        assert_eq!((grid.rows.len(), grid.columns.len()), (8, 5));
        for level in summary.runs.iter_mut().flat_map(|run| &mut run.levels) {
            level.measures.matthews = None;
        }
        assert_eq!(robustness(&summary).rows.len(), 7);
        let by_level = robustness_by_level(&summary, &summary.runs[0]);
        assert_eq!((by_level.columns.len(), by_level.rows.len()), (8, 6));
        assert_eq!(by_level.rows[0][4], "–", "no drop rate at level clean");
    }

    #[test]
    fn values_and_signs_by_hand() {
        let measures = Measures { matthews: Some(-0.25), drop_rate: Some(0.125), ..Measures::default() };
        let [.., drop, _, _, _, matthews] = &ROWS;
        assert_eq!((show(drop, (drop.value)(&measures).unwrap()), change(drop, -0.02)), ("12.5".into(), "−2.0".into()));
        assert_eq!(show(matthews, (matthews.value)(&measures).unwrap()), "−0.250");
        assert_eq!((change(matthews, 0.0004), change(matthews, 0.1)), ("0.000".into(), "+0.100".into()));
    }

    #[test]
    fn thoughts_without_an_end_have_a_column_where_there_are_any() {
        let mut summary = synthetic::summary();
        summary.runs.truncate(1);
        summary.runs[0].levels[0].measures.unfinished_thoughts = 0.25;
        let grid = reliability(&summary);
        assert_eq!((grid.columns[2].as_str(), grid.rows[0][2].as_str()), ("base: no end of thought (%)", "25.0"));
        assert_eq!(table::robustness(&summary.runs[0]).columns[8], "no end of thought");
    }

    #[test]
    fn limits_are_always_shown() {
        let mut summary = synthetic::summary();
        summary.runs.truncate(1);
        for row in &mut summary.runs[0].levels {
            row.measures.near_ties = None;
        }
        let grid = reliability(&summary);
        assert_eq!(grid.columns, ["level", "base: unparsable (%)", "base: near\u{2011}ties (%)", "base: shortened"]);
        assert_eq!(grid.rows[0][2], "–");
        assert_eq!(cosines(&summary).unwrap().rows.len(), 5, "four levels and their average");
        for row in &mut summary.runs[0].levels {
            row.measures.cosine = None;
        }
        assert_eq!(cosines(&summary), None);
        assert_eq!(changes(&summary).rows[0][1], "–", "no change at level clean");
    }
}
