//! Metrics from ledger records alone. `docs/metrics.md` gives the formulas.

use std::collections::{BTreeMap, BTreeSet};

use coin_data::Task;

use crate::EvalError;
use crate::ledger::Record;
use crate::levels::{CLEAN, LEVELS};
use crate::summary::{AVERAGE, GroupSummary, LevelSummary, Measures, RunSummary, TaskSummary};

/// A generation whose margin is below this is a near-tie: another batch size, or another order of the sums, may choose
/// another token. Ours; logits of size 10 in f32 are rounded to 1e-6, and sums over a model's width to some 1e-5.
pub const NEAR_TIE: f32 = 1e-4;

/// Order of the task groups in tables; others follow by name.
const GROUPS: [&str; 4] = ["sentiment", "nli", "paraphrase", "grammar"];

/// Scores one run.
///
/// Tasks and levels come in the order of [`Task::glue`] and [`LEVELS`], others after them by name. A task that is
/// none of the ten is its own group.
///
/// # Errors
/// [`EvalError::Invalid`] if there is no record.
pub fn score(name: impl Into<String>, records: &[Record]) -> Result<RunSummary, EvalError> {
    let name = name.into();
    if records.is_empty() {
        return Err(EvalError::Invalid(format!("run `{name}` has no ledger record")));
    }
    let glue = Task::glue();
    let mut cells: BTreeMap<(usize, &str, usize, &str), Vec<&Record>> = BTreeMap::new();
    for record in records {
        let task_order = glue.iter().position(|task| task.name == record.task).unwrap_or(usize::MAX);
        let key = (task_order, record.task.as_str(), order(&LEVELS, &record.level), record.level.as_str());
        cells.entry(key).or_default().push(record);
    }
    let group_of =
        |task: &str| glue.iter().find(|known| known.name == task).map_or(task, |known| &known.group).to_owned();
    let mut tasks: Vec<TaskSummary> =
        cells.into_iter().map(|((_, task, _, level), cell)| task_summary(task, group_of(task), level, &cell)).collect();
    let clean: BTreeMap<String, f64> = tasks
        .iter()
        .filter(|cell| cell.level == CLEAN)
        .map(|cell| (cell.task.clone(), cell.measures.accuracy))
        .collect();
    for cell in &mut tasks {
        cell.measures.change = clean.get(&cell.task).map(|clean| cell.measures.accuracy - clean);
    }

    let levels = averages(&tasks.iter().collect::<Vec<_>>());
    let names: BTreeSet<(usize, &str)> =
        tasks.iter().map(|cell| (order(&GROUPS, &cell.group), cell.group.as_str())).collect();
    let groups = names.iter().flat_map(|(_, group)| {
        let members: Vec<&TaskSummary> = tasks.iter().filter(|cell| cell.group == *group).collect();
        averages(&members).into_iter().map(|LevelSummary { level, tasks, measures }| GroupSummary {
            group: (*group).to_owned(),
            level,
            tasks,
            measures,
        })
    });
    let groups = groups.collect();
    Ok(RunSummary { name, bootstrap: None, tasks, levels, groups })
}

/// One task at one level: accuracy of each instruction, then mean and spread over instructions.
fn task_summary(task: &str, group: String, level: &str, cell: &[&Record]) -> TaskSummary {
    let mut counts: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for record in cell {
        let (right, all) = counts.entry(record.instruction).or_default();
        *right += usize::from(record.pred == record.gold as i64);
        *all += 1;
    }
    let accuracies: Vec<f64> = counts.values().map(|(right, all)| *right as f64 / *all as f64).collect();
    let unparsable = cell.iter().filter(|record| record.pred < 0).count() as f64 / cell.len() as f64;
    let measures = Measures {
        accuracy: mean(&accuracies),
        std: population_std(&accuracies),
        unparsable,
        cosine: mean_of_some(cell.iter().map(|record| record.cosine_to_clean.map(f64::from))),
        ..Measures::default()
    };
    let rows: BTreeSet<usize> = cell.iter().map(|record| record.row).collect();
    TaskSummary { task: task.to_owned(), group, level: level.to_owned(), examples: rows.len(), accuracies, measures }
}

/// Means over tasks at each level, and over levels as [`AVERAGE`].
fn averages(tasks: &[&TaskSummary]) -> Vec<LevelSummary> {
    let names: BTreeSet<(usize, &str)> =
        tasks.iter().map(|cell| (order(&LEVELS, &cell.level), cell.level.as_str())).collect();
    let level = |level: &str| {
        let members: Vec<&Measures> =
            tasks.iter().filter(|cell| cell.level == level).map(|cell| &cell.measures).collect();
        LevelSummary { level: level.to_owned(), tasks: members.len(), measures: average(&members) }
    };
    let mut levels: Vec<LevelSummary> = names.iter().map(|(_, name)| level(name)).collect();
    let all: Vec<&Measures> = levels.iter().map(|level| &level.measures).collect();
    let distinct: BTreeSet<&str> = tasks.iter().map(|cell| cell.task.as_str()).collect();
    let mut overall = LevelSummary { level: AVERAGE.to_owned(), tasks: distinct.len(), measures: average(&all) };
    let clean = levels.iter().find(|level| level.level == CLEAN).map(|level| level.measures.accuracy);
    overall.measures.change = clean.map(|clean| overall.measures.accuracy - clean);
    levels.push(overall);
    levels
}

fn average(members: &[&Measures]) -> Measures {
    let over = |value: fn(&Measures) -> f64| mean(&members.iter().map(|measures| value(measures)).collect::<Vec<_>>());
    Measures {
        accuracy: over(|measures| measures.accuracy),
        std: over(|measures| measures.std),
        unparsable: over(|measures| measures.unparsable),
        cosine: mean_of_some(members.iter().map(|measures| measures.cosine)),
        change: mean_of_some(members.iter().map(|measures| measures.change)),
        ..Measures::default()
    }
}

fn order(known: &[&str], name: &str) -> usize {
    known.iter().position(|known| *known == name).unwrap_or(known.len())
}

/// The arithmetic mean, in f64; NaN of nothing.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The population standard deviation (divisor n), as the paper reports it.
fn population_std(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

fn mean_of_some(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.flatten().collect();
    (!values.is_empty()).then(|| mean(&values))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of one instruction: `right` of `all` answers right, `unread` of the wrong ones unparsable.
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

    #[test]
    fn nothing_to_score_is_an_error() {
        assert_eq!(score("cit", &[]).unwrap_err().to_string(), "run `cit` has no ledger record");
    }
}
