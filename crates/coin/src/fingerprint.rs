//! What a model's answers depend on, as a short hash.

use std::path::Path;

use sha2::{Digest, Sha256};

/// The hash of the weights, tokenizer and adapter files in these folders; absent files count as empty.
///
/// # Errors
/// A file that is there cannot be read.
pub fn of_folders(model: &Path, adapter: Option<&Path>) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut files: Vec<_> = std::fs::read_dir(model)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|kind| kind == "safetensors" || kind == "json"))
        .collect();
    files.sort();
    if let Some(adapter) = adapter {
        files.extend(["adapter_config.json", "adapter_model.safetensors"].map(|name| adapter.join(name)));
    }
    for file in files.iter().filter(|file| file.exists()) {
        let bytes = std::fs::read(file)?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
