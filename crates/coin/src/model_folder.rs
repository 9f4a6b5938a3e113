//! A model folder with an optional adapter, opened.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use coin_core::CoreError;
use coin_core::model_files::fingerprint;
use coin_eval::llama::{EngineOptions, LlamaModel};
use coin_model::{Llama, TextTokenizer, WeightFormat, adapter, checkpoint};

/// Rows that one batch of an evaluation holds at most. On two cores 32 was faster than 64 for models of 260,000 parameters
/// and of width 288.
const BATCH_SIZE: usize = 32;

/// Reads the model folder `model` and the adapter folder `adapter_dir` onto `device`, without autodiff. The second value
/// is what a user should be warned about.
///
/// # Errors
/// A file is absent or damaged.
pub fn open(
    model: &Path,
    adapter_dir: Option<&Path>,
    format: WeightFormat,
    device: &Device,
) -> Result<(Llama, Vec<String>)> {
    let loaded = checkpoint::load(model, format, device)?;
    let warnings = loaded.warnings().collect();
    let llama = match adapter_dir {
        Some(dir) => adapter::load(loaded.model, dir)?,
        None => loaded.model,
    };
    Ok((llama, warnings))
}

/// As [`open`], ready for an evaluation.
///
/// # Errors
/// As [`open`].
pub fn for_evaluation(
    model: &Path,
    adapter_dir: Option<&Path>,
    format: WeightFormat,
    device: &Device,
    options: EngineOptions,
) -> Result<(LlamaModel, Vec<String>)> {
    let (llama, warnings) = open(model, adapter_dir, format, device)?;
    let tokenizer = TextTokenizer::read(model, llama.config())?;
    let hash = short_fingerprint(model, adapter_dir, format)?;
    Ok((LlamaModel::new(llama, tokenizer, options, hash), warnings))
}

/// How an evaluation runs on `device`: a GPU works on one batch at a time, a CPU on as many as it has cores, which together
/// take a quarter of the memory that is free now.
pub fn engine_options(device: &Device) -> EngineOptions {
    match device == &Device::flex() {
        true => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            EngineOptions { batch_size: BATCH_SIZE, threads, memory: free_memory().map(|bytes| bytes / 4 / threads) }
        }
        false => EngineOptions { batch_size: BATCH_SIZE, threads: 1, memory: None },
    }
}

/// Bytes that Linux says a new program could take; `None` elsewhere.
fn free_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// Hexadecimal digits of a fingerprint in ledgers and summaries.
const DIGITS: usize = 16;

/// The first digits of the [`fingerprint`] of a model and its adapter, held in `format`.
fn short_fingerprint(model: &Path, adapter_dir: Option<&Path>, format: WeightFormat) -> Result<String, CoreError> {
    let number_format = if format == WeightFormat::default() { String::new() } else { format!("{format:?}") };
    let mut hash = fingerprint(model, adapter_dir, &number_format)?;
    hash.truncate(DIGITS);
    Ok(hash)
}
