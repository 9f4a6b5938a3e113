//! Checkpoints of a run, from which it goes on to the bit.
//!
//! `checkpoints/step-NNNNNN/` holds the adapter (PEFT's layout), the optimiser's state (burn's `burnpack`), the resolved
//! configuration and `state.json`. There is no random state to keep: every draw is keyed by seed and step, and the step
//! tells the position in the data. A checkpoint is written under a temporary name, synced and renamed, so a folder with
//! its final name is whole wherever the writer was killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use burn::optim::ModuleOptimizer;
use burn::tensor::Bytes;
use coin_model::{Llama, LoraConfig, adapter};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::loss_scale::LossScale;

/// Raised when what is written changes its meaning.
const VERSION: u32 = 1;
const OPTIMIZER: &str = "optimizer.bpk";
pub(crate) const STATE: &str = "state.json";
/// The resolved configuration; a run folder has it, and every checkpoint.
pub(crate) const CONFIG: &str = "config.resolved.toml";
const PARTIAL: &str = ".partial-";

/// What is said of an optimiser's state that cannot be read; burn's own words are for its developers.
const DAMAGED: &str = "is damaged: remove the checkpoint's folder, and --resume goes on from the one before";

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    version: u32,
    /// Optimiser steps done.
    pub step: usize,
    /// Steps whose gradients overflowed and that changed nothing.
    pub skipped_steps: usize,
    /// Lowest generation loss on the held-out pairs so far.
    pub best_validation: Option<f64>,
    /// The loss scale, where the run computes in f16.
    pub loss_scale: Option<LossScale>,
    /// SHA-256 of the pairs.
    pub data: String,
    /// SHA-256 of the base model's configuration and of the names and sizes of its weight files.
    pub model: String,
}

impl RunState {
    /// The state before the first step.
    pub(crate) fn new(data: String, model: String, loss_scale: Option<LossScale>) -> Self {
        RunState { version: VERSION, step: 0, skipped_steps: 0, best_validation: None, loss_scale, data, model }
    }
}

/// The folder of the checkpoints of the run folder `out`.
pub(crate) fn folder(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

/// The whole checkpoints of the run folder `out`, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn list(out: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let dir = folder(out);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TrainError::io(dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(TrainError::io(&dir))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(step) = name.strip_prefix("step-").and_then(|step| step.parse::<usize>().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Writes a checkpoint and removes all but the newest `keep`.
pub(crate) fn save(
    out: &Path,
    state: &RunState,
    model: &Llama,
    lora: &LoraConfig,
    optimizer: &ModuleOptimizer,
    config: &str,
    keep: usize,
) -> Result<(), TrainError> {
    let dir = folder(out);
    std::fs::create_dir_all(&dir).map_err(TrainError::io(&dir))?;
    remove_partial(&dir)?;
    let partial = dir.join(format!("{PARTIAL}step-{:06}", state.step));
    let written = write(&partial, state, model, lora, optimizer, config);
    if let Err(error) = written {
        // What stands there is of no use; that it could not be written is what matters.
        let _ = std::fs::remove_dir_all(&partial);
        return Err(error);
    }
    let whole = dir.join(format!("step-{:06}", state.step));
    if whole.exists() {
        std::fs::remove_dir_all(&whole).map_err(TrainError::io(&whole))?;
    }
    std::fs::rename(&partial, &whole).map_err(TrainError::io(&whole))?;
    sync(&dir)?;
    let all = list(out)?;
    for old in &all[..all.len().saturating_sub(keep)] {
        std::fs::remove_dir_all(old).map_err(TrainError::io(old))?;
    }
    Ok(())
}

fn write(
    dir: &Path,
    state: &RunState,
    model: &Llama,
    lora: &LoraConfig,
    optimizer: &ModuleOptimizer,
    config: &str,
) -> Result<(), TrainError> {
    std::fs::create_dir(dir).map_err(TrainError::io(dir))?;
    adapter::save(model, lora, None, &dir.join("adapter"))?;
    let path = dir.join(OPTIMIZER);
    let bytes = optimizer.into_bytes().map_err(|error| TrainError::checkpoint(&path, error))?;
    coin_core::file::write_atomically(&path, |writer| writer.write_all(&bytes))?;
    coin_core::file::write_atomically(dir.join(CONFIG), |writer| writer.write_all(config.as_bytes()))?;
    let path = dir.join(STATE);
    let text = serde_json::to_string_pretty(state).map_err(|error| TrainError::checkpoint(&path, error))?;
    coin_core::file::write_atomically(&path, |writer| writeln!(writer, "{text}"))?;
    sync(&dir.join("adapter"))?;
    sync(dir)
}

/// Makes the names in a folder last.
fn sync(dir: &Path) -> Result<(), TrainError> {
    // Only Unix lets a folder be opened and synced.
    match cfg!(unix) {
        true => File::open(dir).and_then(|folder| folder.sync_all()).map_err(TrainError::io(dir)),
        false => Ok(()),
    }
}

/// Removes what killed writers left.
fn remove_partial(dir: &Path) -> Result<(), TrainError> {
    for entry in std::fs::read_dir(dir).map_err(TrainError::io(dir))? {
        let path = entry.map_err(TrainError::io(dir))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PARTIAL)) {
            std::fs::remove_dir_all(&path).map_err(TrainError::io(&path))?;
        }
    }
    Ok(())
}

/// A checkpoint, read.
pub(crate) struct Restored {
    pub(crate) state: RunState,
    pub(crate) model: Llama,
    pub(crate) optimizer: ModuleOptimizer,
}

/// The state and the resolved configuration of the checkpoint `dir`.
pub(crate) fn read_state(dir: &Path) -> Result<(RunState, String), TrainError> {
    let path = dir.join(STATE);
    let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    let state: RunState = serde_json::from_str(&text).map_err(|error| TrainError::checkpoint(&path, error))?;
    if state.version != VERSION {
        let message = format!("version {}, expected {VERSION}", state.version);
        return Err(TrainError::Checkpoint { path, message });
    }
    let path = dir.join(CONFIG);
    let config = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    Ok((state, config))
}

/// Reads the checkpoint `dir` onto a model with its base and a fresh optimiser.
pub(crate) fn load(
    dir: &Path,
    state: RunState,
    model: Llama,
    optimizer: ModuleOptimizer,
) -> Result<Restored, TrainError> {
    let model = adapter::load(model, &dir.join("adapter"))?;
    let path = dir.join(OPTIMIZER);
    let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
    let optimizer =
        optimizer.from_bytes(Bytes::from_bytes_vec(bytes)).map_err(|_| TrainError::checkpoint(&path, DAMAGED))?;
    Ok(Restored { state, model, optimizer })
}
