//! Metrics computed from ledger records alone. `docs/metrics.md` gives the formulas.

pub(crate) mod aggregation;
pub(crate) mod answers;
mod cell;
mod classification;
mod consistency;
pub(crate) mod summary;

use coin_data::Task;

use crate::EvalError;
use crate::run::ledger::Record;
use aggregation::{Aggregation, Of, mean, mean_of_some};
use answers::Answers;

pub use classification::{f1, matthews};
use summary::RunSummary;
pub use summary::{
    AVERAGE, ArmDifference, ArmRow, ArmSummary, Comparison, Difference, EXPERIMENT_SCHEMA, EXPERIMENT_VERSION,
    ExperimentSummary, GroupComparison, GroupSummary, Interval, LevelComparison, LevelSummary, McNemar, Measures,
    PERTURBED, PValue, SCHEMA, TaskComparison, TaskSummary, UNSEEN, VERSION,
};

/// A generation with a margin below this value is a near-tie: a different batch size or summation order may choose
/// another token. The value is this project's choice: f32 logits of size 10 are rounded to 1e-6, and sums over a model's
/// width to about 1e-5.
pub const NEAR_TIE: f32 = 1e-4;

/// Scores one run of the built-in tasks, without intervals.
///
/// Tasks and levels are in the order of [`Task::glue`] and [`LEVELS`](crate::levels::LEVELS), followed by others sorted by name.
/// A task other than the ten built-in ones forms its own group and is measured by accuracy.
///
/// # Errors
/// [`EvalError::Invalid`] if there are no records, or two for the same task, level, instruction and row.
pub fn score(name: impl Into<String>, records: &[Record]) -> Result<RunSummary, EvalError> {
    score_tasks(name, records, &Task::glue())
}

/// Scores one run of `tasks`, without intervals. `tasks` determines the order, groups and metrics.
///
/// # Errors
/// As [`score`].
///
/// ```
/// use coin_data::Task;
/// use coin_eval::{Record, metrics};
/// let own = Task { name: "weather".to_owned(), group: "small talk".to_owned(), ..Task::named("mrpc")? };
/// let record = |row| Record { task: "weather".to_owned(), level: "clean".to_owned(), row, pred: 1, gold: row % 2, ..Record::default() };
/// let run = metrics::score_tasks("run", &[record(0), record(1)], &[own])?;
/// assert_eq!((run.tasks[0].group.as_str(), run.tasks[0].measures.accuracy), ("small talk", 0.5));
/// assert_eq!(run.tasks[0].measures.f1, Some(2.0 / 3.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn score_tasks(name: impl Into<String>, records: &[Record], tasks: &[Task]) -> Result<RunSummary, EvalError> {
    let name = name.into();
    let answers = Answers::new(&name, records, tasks)?;
    Ok(measure(name, &answers, &Aggregation::new(&answers)))
}

/// Computes every measure of a run, without intervals.
pub(crate) fn measure(name: String, answers: &Answers, aggregation: &Aggregation) -> RunSummary {
    let mut tasks: Vec<TaskSummary> = answers.cells().map(|(task, level)| cell::summary(task, level)).collect();
    let accuracies: Vec<f64> = tasks.iter().map(|cell| cell.measures.accuracy).collect();
    for (place, change) in aggregation.cell_changes(&accuracies).into_iter().enumerate() {
        let measures = &mut tasks[place].measures;
        measures.change = change;
        let clean = aggregation.cells[place].clean.filter(|clean| *clean != place).map(|clean| accuracies[clean]);
        measures.drop_rate = clean.filter(|clean| *clean > 0.0).map(|clean| 1.0 - measures.accuracy / clean);
    }

    let mut rows: Vec<Measures> = Vec::with_capacity(aggregation.rows.len());
    for row in &aggregation.rows {
        let average = match &row.of {
            Of::Cells(members) => average(members.iter().map(|cell| &tasks[*cell].measures)),
            Of::Rows { rows: levels, .. } => average(rows[levels.clone()].iter()),
        };
        rows.push(average);
    }
    let of_rows: Vec<f64> = rows.iter().map(|measures| measures.accuracy).collect();
    for (measures, change) in rows.iter_mut().zip(aggregation.row_changes(&accuracies, &of_rows)) {
        measures.change = change;
    }

    let (mut levels, mut groups) = (Vec::new(), Vec::new());
    for (row, measures) in aggregation.rows.iter().zip(rows) {
        let (level, tasks) = (row.level.to_owned(), row.tasks);
        match row.group {
            None => levels.push(LevelSummary { level, tasks, measures }),
            Some(group) => groups.push(GroupSummary { group: group.to_owned(), level, tasks, measures }),
        }
    }
    RunSummary { name, bootstrap: None, tasks, levels, groups }
}

