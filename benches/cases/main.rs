//! Times the list of cases on every device: losses, layers, training steps, generation, evaluation, perturbation,
//! tokenizing, pairs.
//!
//! ```sh
//! cargo bench -p coin-benches --bench cases
//! cargo bench -p coin-benches --bench cases -- --only loss/4096,lora --out cases.jsonl
//! cargo bench -p coin-benches --bench cases -- --loss 8192x4096
//! cargo bench -p coin-benches --bench cases -- --scaling
//! ```
//!
//! The first command measures the machine's peak and then every case, and prints a Markdown table. The third measures a
//! contrastive loss with that number of pairs and that width, which need not be in the list. The last measures how cost
//! grows with batch, length and width.
//!
//! - `--device NAMES`: comma-separated devices, named as in `coin`; by default those of `COIN_BENCH_DEVICES`, or all
//!   devices that this build finds. A GPU needs a feature such as `--features cuda` before `--`.
//! - `--only PREFIXES`: comma-separated prefixes of case names
//! - `--at-most GFLOP`: skips cases that need more operations
//! - `--memory GIB`: skips cases that need more memory in addition to their inputs, approximately (default 7)
//! - `--variant NAME`: only cases of this variant, such as `plain` or `usual`
//! - `--test`: runs each case once, without criterion and without measuring the peak
//! - `--texts FILE`: only writes the texts to tokenize, as a JSON list
//! - `--out FILE`: writes the lines of JSON to a file, which is overwritten, instead of standard output
//!
//! The number of threads is `RAYON_NUM_THREADS`, by default the number of cores. `benches/pytorch/cases.py` has the same
//! cases in PyTorch, and `benches/pytorch/alternate_cases.py` alternates between the two.
//!
//! Output: a line of JSON for each device's peak and for each case, with the fields of `training_step`, then the table.
//! `src/measure.rs` describes the timing, `src/flops.rs` and `src/bytes.rs` the counts. The share of the peak is the
//! minimum time for the operations and bytes at the machine's peak, divided by the measured time. `memory_mb` is the
//! growth of the peak resident memory over the memory that is resident with the inputs. The allocator keeps freed memory
//! of earlier cases, which hides part of the growth; for an exact figure run a single case with `--test`.

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

/// Runs of the large product and of the large copy.
const PEAK: Repeats = Repeats { warm_up: 1, steps: 5 };

/// Timed runs per point of a series.
const SCALING_RUNS: usize = 3;

/// Name of the usual variant in `--variant`.
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

/// Writer of the lines of JSON.
struct Lines<'a> {
    /// Description of each device and of the machine, by device name.
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

/// Measures all cases on all devices and returns the table. Cases that always run on the CPU are measured once, with the
/// first device.
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
            eprintln!("skipped: {} needs {:.1} GiB", case.title(), case.memory / (1u64 << 30) as f64);
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

/// Measures the series on each device and returns one table per device.
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
