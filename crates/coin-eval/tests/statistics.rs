//! Metrics and statistics compared with numpy, scipy, scikit-learn and statsmodels, and the coverage of intervals on simulated
//! runs.

use std::collections::BTreeMap;

use coin_core::stream;
use coin_data::Task;
use coin_eval::metrics::{self, AVERAGE, Interval, PValue};
use coin_eval::statistics::{compare, mcnemar_exact, score_with_intervals};
use coin_eval::{Bootstrap, Record, Summary};
use proptest::prelude::*;
use rand::Rng;
use serde::Deserialize;
use serde_json::Value;

/// `fixtures/statistics.json`, written by `make_statistics.py` in the same folder.
#[derive(Deserialize)]
struct Fixture {
    gold: BTreeMap<String, Vec<usize>>,
    answers: Vec<Answers>,
    measures: Vec<Value>,
    tests_of_cells: Vec<Value>,
    tests_of_levels: Vec<Value>,
    binomial: Vec<Value>,
    replicates: usize,
    intervals: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Answers {
    run: String,
    task: String,
    level: String,
    answers: Vec<Vec<i64>>,
}

#[derive(Deserialize)]
struct Expected {
    low: f64,
    high: f64,
    deviation: f64,
}

impl Fixture {
    fn read() -> Fixture {
        serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap()
    }

