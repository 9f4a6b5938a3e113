//! Ablations of the contrastive term, one setting at a time, from the same base.
//!
//! Shows: temperature, lambda, pooling, contrastive batch, number of paraphrases and kind of negative, each varied around the
//!          paper's values. A row gives a setting's mean over seeds ± the sample standard deviation between seeds.
//! Command: `cargo run --release -p coin-examples --example ablations [-- --only NAME] [--seeds N] [--steps N]`
//!          NAME is temperature, lambda, pooling, batch, paraphrases or negatives; by default all of them.
//! Caution: a few steps of a tiny model show in which direction a setting moves the hidden states. They do not predict the effect on a
//! large model's accuracy.
//! Output:  A larger contrastive batch pushes negatives further apart, a lower temperature draws wordings closer, and average pooling
//!          over all tokens separates hard negatives less well; the rest is within the spread:
//! ```text
//! | setting | value | generation loss | hard-negative accuracy, % | cosine of wordings | of negatives |
//! |---|---|---|---|---|---|
//! | temperature | 0.01 | 0.606 ± 0.019 | 98.8 ± 0.6 | 0.916 ± 0.001 | 0.404 ± 0.022 |
//! | temperature | 0.05 | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.899 ± 0.004 | 0.355 ± 0.014 |
//! | temperature | 0.2 | 0.607 ± 0.021 | 96.9 ± 2.2 | 0.884 ± 0.008 | 0.279 ± 0.003 |
//! | temperature | 1 | 0.608 ± 0.021 | 97.7 ± 1.1 | 0.896 ± 0.007 | 0.341 ± 0.001 |
//! | lambda | 0 | 0.608 ± 0.021 | 97.3 ± 1.7 | 0.901 ± 0.004 | 0.391 ± 0.005 |
//! | lambda | 0.1 | 0.608 ± 0.021 | 98.4 ± 1.1 | 0.903 ± 0.004 | 0.378 ± 0.009 |
//! | lambda | 1 | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.900 ± 0.004 | 0.358 ± 0.014 |
//! | lambda | 1000 | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.899 ± 0.004 | 0.355 ± 0.014 |
//! | pooling | last | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.899 ± 0.004 | 0.355 ± 0.014 |
//! | pooling | average_all | 0.605 ± 0.018 | 88.7 ± 0.6 | 0.848 ± 0.006 | 0.396 ± 0.010 |
//! | pooling | average_first_last | 0.607 ± 0.019 | 98.4 ± 1.1 | 0.937 ± 0.003 | 0.623 ± 0.003 |
//! | pooling | max | 0.608 ± 0.021 | 94.1 ± 2.8 | 0.983 ± 0.001 | 0.945 ± 0.001 |
//! | batch | 2 | 0.607 ± 0.019 | 99.2 ± 0.0 | 0.908 ± 0.004 | 0.379 ± 0.001 |
//! | batch | 4 | 0.607 ± 0.019 | 99.2 ± 0.0 | 0.907 ± 0.003 | 0.380 ± 0.010 |
//! | batch | 8 | 0.606 ± 0.019 | 98.8 ± 0.6 | 0.907 ± 0.002 | 0.376 ± 0.016 |
//! | batch | 16 | 0.606 ± 0.019 | 98.4 ± 1.1 | 0.905 ± 0.003 | 0.370 ± 0.016 |
//! | batch | 32 | 0.606 ± 0.019 | 98.4 ± 1.1 | 0.903 ± 0.004 | 0.361 ± 0.014 |
//! | batch | 64 | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.899 ± 0.004 | 0.355 ± 0.014 |
//! | paraphrases | 1 | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.899 ± 0.004 | 0.355 ± 0.014 |
//! | paraphrases | 2 | 0.608 ± 0.021 | 98.8 ± 0.6 | 0.901 ± 0.005 | 0.364 ± 0.004 |
//! | paraphrases | 4 | 0.610 ± 0.019 | 98.0 ± 1.7 | 0.901 ± 0.004 | 0.362 ± 0.002 |
//! | negatives | random | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.899 ± 0.004 | 0.355 ± 0.014 |
//! | negatives | nearest | 0.606 ± 0.020 | 98.4 ± 1.1 | 0.904 ± 0.003 | 0.365 ± 0.008 |
//! ```
//! Time:    6 s per run, 46 runs in 4 min 16 s, on two cores that also ran a test suite; 640 MB in an earlier run.

use std::path::Path;

use anyhow::{Context, Result, bail};
use coin::allocator::{MiMalloc, keep_freed_memory};
use coin::data::pairs::{Negatives, PairBuilder, interleave, write_jsonl};
use coin::data::{Task, TemplateSet};
use coin::demo::World;
use coin::loss::Pooling;
use coin::train::config::{DataTable, ModelTable, ObjectiveTable, TrainTable};
use coin::train::metrics::ValidationMetrics;
use coin::train::{Progress, RunConfig, RunOptions, Trainer};
use coin::{demo, device};

/// Reuses large tensors from step to step instead of mapping them again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BATCH: usize = 64;
const HELD_OUT: usize = 128;

/// One row of the table: the setting that varies, and its value.
struct Setting {
    ablation: &'static str,
    value: String,
    objective: ObjectiveTable,
    paraphrases: usize,
    negatives: Negatives,
}

