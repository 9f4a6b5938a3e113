//! The list of cases, timed on every device: losses, layers, training steps, generation, evaluation, perturbation,
//! tokenizing, pairs.
//!
//! ```sh
//! cargo bench -p coin-benches --bench cases
//! cargo bench -p coin-benches --bench cases -- --only loss/4096,lora --out cases.jsonl
//! cargo bench -p coin-benches --bench cases -- --loss 8192x4096
//! cargo bench -p coin-benches --bench cases -- --scaling
//! ```
//!
//! The first measures what the machine can do and then every case, and prints a Markdown table; the third a contrastive
//! loss of that many pairs and that width, which need not be in the list; the last how cost grows with batch, length
//! and width.
//!
//! - `--device NAMES`: devices, separated by commas, as `coin` calls them; without it those of `COIN_BENCH_DEVICES`, or
//!   all that this build finds. A GPU needs `--features cuda` or another's before `--`.
//! - `--only PREFIXES`: the cases whose name begins so, separated by commas
//! - `--at-most GFLOP`: leaves out cases that need more
//! - `--memory GIB`: leaves out cases that need more memory beside their inputs, roughly (default 7)
//! - `--variant NAME`: only the cases that are done so, such as `plain`, or `usual`
//! - `--test`: runs each case once, without criterion and without measuring the peak
//! - `--texts FILE`: writes the texts that are tokenized as a list in JSON, and nothing else
//! - `--out FILE`: where the lines of JSON go, in place of standard output; it is overwritten
//!
//! The number of threads is `RAYON_NUM_THREADS`, or that of the cores. `benches/pytorch/cases.py` has the same cases in
//! PyTorch, and `benches/pytorch/alternate_cases.py` runs both by turns.
//!
//! Output: a line of JSON for each device's peak and for each case, with the fields of `training_step`; then the table.
//! What is timed is described in `src/measure.rs`, what is counted in `src/flops.rs` and `src/bytes.rs`; the share of
//! the peak is the least time that operations and bytes would take at the machine's peak, over the time taken.
//! `memory_mb` is how much the peak resident memory grew beyond what was resident with the inputs; freed memory that
//! the allocator has kept from earlier cases hides a part, so for a figure run one case alone, with `--test`.

#![allow(missing_docs)]

mod options;

use std::fs::File;
use std::io::{Write, stdout};
use std::process::exit;

use burn::tensor::Device;
use coin::allocator::{MiMalloc, keep_freed_memory};
use coin_benches::cases::{Case, loss, matching, tokenizing};
use coin_benches::measure::measure;
use coin_benches::peak;
use coin_benches::report::{self, Row};
use coin_benches::timing::Repeats;
use coin_benches::{machine, scaling};
use criterion::Criterion;
use options::Options;
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs of a large product and a large copy.
const PEAK: Repeats = Repeats { warm_up: 1, steps: 5 };

/// Timed runs of each point of a series.
const SCALING_RUNS: usize = 3;

/// What `--variant` calls the usual way.
const USUAL: &str = "usual";

fn main() {
    keep_freed_memory();
    let options = Options::from_arguments().unwrap_or_else(|message| fail(&message));
    if let Some(path) = &options.texts {
        return std::fs::write(path, json!(tokenizing::texts()).to_string()).unwrap_or_else(|error| fail(&error));
    }
    let devices: Vec<(String, Device)> = options
        .devices
        .iter()
        .map(|name| (name.clone(), coin::device::named(name).unwrap_or_else(|error| fail(&error))))
        .collect();
    let mut lines: Box<dyn Write> = match &options.out {
        Some(path) => Box::new(File::create(path).unwrap_or_else(|error| fail(&format!("{path}: {error}")))),
        None => Box::new(stdout()),
    };
    let described = devices.iter().map(|(name, _)| (name.clone(), machine::described(name, "f32"))).collect();
    let mut lines = Lines { described, to: &mut *lines };
    let tables = match options.scaling {
        true => scaling(&devices, &mut lines),
        false => vec![cases(&options, &devices, &mut lines)],
    };
    for table in tables {
        println!("\n{table}");
    }
}

fn fail(message: &dyn std::fmt::Display) -> ! {
    eprintln!("error: {message}");
    exit(2)
}

/// Where the lines of JSON go.
struct Lines<'a> {
    /// By device, what was measured on what.
    described: Vec<(String, Map<String, Value>)>,
    to: &'a mut dyn Write,
}

impl Lines<'_> {
    fn write(&mut self, mut line: Map<String, Value>, device: &str) {
        let described = self.described.iter().find(|(name, _)| name == device);
        line.extend(described.map(|(_, fields)| fields.clone()).unwrap_or_default());
        let written = writeln!(self.to, "{}", Value::Object(line)).and_then(|()| self.to.flush());
        written.unwrap_or_else(|error| fail(&error));
    }
}

/// The table of all cases on all devices. What does not run on the device is measured with the first one.
fn cases(options: &Options, devices: &[(String, Device)], lines: &mut Lines) -> String {
    let mut cases: Vec<Case> = match (options.only.is_empty(), options.loss.is_empty()) {
        (true, false) => Vec::new(),
        _ => matching(&options.only),
    };
    cases.extend(options.loss.iter().flat_map(|&(batch, width)| loss::of_size(batch, width)));
    let variant = |case: &Case| if case.variant.is_empty() { USUAL } else { case.variant };
    cases.retain(|case| {
        if options.variant.as_ref().is_some_and(|wanted| wanted != variant(case)) {
            return false;
        }
        let fits = case.memory <= options.memory * (1u64 << 30) as f64;
        if !fits {
            eprintln!("left out: {} needs {:.1} GiB", case.title(), case.memory / (1u64 << 30) as f64);
        }
        fits && options.at_most.is_none_or(|most| case.flops <= most * 1e9)
    });
    let (mut criterion, mut rows) = (Criterion::default().without_plots(), Vec::new());
    for (at, (name, device)) in devices.iter().enumerate() {
        let peak = (!options.once).then(|| peak::measure(device, PEAK));
        if let Some(peak) = peak {
            lines.write(peak.fields(), name);
        }
        for case in cases.iter().filter(|case| case.on_device || at == 0) {
            let measured = measure(&mut criterion, case, name, device, options.once);
            lines.write(report::line(case, &measured, peak), name);
            rows.push(Row::new(case, name, &measured, peak));
        }
    }
    report::table(&rows)
}

/// A table for each device.
fn scaling(devices: &[(String, Device)], lines: &mut Lines) -> Vec<String> {
    let of_device = |(name, device): &(String, Device)| {
        let mut measured = Vec::new();
        for series in scaling::series() {
            let points = series.measure(device, SCALING_RUNS);
            lines.write(series.line(&points), name);
            measured.push((series, points));
        }
        format!("{name}:\n\n{}", scaling::table(&measured))
    };
    devices.iter().map(of_device).collect()
}
