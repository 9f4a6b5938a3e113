//! Measures of one task at one level.

use coin_data::Metric;

use super::aggregation::{mean, mean_of_some};
use super::answers::{Column, LevelAnswers, TaskAnswers, right};
use super::summary::{Measures, TaskSummary};
use super::{NEAR_TIE, classification, consistency};
use crate::levels::CLEAN;

/// Computes the accuracy of each instruction and the measures over instructions. Of the measures relative to level `clean`,
/// only the consistency with it is computed here.
pub(super) fn summary(task: &TaskAnswers, level: &LevelAnswers) -> TaskSummary {
    let accuracies: Vec<f64> = level.columns.iter().map(accuracy).collect();
    let lowest = accuracies.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = accuracies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut right_under_all: Vec<Option<bool>> = vec![None; task.rows.len()];
    for (row, record) in level.columns.iter().flat_map(|column| &column.answers) {
        right_under_all[*row] = Some(right_under_all[*row].unwrap_or(true) && right(record));
    }
    let examples: Vec<bool> = right_under_all.into_iter().flatten().collect();
    let clean = if level.level == CLEAN { None } else { task.clean() };
    let per_instruction = |metric, value: fn(&Column) -> f64| {
        task.metrics.contains(&metric).then(|| mean(level.columns.iter().map(value)))
    };
    let indicator = |holds: bool| Some(f64::from(u8::from(holds)));
    let measures = Measures {
        accuracy: mean(accuracies.iter().copied()),
        std: population_std(&accuracies),
        worst_instruction: lowest,
        spread: highest - lowest,
        worst_case: mean(examples.iter().map(|right| f64::from(u8::from(*right)))),
        unparsable: mean_of_some(level.records().map(|record| indicator(record.pred < 0))).unwrap_or(0.0),
        unfinished_thoughts: mean_of_some(level.records().map(|record| indicator(record.is_unfinished_thought())))
            .unwrap_or(0.0),
        near_ties: mean_of_some(level.records().map(|record| indicator(record.margin? < NEAR_TIE))),
        shortened: level.records().filter(|record| record.shortened).count(),
        cosine: mean_of_some(level.records().map(|record| record.cosine_to_clean.map(f64::from))),
        consistency: consistency::between_instructions(level),
        clean_consistency: clean.and_then(|clean| consistency::with_clean(level, clean)),
        f1: per_instruction(Metric::F1, |column| classification::f1(classes(column))),
        matthews: per_instruction(Metric::Matthews, |column| classification::matthews(classes(column))),
        ..Measures::default()
    };
    TaskSummary {
        task: task.task.to_owned(),
        group: task.group.to_owned(),
        level: level.level.to_owned(),
        examples: examples.len(),
        accuracies,
        measures,
    }
}

fn accuracy(column: &Column) -> f64 {
    column.answers.iter().filter(|(_, record)| right(record)).count() as f64 / column.answers.len() as f64
}

fn classes(column: &Column) -> impl Iterator<Item = (usize, i64)> {
    column.answers.iter().map(|(_, record)| (record.gold, record.pred))
}

/// The population standard deviation (divisor n), as the paper reports it.
fn population_std(values: &[f64]) -> f64 {
    let center = mean(values.iter().copied());
    mean(values.iter().map(|value| (value - center).powi(2))).sqrt()
}
