//! Intervals, robustness measures and tests with plausible values: a report shows them, whatever they are.

use coin_eval::RunSummary;
use coin_eval::summary::{
    AVERAGE, Bootstrap, Comparison, Difference, GroupComparison, Interval, LevelComparison, McNemar, Measures, PValue,
    TaskComparison,
};

/// Fills in what a report shows beside accuracy and spread.
pub fn measures(run: &mut RunSummary) {
    run.bootstrap = Some(Bootstrap::default());
    for cell in &mut run.tasks {
        fill(&mut cell.measures, &cell.level, 0.05);
    }
    for row in &mut run.groups {
        fill(&mut row.measures, &row.level, 0.03);
    }
    for row in &mut run.levels {
        fill(&mut row.measures, &row.level, 0.02);
    }
}

fn fill(measures: &mut Measures, level: &str, half: f64) {
    let accuracy = measures.accuracy;
    let around = |value: f64| Some(Interval { low: value - half, high: value + half });
    *measures = Measures {
        accuracy_interval: around(accuracy),
        worst_instruction: accuracy - 1.5 * measures.std,
        spread: 3.0 * measures.std,
        worst_case: accuracy * accuracy,
        near_ties: Some(0.004),
        shortened: if level == AVERAGE { 12 } else { 2 },
        change_interval: measures.change.filter(|_| level != "clean").and_then(around),
        drop_rate: (level != "clean").then_some(0.5 - accuracy / 2.0),
        consistency: Some(accuracy.sqrt()),
        clean_consistency: (level != "clean").then_some(accuracy),
        f1: Some(accuracy + 0.02),
        matthews: Some(2.0 * accuracy - 1.0),
        ..measures.clone()
    };
}

/// Differences of the runs' values, with intervals of a fixed width.
pub fn comparison(before: &RunSummary, after: &RunSummary) -> Comparison {
    let between = |before: &Measures, after: &Measures, half: f64| {
        let interval = |value: f64| Interval { low: value - half, high: value + half };
        let (accuracy, std) = (after.accuracy - before.accuracy, after.std - before.std);
        let p = |value: f64, holm: f64| PValue { value, holm: Some(holm.min(1.0)) };
        let likely = |value: f64| (-(value / half).powi(2)).exp();
        Difference {
            accuracy,
            accuracy_interval: interval(accuracy),
            accuracy_p: p(likely(accuracy), 5.0 * likely(accuracy)),
            std,
            std_interval: interval(std),
            std_p: p(likely(std), 5.0 * likely(std)),
            mcnemar: McNemar {
                gained: 40,
                lost: (40.0 - 100.0 * accuracy).max(0.0) as usize,
                exact_p: p(likely(accuracy) / 2.0, likely(accuracy)),
                clustered_statistic: (accuracy / half).powi(2),
                clustered_p: p(likely(accuracy), 5.0 * likely(accuracy)),
            },
        }
    };
    let tasks = before.tasks.iter().zip(&after.tasks).map(|(a, b)| TaskComparison {
        task: a.task.clone(),
        group: a.group.clone(),
        level: a.level.clone(),
        difference: between(&a.measures, &b.measures, 0.06),
    });
    let levels = before.levels.iter().zip(&after.levels).map(|(a, b)| LevelComparison {
        level: a.level.clone(),
        tasks: a.tasks,
        difference: between(&a.measures, &b.measures, 0.02),
    });
    let groups = before.groups.iter().zip(&after.groups).map(|(a, b)| GroupComparison {
        group: a.group.clone(),
        level: a.level.clone(),
        tasks: a.tasks,
        difference: between(&a.measures, &b.measures, 0.04),
    });
    Comparison {
        before: before.name.clone(),
        after: after.name.clone(),
        bootstrap: Bootstrap::default(),
        common: 12_000,
        only_before: 0,
        only_after: 0,
        tasks: tasks.collect(),
        levels: levels.collect(),
        groups: groups.collect(),
    }
}
