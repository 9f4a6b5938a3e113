//! A model folder with an optional adapter, opened.

use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Device;
use coin_eval::llama::LlamaModel;
use coin_model::{Llama, TextTokenizer, adapter, checkpoint};
use sha2::{Digest, Sha256};

/// Rows that one batch of an evaluation holds.
const BATCH_SIZE: usize = 64;

/// Reads the model folder `model` and the adapter folder `adapter_dir` onto `device`, without autodiff.
///
/// # Errors
/// A file is absent or damaged.
pub fn open(model: &Path, adapter_dir: Option<&Path>, device: &Device) -> Result<(Llama, TextTokenizer)> {
    let llama = checkpoint::load(model, device)?;
    let tokenizer = TextTokenizer::read(model, llama.config())?;
    let llama = match adapter_dir {
        Some(dir) => adapter::load(llama, dir)?,
        None => llama,
    };
    Ok((llama, tokenizer))
}

/// As [`open`], ready for an evaluation.
///
/// # Errors
/// As [`open`].
pub fn for_evaluation(model: &Path, adapter_dir: Option<&Path>, device: &Device) -> Result<LlamaModel> {
    let (llama, tokenizer) = open(model, adapter_dir, device)?;
    let hash = fingerprint(model, adapter_dir).with_context(|| format!("cannot read {}", model.display()))?;
    // A GPU works on one batch at a time, a CPU on as many as it has cores.
    let threads = match device == &Device::flex() {
        true => std::thread::available_parallelism().map_or(1, usize::from),
        false => 1,
    };
    Ok(LlamaModel::new(llama, tokenizer, BATCH_SIZE, threads, hash))
}

/// A hash of everything a model's answers depend on: weights, configuration, tokenizer, adapter.
fn fingerprint(model: &Path, adapter_dir: Option<&Path>) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut files: Vec<_> = std::fs::read_dir(model)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|kind| kind == "safetensors" || kind == "json"))
        .collect();
    files.sort();
    if let Some(adapter) = adapter_dir {
        files.extend(["adapter_config.json", "adapter_model.safetensors"].map(|name| adapter.join(name)));
    }
    for file in files.iter().filter(|file| file.exists()) {
        let bytes = std::fs::read(file)?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
