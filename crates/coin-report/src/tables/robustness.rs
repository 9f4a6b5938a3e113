//! Measures of robustness other than the mean and its spread, and measures that limit trust in them.

use coin_eval::metrics::{AVERAGE, Measures};
use coin_eval::{RunSummary, Summary};

use super::Form;
use super::accuracy::last_two;
use super::cells::{none, percent, signed, thousandths};
use crate::table::Table;
use crate::titles::level_title;

/// The unit of a value.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    /// A share, in percent.
    Share,
    /// A number from -1 to 1.
    Plain,
    Count,
}

/// A measure: its names, value and unit.
struct Measure {
    /// Name on a page.
    name: &'static str,
    /// Name in the narrow columns of a terminal. None if the terminal shows the measure in another table.
    short: Option<&'static str>,
    value: fn(&Measures) -> Option<f64>,
    unit: Unit,
}

/// Measures of a run's dependence on the wording.
const ROBUSTNESS: [Measure; 8] = [
    share("worst instruction (%)", "worst instruction", |of| Some(of.worst_instruction)),
    share("best minus worst instruction (points)", "max − min", |of| Some(of.spread)),
    share("right under every instruction (%)", "right under all", |of| Some(of.worst_case)),
    share("performance drop rate (%)", "drop rate", |of| of.drop_rate),
    share("consistency between instructions (%)", "consistent", |of| of.consistency),
    share("consistency with clean (%)", "as clean", |of| of.clean_consistency),
    Measure { name: "F1 (mrpc, qqp)", short: None, value: |of| of.f1, unit: Unit::Plain },
    Measure { name: "Matthews correlation (cola)", short: None, value: |of| of.matthews, unit: Unit::Plain },
];

/// Share of answers with an unfinished thought. Omitted if there are no such answers.
const UNFINISHED: Measure = share("no end of thought (%)", "no end of thought", |of| Some(of.unfinished_thoughts));

/// Measures that limit trust in a run's numbers: those shown before and after [`UNFINISHED`].
const LIMITS: ([Measure; 1], [Measure; 2]) = (
    [share("unparsable (%)", "unparsable", |of| Some(of.unparsable))],
    [
        share("near\u{2011}ties (%)", "near-ties", |of| of.near_ties),
        Measure {
            name: "shortened",
            short: Some("shortened"),
            value: |of| Some(of.shortened as f64),
            unit: Unit::Count,
        },
    ],
);

const fn share(name: &'static str, short: &'static str, value: fn(&Measures) -> Option<f64>) -> Measure {
    Measure { name, short: Some(short), value, unit: Unit::Share }
}

impl Measure {
    fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Share => percent(value),
            Unit::Plain => thousandths(value),
            Unit::Count => format!("{value:.0}"),
        }
    }

    fn cell(&self, measures: Option<&Measures>) -> String {
        measures.and_then(self.value).map_or(none(), |value| self.show(value))
    }

    /// Formats a difference with its sign.
    fn change(&self, value: f64) -> String {
        if self.unit == Unit::Share {
            return signed(value);
        }
        match format!("{:.3}", value.abs()) {
            text if text == "0.000" => text,
            text if value < 0.0 => format!("−{text}"),
            text => format!("+{text}"),
        }
    }
}

/// Returns the measures of `LIMITS`, and `UNFINISHED` if it applies to any of `runs`.
fn limits<'r>(runs: impl IntoIterator<Item = &'r RunSummary>) -> Vec<Measure> {
    let unfinished = runs.into_iter().flat_map(|run| &run.levels).any(|row| row.measures.unfinished_thoughts > 0.0);
    let (before, behind) = LIMITS;
    before.into_iter().chain(unfinished.then_some(UNFINISHED)).chain(behind).collect()
}

/// One row for each measure and one column for each run, averaged over all levels. The last column is the difference between the
/// last two runs.
pub fn robustness(summary: &Summary) -> Table {
    let mut columns = vec!["averaged over all levels".to_owned()];
    columns.extend(summary.runs.iter().map(|run| run.name.clone()));
    let pair = last_two(summary);
    columns.extend(pair.map(|(before, last)| format!("{} − {}", last.name, before.name)));
    let value = |run: &RunSummary, row: &Measure| run.level(AVERAGE).and_then(row.value);
    let of = |row: &Measure| {
        let mut cells = vec![row.name.to_owned()];
        cells.extend(summary.runs.iter().map(|run| row.cell(run.level(AVERAGE))));
        let both = pair.map(|(before, last)| value(before, row).zip(value(last, row)));
        // The difference is not colored, because more is not better for every measure.
        cells.extend(both.map(|both| both.map_or(none(), |(before, last)| row.change(last - before))));
        cells
    };
    let measured = |row: &&Measure| summary.runs.iter().any(|run| value(run, row).is_some());
    Table { columns, rows: ROBUSTNESS.iter().filter(measured).map(of).collect() }
}

