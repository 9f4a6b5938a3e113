//! Times a training step of `coin train`, greedy generation, and the machine's peak, for comparison with PyTorch.
//!
//! ```sh
//! cargo bench -p coin-benches --bench training_step -- --size small
//! cargo bench -p coin-benches --bench training_step -- --size small --generate 32
//! cargo bench -p coin-benches --bench training_step -- --peak
//! ```
//!
//! The first command times a step on pairs. The second generates 7 tokens after each of 32 prompts. The third does not
//! use a model: it times a large matrix product and reading and writing of large tensors. `--device` and `--dtype` are
//! those of `coin train`; a GPU needs a feature such as `--features cuda` before `--`.
//!
//! `benches/pytorch/training_step.py` has the same flags, and `benches/pytorch/alternate_training.py` alternates between
//! the two. The number of threads is `RAYON_NUM_THREADS`, by default the number of cores.
//!
//! Output: one line of JSON. Seconds are the wall time of a step. `peak_mb` is the peak resident memory of the whole
//! process in units of 10^6 bytes, without GPU memory. `cpu_share` is the processor time of the process during the timed
//! steps, divided by their wall time and the number of threads. `flops` are the operations of a step, as counted by
//! `src/flops.rs`.

#![allow(missing_docs)]

mod options;

use burn::tensor::Device;
use coin::allocator::{MiMalloc, keep_freed_memory};
use coin::train::StepValues;
use coin_benches::generation::{Generation, NEW_TOKENS};
use coin_benches::timing::{Timing, object, rounded};
use coin_benches::training::TrainingStep;
use coin_benches::{decoder, machine, peak};
use options::Options;
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    keep_freed_memory();
    let options = Options::from_arguments();
    let device = coin::device::named(&options.device).unwrap_or_else(|error| panic!("{error}"));
    let mut report = match (options.peak, options.generate) {
        (true, _) => peak::report(&device, options.repeats),
        (false, Some(rows)) => generation(&options, rows, &device),
        (false, None) => training(&options, &device),
    };
    let decoder::Size { name, width, layers, heads, ff, vocab, .. } = options.size;
    report.append(&mut object(json!({
        "size": name, "width": width, "layers": layers, "heads": heads, "ff": ff, "vocab": vocab,
        "steps": options.repeats.steps, "warm_up": options.repeats.warm_up,
    })));
    report.append(&mut machine::described(&options.device, decoder::dtype_name(options.dtype)));
    println!("{}", Value::Object(report));
}

fn training(options: &Options, device: &Device) -> Map<String, Value> {
    let &Options { size, dtype, pairs, seq, supervised, repeats, .. } = options;
    let work = TrainingStep { size, dtype, pairs, seq, supervised };
    // Token ids are created outside the timed section.
    let mut training = work.prepare(repeats.warm_up + repeats.steps, device);
    let mut values = Vec::new();
    let timing = Timing::of(repeats, |step| values.push(training.step(step)));
    let mut report = timing.fields(work.flops());
    let StepValues { loss, generation, contrastive, .. } = values[0];
    report.append(&mut object(json!({
        "mode": "training",
        "tokens_per_second": rounded(work.tokens() as f64 / timing.median(), 1),
        "pairs": pairs, "seq": seq, "supervised": supervised, "rank": decoder::lora().rank,
        "trained_parameters": training.trained_parameters(),
        "first_loss": loss, "first_loss_generation": generation, "first_loss_contrastive": contrastive,
        "last_loss": values.last().map(|values| values.loss),
    })));
    report
}

fn generation(options: &Options, rows: usize, device: &Device) -> Map<String, Value> {
    let &Options { size, dtype, seq, repeats, .. } = options;
    let work = Generation { size, dtype, rows, seq };
    let generator = work.prepare(repeats.warm_up + repeats.steps, device);
    let timing = Timing::of(repeats, |step| generator.step(step));
    let mut report = timing.fields(work.flops());
    report.append(&mut object(json!({
        "mode": "generation",
        "tokens_per_second": rounded((rows * NEW_TOKENS) as f64 / timing.median(), 1),
        "rows": rows, "seq": seq, "new_tokens": NEW_TOKENS, "rank": decoder::lora().rank,
    })));
    report
}