/// The paper's values, with one changed.
fn settings() -> Vec<Setting> {
    let paper = |ablation, value: String| Setting {
        ablation,
        value,
        objective: ObjectiveTable::default(),
        paraphrases: 1,
        negatives: Negatives::Random,
    };
    let mut all = Vec::new();
    let mut objective = |ablation, value: &dyn ToString, change: &dyn Fn(&mut ObjectiveTable)| {
        let mut setting = paper(ablation, value.to_string());
        change(&mut setting.objective);
        all.push(setting);
    };
    for temperature in [0.01, 0.05, 0.2, 1.0] {
        objective("temperature", &temperature, &|table| table.temperature = temperature);
    }
    for lambda in [0.0, 0.1, 1.0, 1000.0] {
        objective("lambda", &lambda, &|table| table.lambda = lambda);
    }
    for pooling in [Pooling::Last, Pooling::AverageAll, Pooling::AverageFirstLast, Pooling::Max] {
        objective("pooling", &pooling, &|table| table.pooling = pooling);
    }
    for pairs in [2, 4, 8, 16, 32, 64] {
        objective("batch", &pairs, &|table| table.contrastive_batch = Some(pairs));
    }
    for paraphrases in [1, 2, 4] {
        all.push(Setting { paraphrases, ..paper("paraphrases", paraphrases.to_string()) });
    }
    for (name, negatives) in [("random", Negatives::Random), ("nearest", Negatives::Nearest)] {
        all.push(Setting { negatives, ..paper("negatives", name.to_owned()) });
    }
    all
}

/// Trains with a setting and returns the metrics of the held-out pairs after the last step.
fn run(setting: &Setting, seed: u64, steps: usize, folder: &Path) -> Result<ValidationMetrics> {
    let (world, templates) = (World::new(demo::WORLD_SEED), TemplateSet::demo());
    let pairs = |builder: PairBuilder, count: usize, paraphrases: usize| -> Result<Vec<_>> {
        let each = count.div_ceil(demo::FAMILIES.len()).next_multiple_of(2 * paraphrases);
        let mut lists = Vec::new();
        for family in demo::FAMILIES {
            lists.push(builder.build(&Task::named(family)?, &world.training(family, 600)?, each)?.0);
        }
        Ok(interleave(lists, seed)?)
    };
    let builder = PairBuilder::new(&templates, seed);
    let training = builder.clone().with_paraphrases(setting.paraphrases).with_negatives(setting.negatives);
    let mut all = pairs(training, steps * BATCH, setting.paraphrases)?;
    all.truncate(steps * BATCH);
    // Every setting is measured on the same pairs, with a seed that differs from all training seeds.
    all.extend(pairs(PairBuilder::new(&templates, seed + 1_000_000), HELD_OUT, 1)?);
    let file = folder.join("pairs.jsonl");
    write_jsonl(&file, &all)?;
    let config = RunConfig {
        out: folder.join("run"),
        model: ModelTable::new(folder.join("base")),
        data: DataTable { validation_pairs: HELD_OUT, ..DataTable::new(&file) },
        lora: None,
        objective: setting.objective.clone(),
        train: TrainTable {
            batch_pairs: BATCH,
            micro_batch_pairs: BATCH,
            steps: Some(steps),
            learning_rate: demo::LEARNING_RATE,
            validate_every: Some(0),
            checkpoint_every: Some(0),
            seed,
            ..TrainTable::default()
        },
    };
    let mut last = None;
    Trainer::new(config, &device::named("cpu")?)?.run(RunOptions::default(), |event| {
        if let Progress::Validation(found) = event {
            last = Some(found.clone());
        }
    })?;
    last.context("the run was not validated")
}

fn main() -> Result<()> {
    keep_freed_memory();
    let (mut only, mut seeds, mut steps) = (None, 2, 10);
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--only" => only = Some(value),
            "--seeds" => seeds = value.parse().context("--seeds")?,
            "--steps" => steps = value.parse().context("--steps")?,
            _ => bail!("unknown option {name}, expected --only, --seeds or --steps"),
        }
    }
    let chosen: Vec<Setting> =
        settings().into_iter().filter(|setting| only.as_ref().is_none_or(|only| only == setting.ablation)).collect();
    if chosen.is_empty() || seeds == 0 || steps == 0 {
        bail!(
            "expected --only temperature, lambda, pooling, batch, paraphrases or negatives, and at least 1 seed and step"
        );
    }
    let folder = tempfile::tempdir()?;
    demo::write_base(&folder.path().join("base"))?;
    println!("{steps} steps of {BATCH} pairs, {seeds} seeds, {HELD_OUT} held-out pairs\n");
    println!("| setting | value | generation loss | hard-negative accuracy, % | cosine of wordings | of negatives |");
    println!("|---|---|---|---|---|---|");
    for setting in &chosen {
        let found = (1..=seeds).map(|seed| run(setting, seed, steps, folder.path())).collect::<Result<Vec<_>>>()?;
        let cell = |value: fn(&ValidationMetrics) -> f64, digits: usize| {
            let values: Vec<f64> = found.iter().map(value).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            match values.len() {
                1 => format!("{mean:.digits$}"),
                n => format!("{mean:.digits$} ± {:.digits$}", (squares / (n - 1) as f64).sqrt()),
            }
        };
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            setting.ablation,
            setting.value,
            cell(|found| found.loss_generation, 3),
            cell(|found| 100.0 * found.hard_negative_accuracy.unwrap_or(f64::NAN), 1),
            cell(|found| found.similarity_positive, 3),
            cell(|found| found.similarity_negative.unwrap_or(f64::NAN), 3)
        );
    }
    Ok(())
}