/// One row for each level and one column for each measure, for one run.
///
/// `Form::Page` omits measures without values. `Form::Terminal` includes the columns of [`reliability`] and omits the metrics of
/// the tasks, which are in [`task_metrics`](super::task_metrics).
pub fn robustness_by_level(summary: &Summary, run: &RunSummary, form: Form) -> Table {
    let measured = |of: &Measure| run.levels.iter().any(|level| (of.value)(&level.measures).is_some());
    let shown: Vec<(&str, Measure)> = match form {
        Form::Terminal => {
            let all = ROBUSTNESS.into_iter().chain(limits([run]));
            all.filter_map(|of| Some((of.short?, of))).collect()
        }
        Form::Page => ROBUSTNESS.into_iter().filter(measured).map(|of| (of.name, of)).collect(),
    };
    let columns = std::iter::once("level").chain(shown.iter().map(|(head, _)| *head)).map(str::to_owned);
    let row = |level: &str| {
        let cells = shown.iter().map(|(_, of)| of.cell(run.level(level)));
        std::iter::once(level_title(level).to_owned()).chain(cells).collect()
    };
    Table { columns: columns.collect(), rows: summary.levels().into_iter().map(row).collect() }
}

/// Share of unparsable answers, share of near-ties and number of shortened prompts, for each run and level.
pub fn reliability(summary: &Summary) -> Table {
    let shown = limits(&summary.runs);
    let mut columns = vec!["level".to_owned()];
    for of in &shown {
        columns.extend(summary.runs.iter().map(|run| format!("{}: {}", run.name, of.name)));
    }
    let row = |level: &str| {
        let mut row = vec![level_title(level).to_owned()];
        for of in &shown {
            row.extend(summary.runs.iter().map(|run| of.cell(run.level(level))));
        }
        row
    };
    Table { columns, rows: summary.levels().into_iter().map(row).collect() }
}

/// F1 and the Matthews correlation, times 100, of the tasks that have them, at each level. `None` if no task has them.
pub fn task_metrics(summary: &Summary, run: &RunSummary) -> Option<Table> {
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
    let columns = std::iter::once("task").chain(levels.iter().map(|level| level_title(level)));
    (!rows.is_empty()).then(|| Table { columns: columns.map(str::to_owned).collect(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;
    use crate::tables::{changes, cosines};

    #[test]
    fn measures_that_no_run_has_are_left_out() {
        let mut summary = synthetic::summary();
        let grid = robustness(&summary);
        assert_eq!((grid.rows.len(), grid.columns.len()), (8, 5));
        for level in summary.runs.iter_mut().flat_map(|run| &mut run.levels) {
            level.measures.matthews = None;
        }
        assert_eq!(robustness(&summary).rows.len(), 7);
        let by_level = robustness_by_level(&summary, &summary.runs[0], Form::Page);
        assert_eq!((by_level.columns.len(), by_level.rows.len()), (8, 6));
        assert_eq!(by_level.rows[0][4], "–", "no drop rate at level clean");
    }

    #[test]
    fn values_and_signs_by_hand() {
        let measures = Measures { matthews: Some(-0.25), drop_rate: Some(0.125), ..Measures::default() };
        let [.., drop, _, _, _, matthews] = &ROBUSTNESS;
        assert_eq!((drop.cell(Some(&measures)), drop.change(-0.02)), ("12.5".into(), "−2.0".into()));
        assert_eq!(matthews.cell(Some(&measures)), "−0.250");
        assert_eq!((matthews.change(0.0004), matthews.change(0.1)), ("0.000".into(), "+0.100".into()));
    }

    #[test]
    fn thoughts_without_an_end_have_a_column_where_there_are_any() {
        let mut summary = synthetic::summary();
        summary.runs.truncate(1);
        summary.runs[0].levels[0].measures.unfinished_thoughts = 0.25;
        let grid = reliability(&summary);
        assert_eq!((grid.columns[2].as_str(), grid.rows[0][2].as_str()), ("base: no end of thought (%)", "25.0"));
        assert_eq!(robustness_by_level(&summary, &summary.runs[0], Form::Terminal).columns[8], "no end of thought");
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

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let summary = synthetic::summary();
        let grid = robustness_by_level(&summary, &summary.runs[0], Form::Terminal);
        assert_eq!(grid.columns.len(), grid.rows[0].len());
        assert_eq!((grid.rows[0][0].as_str(), grid.rows[0][4].as_str(), grid.rows[0][6].as_str()), ("clean", "–", "–"));
        assert_ne!(grid.rows[1][4], "–");
    }

    #[test]
    fn tasks_show_their_own_metrics() {
        let grid = task_metrics(&synthetic::summary(), &synthetic::summary().runs[0]).unwrap();
        let names: Vec<&str> = grid.rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(names, ["cola: Matthews", "mrpc: F1", "qqp: F1"]);
        assert_eq!(grid.rows[0][1], "0.0", "all examples are of one class");
    }
}