/// Averages cells or rows. Changes, which the aggregation computes, and intervals are left empty.
fn average<'a>(members: impl ExactSizeIterator<Item = &'a Measures> + Clone) -> Measures {
    let over = |value: fn(&Measures) -> f64| mean(members.clone().map(value));
    let over_some = |value: fn(&Measures) -> Option<f64>| mean_of_some(members.clone().map(value));
    Measures {
        accuracy: over(|measures| measures.accuracy),
        accuracy_interval: None,
        std: over(|measures| measures.std),
        worst_instruction: over(|measures| measures.worst_instruction),
        spread: over(|measures| measures.spread),
        worst_case: over(|measures| measures.worst_case),
        unparsable: over(|measures| measures.unparsable),
        unfinished_thoughts: over(|measures| measures.unfinished_thoughts),
        near_ties: over_some(|measures| measures.near_ties),
        shortened: members.clone().map(|measures| measures.shortened).sum(),
        cosine: over_some(|measures| measures.cosine),
        change: None,
        change_interval: None,
        drop_rate: over_some(|measures| measures.drop_rate),
        consistency: over_some(|measures| measures.consistency),
        clean_consistency: over_some(|measures| measures.clean_consistency),
        f1: over_some(|measures| measures.f1),
        matthews: over_some(|measures| measures.matthews),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::CLEAN;

    /// Records of one instruction: `right` of `all` answers are right, and `unread` of the wrong ones are unparsable.
    fn records(task: &str, level: &str, instruction: usize, right: usize, unread: usize, all: usize) -> Vec<Record> {
        let record = |row: usize| Record {
            task: task.to_owned(),
            level: level.to_owned(),
            instruction,
            row,
            pred: if row < right {
                1
            } else if row < right + unread {
                -1
            } else {
                0
            },
            gold: 1,
            cosine_to_clean: (level != CLEAN).then_some(if instruction == 0 { 0.5 } else { 1.0 }),
            ..Record::default()
        };
        (0..all).map(record).collect()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn hand_computed() {
        let ledger = [
            records("sst2", "semantic", 0, 2, 1, 4), // 0.50
            records("sst2", "semantic", 1, 4, 0, 4), // 1.00
            records("cola", "clean", 0, 8, 0, 10),   // 0.80
            records("cola", "clean", 1, 6, 0, 10),   // 0.60
            records("sst2", "clean", 0, 4, 0, 4),    // 1.00
            records("sst2", "clean", 1, 4, 0, 4),    // 1.00
            records("cola", "semantic", 0, 4, 5, 10),
            records("cola", "semantic", 1, 4, 5, 10),
        ]
        .concat();
        let run = score("cit", &ledger).unwrap();
        let order: Vec<_> = run.tasks.iter().map(|cell| (cell.task.as_str(), cell.level.as_str())).collect();
        assert_eq!(order, [("cola", "clean"), ("cola", "semantic"), ("sst2", "clean"), ("sst2", "semantic")]);

        let cola = &run.tasks[0];
        assert_eq!((cola.accuracies.as_slice(), cola.examples), ([0.8, 0.6].as_slice(), 10));
        close(cola.measures.accuracy, 0.7);
        close(cola.measures.std, 0.1);
        close(cola.measures.change.unwrap(), 0.0);
        assert_eq!(cola.measures.cosine, None);

        let sst2 = &run.tasks[3].measures;
        close(sst2.accuracy, 0.75);
        close(sst2.std, 0.25);
        close(sst2.unparsable, 0.125);
        close(sst2.cosine.unwrap(), 0.75);
        close(sst2.change.unwrap(), -0.25);

        let [clean, semantic, average] = &run.levels[..] else { panic!("three levels") };
        close(clean.measures.accuracy, 0.85);
        close(clean.measures.std, 0.05);
        close(semantic.measures.accuracy, 0.575);
        close(semantic.measures.std, 0.125);
        close(semantic.measures.unparsable, (0.125 + 0.5) / 2.0);
        close(semantic.measures.change.unwrap(), -0.275);
        assert_eq!((average.level.as_str(), average.tasks), (AVERAGE, 2));
        close(average.measures.accuracy, (0.85 + 0.575) / 2.0);
        close(average.measures.change.unwrap(), -0.1375);
        close(average.measures.cosine.unwrap(), 0.75);

        let groups: Vec<_> = run.groups.iter().map(|cell| (cell.group.as_str(), cell.level.as_str())).collect();
        assert_eq!(groups[..3], [("sentiment", "clean"), ("sentiment", "semantic"), ("sentiment", AVERAGE)]);
        assert_eq!(groups[3], ("grammar", "clean"));
        close(run.groups[4].measures.accuracy, 0.4);
    }

    /// Two instructions with explicit answers to five examples of class 1, 0, 1, 0, 1.
    #[test]
    fn robustness_by_hand() {
        let answer = |level: &str, instruction: usize, row: usize, pred: i64| Record {
            task: "mrpc".to_owned(),
            level: level.to_owned(),
            instruction,
            row,
            pred,
            gold: (row + 1) % 2,
            margin: (instruction == 0).then_some(if row == 3 { 5e-5 } else { 1.0 }),
            shortened: row == 4,
            ..Record::default()
        };
        let cell = |level: &str, preds: [[i64; 5]; 2]| {
            let rows = |i: usize| preds[i].into_iter().enumerate().map(move |(row, pred)| (i, row, pred));
            (0..2).flat_map(rows).map(|(i, row, pred)| answer(level, i, row, pred)).collect::<Vec<_>>()
        };
        let ledger = [
            cell("clean", [[1, 0, 1, 0, 0], [1, 0, 1, 0, 1]]),
            cell("semantic", [[1, 0, -1, 1, 0], [1, 0, -1, 0, -1]]),
        ]
        .concat();
        let run = score("coin", &ledger).unwrap();

        let clean = &run.tasks[0].measures;
        close(clean.accuracy, 0.9);
        assert_eq!((clean.worst_instruction, clean.spread, clean.worst_case), (0.8, 1.0 - 0.8, 0.8));
        close(clean.consistency.unwrap(), 0.8);
        assert_eq!((clean.clean_consistency, clean.drop_rate, clean.matthews), (None, None, None));
        // Instruction 0: TP 2, FP 0, FN 1; instruction 1: all correct.
        close(clean.f1.unwrap(), (4.0 / 5.0 + 1.0) / 2.0);

        let semantic = &run.tasks[1].measures;
        close(semantic.accuracy, (0.4 + 0.6) / 2.0);
        close(semantic.worst_instruction, 0.4);
        close(semantic.spread, 0.2);
        close(semantic.worst_case, 0.4);
        // Rows 0 and 1 agree. Row 2 is unparsable twice, which does not count as agreement.
        close(semantic.consistency.unwrap(), 0.4);
        // Instruction 0: rows 0, 1, 4; instruction 1: rows 0, 1, 3.
        close(semantic.clean_consistency.unwrap(), 0.6);
        close(semantic.drop_rate.unwrap(), 1.0 - 0.5 / 0.9);
        // Instruction 0: TP 1, FP 1, FN 2; instruction 1: TP 1, FP 0, FN 2.
        close(semantic.f1.unwrap(), (2.0 / 5.0 + 2.0 / 4.0) / 2.0);
        assert_eq!((semantic.near_ties, semantic.shortened), (Some(0.2), 2));

        let average = run.level(AVERAGE).unwrap();
        assert_eq!(average.shortened, 4, "a sum");
        close(average.drop_rate.unwrap(), 1.0 - 0.5 / 0.9);
        close(average.worst_case, 0.6);
        assert!(run.bootstrap.is_none() && average.accuracy_interval.is_none());
    }

    #[test]
    fn no_rate_from_nothing() {
        let ledger = [records("sst2", "clean", 0, 0, 0, 4), records("sst2", "semantic", 0, 2, 0, 4)].concat();
        let run = score("cit", &ledger).unwrap();
        let cell = &run.tasks[1].measures;
        assert_eq!((cell.drop_rate, cell.change, cell.consistency), (None, Some(0.5), None));
        assert_eq!((cell.f1, cell.near_ties), (None, None));
    }

    #[test]
    fn thoughts_without_an_end_are_counted_apart() {
        let mut ledger = records("sst2", "clean", 0, 1, 2, 4);
        ledger[1].unparsable = Some(crate::parser::Unparsable::UnfinishedThought);
        let run = score("cit", &ledger).unwrap();
        let measures = &run.tasks[0].measures;
        assert_eq!((measures.unparsable, measures.unfinished_thoughts), (0.5, 0.25));
        assert_eq!(run.level(AVERAGE).unwrap().unfinished_thoughts, 0.25);
        let json = serde_json::to_string(&run).unwrap();
        assert!(json.contains("\"unfinished_thoughts\":0.25"));
        assert_eq!(serde_json::from_str::<RunSummary>(&json).unwrap(), run);
        // A summary without unfinished thoughts has the same format as before this measure existed.
        ledger[1].unparsable = None;
        let json = serde_json::to_string(&score("cit", &ledger).unwrap()).unwrap();
        assert!(!json.contains("unfinished_thoughts"));
        assert!(serde_json::from_str::<RunSummary>(&json).is_ok());
    }

    #[test]
    fn nothing_to_score_is_an_error() {
        assert_eq!(score("cit", &[]).unwrap_err().to_string(), "run `cit` has no answers");
    }
}
