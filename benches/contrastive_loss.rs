//! The contrastive loss forward and backward, by batch, width and evaluation.
//!
//! Commands:
//! - `cargo bench -p coin-benches --bench contrastive_loss -- 'plain/512x'` runs criterion on what the expression matches.
//!   The largest cases take minutes.
//! - `cargo bench -p coin-benches --bench contrastive_loss -- --once 8192 4096 tiled 5` runs one case five times after one
//!   round of warm-up and prints a line of JSON with times and peak memory, as `pytorch/contrastive_loss.py` does. The
//!   evaluation is `auto`, `plain`, `tiled`, or a number of rows for a tile. Peak memory needs Linux.
//!
//! The number of threads is `RAYON_NUM_THREADS`.

#![allow(missing_docs)]

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use coin::loss::{Evaluation, InfoNce, InfoNceConfig};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batch and width.
const CASES: [(usize, usize); 10] = [
    (64, 64),
    (64, 4096),
    (512, 64),
    (512, 1024),
    (512, 4096),
    (2048, 1024),
    (4096, 64),
    (4096, 1024),
    (4096, 4096),
    (8192, 4096),
];

/// The tile of the cases named `tiled`.
const TILE: usize = 512;

/// The plain form of more pairs needs more memory than most machines have.
const PLAIN_LIMIT: usize = 4096;

fn loss(evaluation: Evaluation) -> InfoNce {
    InfoNceConfig::new().with_evaluation(evaluation).init().expect("the settings are valid")
}

fn rows(batch: usize, width: usize, device: &Device) -> Tensor<2> {
    Tensor::random([batch, width], Distribution::Default, device).require_grad()
}

/// Loss and both gradients; returns the loss.
fn step(loss: &InfoNce, anchor: &Tensor<2>, positive: &Tensor<2>) -> f32 {
    let output = loss.forward(anchor.clone(), positive.clone(), None);
    let gradients = output.loss.backward();
    assert!(anchor.grad(&gradients).is_some() && positive.grad(&gradients).is_some());
    output.loss.into_scalar::<f32>()
}

fn contrastive_loss(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    device.seed(1);
    let mut group = criterion.benchmark_group("info_nce_forward_backward");
    group.sample_size(10);
    for (name, evaluation) in
        [("plain", Evaluation::Plain), ("tiled", Evaluation::Tiled(TILE)), ("auto", Evaluation::Auto)]
    {
        for (batch, width) in CASES {
            if name == "plain" && batch > PLAIN_LIMIT {
                continue;
            }
            let loss = loss(evaluation);
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new(name, format!("{batch}x{width}")), |bench| {
                let (anchor, positive) = (rows(batch, width, &device), rows(batch, width, &device));
                bench.iter(|| step(&loss, &anchor, &positive));
            });
        }
    }
    group.finish();
}

/// Resident memory now and at most so far, in MiB; zeros where the system does not say.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let read = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    (read("VmRSS:").unwrap_or(0.0) / 1024.0, read("VmHWM:").unwrap_or(0.0) / 1024.0)
}

/// Times one case and prints a line of JSON.
fn once(batch: usize, width: usize, evaluation: Evaluation, rounds: usize) {
    let device = Device::flex().autodiff();
    device.seed(1);
    let (anchor, positive) = (rows(batch, width, &device), rows(batch, width, &device));
    let (with_inputs, _) = memory();
    let loss = loss(evaluation);
    let mut value = step(&loss, &anchor, &positive);
    let mut seconds: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            value = step(&loss, &anchor, &positive);
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let quantile = |share: f64| seconds.get((seconds.len().saturating_sub(1) as f64 * share).round() as usize);
    let line = serde_json::json!({
        "batch": batch,
        "width": width,
        "evaluation": format!("{evaluation:?}"),
        "rounds": rounds,
        "loss": value,
        "seconds_median": quantile(0.5),
        "seconds_quartiles": [quantile(0.25), quantile(0.75)],
        "peak_mib_beyond_inputs": memory().1 - with_inputs,
    });
    println!("{line}");
}

criterion_group!(benches, contrastive_loss);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|argument| argument == "--once") else {
        benches();
        Criterion::default().configure_from_args().final_summary();
        return;
    };
    let number = |place: usize| arguments.get(at + place).and_then(|argument| argument.parse::<usize>().ok());
    let evaluation = match arguments.get(at + 3).map(String::as_str) {
        Some("auto") => Some(Evaluation::Auto),
        Some("plain") => Some(Evaluation::Plain),
        Some("tiled") => Some(Evaluation::Tiled(TILE)),
        _ => number(3).map(Evaluation::Tiled),
    };
    match (number(1), number(2), evaluation) {
        (Some(batch), Some(width), Some(evaluation)) => once(batch, width, evaluation, number(4).unwrap_or(3)),
        _ => eprintln!("usage: --once BATCH WIDTH auto|plain|tiled|TILE [ROUNDS]"),
    }
}
