//! What a training step of `coin train` costs, what greedy generation does, and what the machine can do; for comparison
//! with PyTorch.
//!
//! ```sh
//! cargo bench -p coin-benches --bench training_step -- --size small
//! cargo bench -p coin-benches --bench training_step -- --size small --generate 32
//! cargo bench -p coin-benches --bench training_step -- --peak
//! ```
//!
//! The first takes a step on pairs, the second continues 32 prompts by 7 tokens, the third has no model: a large
//! product of matrices, large tensors read and written. `--device` and `--dtype` are those of `coin train`; a GPU
//! needs `--features coin/cuda` or another's before `--`.
//!
//! `benches/pytorch/training_step.py` has the same flags, and `benches/pytorch/alternate_training.py` runs both by
//! turns. The number of threads is `RAYON_NUM_THREADS`, or that of the cores.
//!
//! Output: one line of JSON. Seconds are wall time of a step; `peak_mb` is the peak resident memory of the whole
//! process in units of 10^6 bytes, without that of a GPU; `cpu_share` is the processor time of the process during the
//! timed steps over their wall time and the number of threads; `flops` are those of a step, as `flops.rs` counts them.

#![allow(missing_docs)]

mod flops;
mod generation;
mod machine;
mod options;
mod peak;
mod timing;
mod training;

use options::Options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let options = Options::from_arguments();
    let device = coin::device::named(&options.device).unwrap_or_else(|error| panic!("{error}"));
    let mut report = match (options.peak, options.generate) {
        (true, _) => peak::measure(&options, &device),
        (false, Some(rows)) => generation::measure(&options, rows, &device),
        (false, None) => training::measure(&options, &device),
    };
    report.append(&mut machine::described(&options));
    println!("{}", serde_json::Value::Object(report));
}
