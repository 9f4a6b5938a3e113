//! Times scoring of a ledger with 90,000 generations: ten tasks, five levels, six instructions, 300 examples.
//!
//! `cargo bench -p coin-benches --bench score` times reading the file, computing the metrics, computing them with 1000
//! bootstrap replicates, and comparing two runs.

#![allow(missing_docs)]

use std::hint::black_box;

use coin::data::Task;
use coin::eval::levels::LEVELS;
use coin::eval::{Bootstrap, Ledger, Record, answer_key, metrics, statistics};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Records of answers, about four in five of them correct.
fn records(seed: u64, tasks: &[Task]) -> Vec<Record> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut records = Vec::new();
    for task in tasks {
        for level in LEVELS {
            for (instruction, row) in (0..6).flat_map(|instruction| (0..300).map(move |row| (instruction, row))) {
                records.push(Record {
                    key: answer_key("model", &format!("{level} {instruction} {row}"), "settings"),
                    task: task.name.clone(),
                    level: level.to_owned(),
                    instruction,
                    row,
                    raw_pred: task.labels[0].clone(),
                    token_ids: vec![451, 29918, 296, 2404, 358, 2, 1],
                    margin: Some(uniform() as f32),
                    pred: i64::from(uniform() < 0.8),
                    gold: 1,
                    cosine_to_clean: Some(uniform() as f32),
                    ..Record::default()
                });
            }
        }
    }
    records
}

fn score(criterion: &mut Criterion) {
    let tasks = Task::glue();
    let (before, after) = (records(1, &tasks), records(2, &tasks));
    let path = std::env::temp_dir().join(format!("coin-bench-score-{}.jsonl", std::process::id()));
    Ledger::create(&path).and_then(|mut ledger| ledger.append(&before)).expect("the folder can be written");
    let bootstrap = Bootstrap { replicates: 1000, seed: 1 };

    let mut group = criterion.benchmark_group("score");
    group.sample_size(10).throughput(Throughput::Elements(before.len() as u64));
    group.bench_function("read", |bencher| bencher.iter(|| Ledger::read(black_box(&path)).expect("a ledger")));
    group.bench_function("measures", |bencher| {
        bencher.iter(|| metrics::score_tasks("run", black_box(&before), &tasks).expect("records"));
    });
    group.bench_function("measures and intervals", |bencher| {
        bencher
            .iter(|| statistics::score_with_intervals("run", black_box(&before), &tasks, bootstrap).expect("records"));
    });
    group.bench_function("comparison", |bencher| {
        let run = || statistics::compare(("a", black_box(&before)), ("b", black_box(&after)), &tasks, bootstrap);
        bencher.iter(|| run().expect("answers in common"));
    });
    group.finish();
    std::fs::remove_file(&path).expect("the file exists");
}

criterion_group!(benches, score);
criterion_main!(benches);
