//! Runs from fixed pseudo-random answers, for tests of summaries, tables and reports.

use coin_analysis::{MapPoint, StateMap};
use coin_data::Task;
use coin_eval::flips::Flips;
use coin_eval::levels::LEVELS;
use coin_eval::{Bootstrap, InstructionSet, PromptText, Record, Summary, metrics, statistics};
use coin_report::{Curve, CurvePoint, HeldOutPoint, Report};
use serde_json::json;

/// A linear congruential generator of numbers from 0 to 1.
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Name, accuracy under clean instructions, loss under perturbed ones, spread over instructions.
const RUNS: [(&str, f64, f64, f64); 3] =
    [("base", 0.8, 0.25, 0.1), ("cit", 0.92, 0.2, 0.08), ("coin", 0.88, 0.1, 0.04)];

/// The ledger of one run over ten tasks, five levels, six instructions and forty examples.
fn ledger((name, skill, loss, spread): (&str, f64, f64, f64)) -> Vec<Record> {
    let mut records = Vec::new();
    let mut uniform = Uniform(name.len() as u64 * 7919);
    for (t, task) in Task::glue().into_iter().enumerate() {
        for (l, level) in LEVELS.iter().enumerate() {
            for instruction in 0..6 {
                let wobble = spread * (uniform.next() - 0.5) * (1 + l) as f64;
                let share = skill - 0.02 * t as f64 - loss * [0.0, 1.0, 0.8, 0.15, 0.5][l] + wobble;
                for row in 0..40 {
                    let (right, unread) = (uniform.next() < share, uniform.next() < 0.1);
                    let pred = if right { 1 } else { -i64::from(unread) };
                    let text = usize::try_from(pred).map_or("", |class| task.labels[class].as_str());
                    records.push(Record {
                        task: task.name.clone(),
                        level: (*level).to_owned(),
                        instruction,
                        row,
                        pred,
                        gold: 1,
                        raw_pred: text.to_owned(),
                        margin: Some(uniform.next() as f32),
                        cosine_to_clean: (l > 0).then(|| 0.99 - (loss * 0.8 * uniform.next()) as f32),
                        ..Record::default()
                    });
                }
            }
        }
    }
    records
}

/// Three runs, `base`, `cit` and `coin`, without intervals or tests.
pub fn summary() -> Summary {
    Summary::new(settings(), RUNS.map(|run| metrics::score(run.0, &ledger(run)).unwrap()).to_vec())
}

/// The same with intervals, and tests of `coin` against `cit`.
pub fn tested() -> Summary {
    let (tasks, bootstrap) = (Task::glue(), Bootstrap { replicates: 100, seed: 42 });
    let ledgers = RUNS.map(ledger);
    let scored = RUNS.iter().zip(&ledgers);
    let runs =
        scored.map(|(run, records)| statistics::score_with_intervals(run.0, records, &tasks, bootstrap).unwrap());
    let compared = statistics::compare(("cit", &ledgers[1]), ("coin", &ledgers[2]), &tasks, bootstrap).unwrap();
    Summary { comparisons: vec![compared], ..Summary::new(settings(), runs.collect()) }
}

fn settings() -> serde_json::Map<String, serde_json::Value> {
    let settings = json!({
        "preset": "strict", "seed": 42, "samples": 40, "levels": LEVELS,
        "objective": {"temperature": 0.05, "lambda": 1000, "pooling": "last"}
    });
    settings.as_object().cloned().unwrap()
}

/// Changed answers of the three runs, with the built-in instructions for texts.
pub fn flips() -> Flips {
    let ledgers = RUNS.map(ledger);
    let runs: Vec<(&str, &[Record])> =
        RUNS.iter().zip(&ledgers).map(|(run, ledger)| (run.0, ledger.as_slice())).collect();
    let set = InstructionSet::glue();
    let texts = |record: &Record| {
        let task = Task::named(&record.task).ok()?;
        let clean = &set.get("clean", &task).ok()?[record.instruction];
        let instruction = match record.level.as_str() {
            "clean" => clean.clone(),
            "semantic" => set.get("semantic", &task).ok()?[record.instruction].clone(),
            "checklist" => format!("{} Qx7TmzB0aK", clean.trim()),
            _ => clean.replacen("the ", "teh ", 2).replacen("is ", "si ", 1),
        };
        let content =
            format!("Sentence 1: The boat of row {} sank <early> & fast. Sentence 2: It did not.", record.row);
        Some(PromptText { instruction, content })
    };
    Flips::collect(&runs, &texts, 2, 42)
}

/// Maps of 300 prompts of cola for each run: two clusters, with separate levels for `base` and mixed levels for `coin`.
pub fn maps() -> Vec<StateMap> {
    let map = |(place, run): (usize, (&str, f64, f64, f64))| {
        let mut uniform = Uniform(place as u64 + 1);
        let mut points = Vec::new();
        for (l, level) in LEVELS.iter().enumerate() {
            for index in 0..60 {
                let (class, apart) = (index % 2, (2 - place) as f64);
                let mut around = |center: f64| center + uniform.next() + uniform.next() - 1.0;
                let (x, y) = (around(4.0 * class as f64), around(apart * l as f64));
                points.push(MapPoint { x, y, level: (*level).to_owned(), class });
            }
        }
        StateMap {
            run: run.0.to_owned(),
            task: "cola".to_owned(),
            method: "UMAP".to_owned(),
            points,
            silhouette_level: Some(0.21 - 0.1 * place as f64),
            silhouette_class: Some(0.6),
            trustworthiness: Some(0.97),
        }
    };
    RUNS.into_iter().enumerate().map(map).collect()
}

/// A report with every section.
pub fn report() -> Report {
    let settings = [("base", json!({"seed": 42, "model": "tiny"})), ("cit", json!({"seed": 42, "lora": {"rank": 8}}))];
    let settings = settings.map(|(run, settings)| (run.to_owned(), settings.as_object().cloned().unwrap()));
    Report { curves: curves(), flips: flips(), maps: maps(), settings: settings.to_vec(), ..Report::new(tested()) }
}

/// Curves of `cit` and `coin`.
pub fn curves() -> Vec<Curve> {
    let points = |contrastive: bool| {
        let loss = |step: u64| 0.4 + 2.0 * (-(step as f64) / 30.0).exp() + 0.05 * (step as f64 * 1.7).sin();
        let point = |step| CurvePoint {
            step,
            loss_generation: loss(step) + if contrastive { 0.03 } else { 0.0 },
            loss_contrastive: contrastive.then(|| 3.0 * (-(step as f64) / 40.0).exp() + 0.2),
            accuracy: contrastive.then(|| 1.0 - 0.5 * (-(step as f64) / 50.0).exp()),
            similarity_positive: contrastive.then_some(0.9),
            similarity_negative: contrastive.then_some(0.8 - step as f64 * 0.005),
        };
        (0..200).map(point).collect()
    };
    let held_out = (0..=8).map(|eighth| HeldOutPoint {
        step: 25 * eighth,
        loss_generation: 0.5 + 1.8 * (-(eighth as f64)).exp(),
        accuracy: Some(0.5 + 0.05 * eighth as f64),
    });
    vec![
        Curve { run: "cit".to_owned(), points: points(false), held_out: Vec::new() },
        Curve { run: "coin".to_owned(), points: points(true), held_out: held_out.collect() },
    ]
}
