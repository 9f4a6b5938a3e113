//! Loads a model folder with an optional adapter.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use coin_core::CoreError;
use coin_core::model_files::fingerprint;
use coin_eval::llama::{EngineOptions, LlamaModel};
use coin_model::{Llama, TextTokenizer, WeightFormat, adapter, checkpoint};

/// Maximum number of rows in a batch of an evaluation. On two cores, 32 was faster than 64 for a model with 260,000 parameters
/// and for a model of width 288.
const BATCH_SIZE: usize = 32;

/// Loads the model folder `model` and the adapter folder `adapter_dir` onto `device`, without autodiff. The second value is a
/// list of warnings for the user.
///
/// # Errors
/// A file is missing or damaged.
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

/// Same as [`open`], with the tokenizer and fingerprint that an evaluation needs.
///
/// # Errors
/// Same as [`open`].
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

/// Engine options for an evaluation on `device`. A GPU works on one batch at a time. A CPU works on one batch per core, and the
/// batches together use at most a quarter of the free memory.
pub fn engine_options(device: &Device) -> EngineOptions {
    match device == &Device::flex() {
        true => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            EngineOptions { batch_size: BATCH_SIZE, threads, memory: free_memory().map(|bytes| bytes / 4 / threads) }
        }
        false => EngineOptions { batch_size: BATCH_SIZE, threads: 1, memory: None },
    }
}

/// The memory in bytes that is available to a new program, as reported by Linux; `None` on other systems.
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
