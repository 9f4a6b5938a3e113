//! What a training step of `coin train` costs, greedy generation, and what the machine can do; for comparison with PyTorch.
//!
//! ```sh
//! cargo bench -p coin-benches --bench training_step -- --size small              # a training step on pairs
//! cargo bench -p coin-benches --bench training_step -- --size small --generate 32  # 7 tokens after 32 prompts
//! cargo bench -p coin-benches --bench training_step -- --peak                    # a large product, large sums
//! ```
//!
//! `benches/pytorch/training_step.py` has the same flags, and `benches/pytorch/alternate_training.py` runs both by turns.
//! The number of threads is `RAYON_NUM_THREADS`, or that of the cores.
//!
//! Output: one line of JSON. Seconds are wall time of a step, `peak_mb` is the peak resident memory of the whole process in
//! units of 10^6 bytes, `cpu_share` is the processor time of the process during the timed steps over their wall time and
//! the number of threads, `flops` are those of the step as `flops.rs` counts them.

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