    fn records(&self, run: &str) -> Vec<Record> {
        let mut records = Vec::new();
        for cell in self.answers.iter().filter(|cell| cell.run == run) {
            for (instruction, answers) in cell.answers.iter().enumerate() {
                for (row, pred) in answers.iter().enumerate() {
                    records.push(Record {
                        task: cell.task.clone(),
                        level: cell.level.clone(),
                        instruction,
                        row,
                        pred: *pred,
                        gold: self.gold[&cell.task][row],
                        ..Record::default()
                    });
                }
            }
        }
        records
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    // Sums of a few hundred terms in f64, in a different order. lgamma of 90,000 loses another five digits.
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{what}: {found} is not {expected}");
}

#[test]
fn measures_are_those_of_scikit_learn_and_numpy() {
    let fixture = Fixture::read();
    for expected in &fixture.measures {
        let (run, task, level) = (text(expected, "run"), text(expected, "task"), text(expected, "level"));
        let summary = metrics::score(run, &fixture.records(run)).unwrap();
        let found = serde_json::to_value(&summary.task(task, level).unwrap().measures).unwrap();
        let names =
            expected.as_object().unwrap().iter().filter(|(name, _)| !["run", "task", "level"].contains(&name.as_str()));
        for (name, expected) in names {
            let what = format!("{run}, {task}, {level}: {name}");
            match expected.is_null() {
                true => assert!(found[name].is_null(), "{what}"),
                false => close(found[name].as_f64().unwrap(), expected, &what),
            }
        }
    }
}

#[test]
fn tests_between_runs_are_those_of_scipy_and_statsmodels() {
    let fixture = Fixture::read();
    let (before, after) = (fixture.records("cit"), fixture.records("coin"));
    let found = compare(("cit", &before), ("coin", &after), &Task::glue(), Bootstrap::default()).unwrap();
    assert_eq!((found.common, found.only_before, found.only_after), (400, 0, 0));
    let cells = fixture.tests_of_cells.iter().map(|row| (row, found.task(text(row, "task"), text(row, "level"))));
    let levels = fixture.tests_of_levels.iter().map(|row| (row, found.level(text(row, "level"))));
    for (expected, difference) in cells.chain(levels) {
        let found = &difference.unwrap().mcnemar;
        assert_eq!(
            (found.gained, found.lost),
            (expected["gained"].as_u64().unwrap() as usize, expected["lost"].as_u64().unwrap() as usize)
        );
        close(found.exact_p.value, &expected["exact_p"], "exact");
        close(found.exact_p.holm.unwrap(), &expected["exact_p_holm"], "exact, Holm");
        close(found.clustered_statistic, &expected["clustered_statistic"], "statistic");
        close(found.clustered_p.value, &expected["clustered_p"], "clustered");
        close(found.clustered_p.holm.unwrap(), &expected["clustered_p_holm"], "clustered, Holm");
    }
    let unadjusted = |p: &PValue| p.holm.is_none();
    assert!(unadjusted(&found.level(AVERAGE).unwrap().accuracy_p) && unadjusted(&found.groups[0].difference.std_p));
    for row in &fixture.binomial {
        let count = |name: &str| row[name].as_u64().unwrap() as usize;
        close(mcnemar_exact(count("gained"), count("lost")), &row["p"], "binomial");
    }
}

#[test]
fn intervals_are_those_of_a_bootstrap_in_numpy() {
    let fixture = Fixture::read();
    let (before, after) = (fixture.records("cit"), fixture.records("coin"));
    let bootstrap = Bootstrap { replicates: fixture.replicates, seed: 3 };
    let run = score_with_intervals("coin", &after, &Task::glue(), bootstrap).unwrap();
    let comparison = compare(("cit", &before), ("coin", &after), &Task::glue(), bootstrap).unwrap();
    let cell = &run.task("mrpc", "semantic").unwrap().measures;
    let (level, average) = (run.level("semantic").unwrap(), run.level(AVERAGE).unwrap());
    let found: [(&str, Interval); 8] = [
        ("cell", cell.accuracy_interval.unwrap()),
        ("cell_change", cell.change_interval.unwrap()),
        ("level", level.accuracy_interval.unwrap()),
        ("level_change", level.change_interval.unwrap()),
        ("average", average.accuracy_interval.unwrap()),
        ("difference_of_level", comparison.level("semantic").unwrap().accuracy_interval),
        ("difference_of_average", comparison.level(AVERAGE).unwrap().accuracy_interval),
        ("difference_of_std", comparison.level("semantic").unwrap().std_interval),
    ];
    for (name, found) in found {
        let expected = &fixture.intervals[name];
        // The 2.5 % quantile of 20,000 normal draws has a standard error of 0.019 deviations. Four standard errors of
        // the difference of two are 0.11. A cell's accuracy is a multiple of 1 / 100 and may be off by one step.
        let tolerance = 0.11 * expected.deviation + if name.starts_with("cell") { 0.01 } else { 0.0 };
        for (found, expected) in [(found.low, expected.low), (found.high, expected.high)] {
            assert!((found - expected).abs() < tolerance, "{name}: {found} is not {expected} ± {tolerance}");
        }
    }
    assert!(run.level("clean").unwrap().change_interval.is_none());
}

#[test]
fn draws_depend_on_seed_and_task_alone() {
    let fixture = Fixture::read();
    let all = fixture.records("coin");
    let alone: Vec<Record> = all.iter().rev().filter(|record| record.task == "mrpc").cloned().collect();
    let bootstrap = Bootstrap { replicates: 100, seed: 8 };
    let interval = |records: &[Record], bootstrap| {
        let run = score_with_intervals("coin", records, &Task::glue(), bootstrap).unwrap();
        run.task("mrpc", "semantic").unwrap().measures.change_interval.unwrap()
    };
    assert_eq!(interval(&all, bootstrap), interval(&alone, bootstrap), "neither other tasks nor the order matter");
    assert_ne!(interval(&all, bootstrap), interval(&all, Bootstrap { seed: 9, ..bootstrap }));

    let same = compare(("a", &all), ("b", &all), &Task::glue(), bootstrap).unwrap();
    let level = same.level(AVERAGE).unwrap();
    assert_eq!((level.accuracy_interval, level.accuracy_p.value), (Interval { low: 0.0, high: 0.0 }, 1.0), "paired");
}

#[test]
fn intervals_and_comparisons_are_written_and_read() {
    let fixture = Fixture::read();
    let records = ["cit", "coin"].map(|run| fixture.records(run));
    let (tasks, bootstrap) = (Task::glue(), Bootstrap { replicates: 100, seed: 8 });
    let run = |name, records: &[Record]| score_with_intervals(name, records, &tasks, bootstrap).unwrap();
    let runs = vec![run("cit", &records[0]), run("coin", &records[1])];
    let comparison = compare(("cit", &records[0]), ("coin", &records[1]), &tasks, bootstrap).unwrap();
    let summary = Summary { comparisons: vec![comparison], ..Summary::new(serde_json::Map::new(), runs) };

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.json");
    summary.write(&path).unwrap();
    assert!(Summary::read(&path).unwrap() == summary, "floats too");
    let found = summary.comparison("cit", "coin").and_then(|comparison| comparison.group("grammar", "semantic"));
    assert!(found.unwrap().accuracy > 0.0 && summary.comparison("coin", "cit").is_none());
}

/// Simulated answers of two runs. Examples and instructions are redrawn for each simulation. An example has an ease, an
/// instruction has a strength, and `after` is better by `gain`, all in units of a logit.
fn simulated(seed: u64, examples: usize, instructions: usize, gain: f64) -> [Vec<Record>; 2] {
    let mut random = stream::keyed(seed, &["simulated"]);
    let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    let ease: Vec<f64> = (0..examples).map(|_| 1.5 * normal()).collect();
    let strength: Vec<f64> = (0..instructions).map(|_| 0.5 * normal()).collect();
    let mut random = stream::keyed(seed, &["answers"]);
    [0.0, gain].map(|gain| {
        let mut records = Vec::new();
        for (instruction, strength) in strength.iter().enumerate() {
            for (row, ease) in ease.iter().enumerate() {
                let chance = 1.0 / (1.0 + (-(0.5 + ease + strength + gain)).exp());
                let pred = i64::from(random.random::<f64>() < chance);
                let (task, level) = ("sst2".to_owned(), "clean".to_owned());
                records.push(Record { task, level, instruction, row, pred, gold: 1, ..Record::default() });
            }
        }
        records
    })
}

fn accuracy(records: &[Record]) -> f64 {
    records.iter().filter(|record| record.pred == 1).count() as f64 / records.len() as f64
}

#[test]
fn intervals_cover_what_they_should() {
    const SIMULATIONS: u64 = 300;
    // The accuracy of the population: many examples under many instructions.
    let [before, after] = simulated(0, 3000, 300, 0.6);
    let (truth, gain) = (accuracy(&after), accuracy(&after) - accuracy(&before));
    let bootstrap = Bootstrap { replicates: 200, seed: 5 };
    let (mut covered, mut independent, mut covered_gain) = (0, 0, 0);
    for seed in 1..=SIMULATIONS {
        let [before, after] = simulated(seed, 60, 12, 0.6);
        let run = score_with_intervals("run", &after, &[], bootstrap).unwrap();
        let interval = run.tasks[0].measures.accuracy_interval.unwrap();
        covered += u64::from(interval.low <= truth && truth <= interval.high);
        let difference = &compare(("a", &before), ("b", &after), &[], bootstrap).unwrap().tasks[0].difference;
        covered_gain +=
            u64::from(difference.accuracy_interval.low <= gain && gain <= difference.accuracy_interval.high);
        // The interval if all answers were independent.
        let found = accuracy(&after);
        let half = 1.96 * (found * (1.0 - found) / after.len() as f64).sqrt();
        independent += u64::from((found - truth).abs() <= half);
    }
    // 95 % of 300 has a standard error of 1.3 points. Percentile intervals over twelve instructions are a few points
    // too narrow, and the two-way bootstrap is too wide where noise dominates (at most three times its variance).
    let share = |count: u64| count as f64 / SIMULATIONS as f64;
    println!("covered: {} {}, as if independent {}", share(covered), share(covered_gain), share(independent));
    assert!((0.90..=0.99).contains(&share(covered)), "{}", share(covered));
    assert!((0.93..=1.0).contains(&share(covered_gain)), "{}", share(covered_gain));
    assert!(share(independent) < 0.75, "{}: the clusters matter", share(independent));
}

#[test]
fn no_difference_is_rarely_found() {
    let bootstrap = Bootstrap { replicates: 200, seed: 6 };
    let (mut by_bootstrap, mut clustered, mut found) = (0, 0, 0);
    for seed in 1..=200 {
        let [before, after] = simulated(seed, 60, 6, 0.0);
        let same = &compare(("a", &before), ("b", &after), &[], bootstrap).unwrap().tasks[0].difference;
        by_bootstrap += u64::from(same.accuracy_p.value <= 0.05);
        clustered += u64::from(same.mcnemar.clustered_p.value <= 0.05);
        let [before, after] = simulated(seed, 60, 6, 1.0);
        let better = &compare(("a", &before), ("b", &after), &[], bootstrap).unwrap().tasks[0].difference;
        found += u64::from(better.accuracy_p.value <= 0.05 && better.mcnemar.clustered_p.value <= 0.05);
    }
    println!("false: {by_bootstrap} and {clustered} of 200, found: {found} of 200");
    // 5 % of 200 is 10, with a standard error of 3.
    assert!(by_bootstrap <= 19 && clustered <= 19, "{by_bootstrap} and {clustered}");
    assert!(found > 180, "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Ledgers with gaps: instructions and levels without some of the examples, tasks without some of the levels.
    #[test]
    fn no_ledger_gives_a_value_outside_its_range(
        answers in proptest::collection::btree_map((0usize..3, 0usize..3, 0usize..3, 0usize..4), -1i64..2, 1..40),
        gained in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let name = |names: [&str; 3], place: usize| names[place].to_owned();
        let record = |((task, level, instruction, row), pred): (&(usize, usize, usize, usize), &i64)| Record {
            task: name(["cola", "mrpc", "own"], *task),
            level: name(["clean", "semantic", "own"], *level),
            instruction: 5 * *instruction,
            row: 3 * *row,
            pred: *pred,
            gold: row % 2,
            ..Record::default()
        };
        let before: Vec<Record> = answers.iter().map(record).collect();
        let pred = |record: &Record, gained| if gained { record.gold as i64 } else { record.pred };
        let after: Vec<Record> = before
            .iter()
            .zip(gained)
            .map(|(record, gained)| Record { pred: pred(record, gained), ..record.clone() })
            .collect();
        let bootstrap = Bootstrap { replicates: 40, seed: 1 };
        let run = score_with_intervals("run", &before, &Task::glue(), bootstrap).unwrap();
        let cells = run.tasks.iter().map(|cell| &cell.measures).chain(run.levels.iter().map(|row| &row.measures));
        for measures in cells.chain(run.groups.iter().map(|row| &row.measures)) {
            let shares = [Some(measures.accuracy), Some(measures.worst_case), measures.consistency, measures.f1];
            let shares = shares.into_iter().chain([measures.clean_consistency, Some(measures.unparsable)]).flatten();
            for share in shares {
                prop_assert!((0.0..=1.0).contains(&share), "{measures:?}");
            }
            prop_assert!(measures.matthews.is_none_or(|value| value.abs() <= 1.0 + 1e-12));
            prop_assert!(measures.worst_instruction <= measures.accuracy + 1e-12);
            prop_assert!(measures.std <= measures.spread / 2.0 + 1e-12, "at most half the range (Popoviciu)");
            let interval = measures.accuracy_interval.unwrap();
            prop_assert!(0.0 <= interval.low && interval.low <= interval.high && interval.high <= 1.0);
        }
        let comparison = compare(("a", &before), ("b", &after), &Task::glue(), bootstrap).unwrap();
        for row in &comparison.levels {
            prop_assert!(row.difference.accuracy >= 0.0 && row.difference.mcnemar.lost == 0);
            prop_assert!(row.difference.accuracy_interval.low >= 0.0, "gains alone");
        }
        prop_assert_eq!(comparison.common, before.len());
    }
}
