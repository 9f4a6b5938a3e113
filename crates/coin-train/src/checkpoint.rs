//! Checkpoints. A run that resumes from one gives bit-identical results.
//!
//! `checkpoints/step-NNNNNN/` contains the adapter (PEFT's layout), the optimizer's state (burn's `burnpack`), the resolved
//! configuration, `state.json`, and `SHA256SUMS` with the hashes of all of them. There is no random state to save: every draw is
//! keyed by seed and step, and the step determines the position in the data. A checkpoint is written under a temporary name,
//! synced and renamed, so a folder with its final name is complete even if the writer was killed. The hashes are checked before
//! any of its files is used, which detects later damage.

mod manifest;

use std::fs::File;
use std::path::{Path, PathBuf};

use burn::optim::ModuleOptimizer;
use burn::tensor::Bytes;
use coin_core::file::PARTIAL;
use coin_core::json::message;
use coin_core::output_folder::remove_partial;
use coin_core::panic::caught;
use coin_model::{Llama, LoraConfig, adapter};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::optimizer::LossScale;

/// Version of the format. It increases when the meaning of a file changes.
const VERSION: u32 = 1;
const OPTIMIZER: &str = "optimizer.bpk";
pub(crate) const STATE: &str = "state.json";
/// The resolved configuration, in the run folder and in every checkpoint.
pub(crate) const CONFIG: &str = "config.resolved.toml";
/// The files of a checkpoint.
const FILES: [&str; 5] = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", CONFIG, OPTIMIZER, STATE];

/// Progress of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    version: u32,
    /// Completed optimizer steps.
    pub(crate) step: usize,
    /// Steps that were skipped because their gradients overflowed.
    pub(crate) skipped_steps: usize,
    /// Lowest generation loss on the held-out pairs so far.
    pub(crate) best_validation: Option<f64>,
    /// The loss scale of a run in f16.
    pub(crate) loss_scale: Option<LossScale>,
    /// SHA-256 of the pairs.
    pub(crate) data: String,
    /// SHA-256 of the base model's configuration and weight files.
    pub(crate) model: String,
}

impl RunState {
    /// Returns the state before the first step.
    pub(crate) fn new(data: String, model: String, loss_scale: Option<LossScale>) -> Self {
        RunState { version: VERSION, step: 0, skipped_steps: 0, best_validation: None, loss_scale, data, model }
    }
}

/// Returns the folder of checkpoints in the run folder `out`.
pub(crate) fn folder(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

/// Lists the complete checkpoints of the run folder `out`, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn list(out: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let dir = folder(out);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TrainError::io(dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(TrainError::io(&dir))?.path();
        found.extend(step_of(&path).map(|step| (step, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Returns the step in the name of a checkpoint's folder.
fn step_of(path: &Path) -> Option<usize> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
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
        // The partial folder is useless, and the first error is the one to report.
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
    manifest::write(dir, &FILES)?;
    sync(&dir.join("adapter"))?;
    sync(dir)
}

/// Syncs a folder, so that the names in it survive a crash.
fn sync(dir: &Path) -> Result<(), TrainError> {
    // Only Unix can open and sync a folder.
    match cfg!(unix) {
        true => File::open(dir).and_then(|folder| folder.sync_all()).map_err(TrainError::io(dir)),
        false => Ok(()),
    }
}

/// The contents of a checkpoint.
pub(crate) struct Restored {
    pub(crate) state: RunState,
    pub(crate) model: Llama,
    pub(crate) optimizer: ModuleOptimizer,
}

/// Returns the fault of the checkpoint `dir`, if any: a file that changed since it was written, or a folder that is named after
/// another step.
fn fault(dir: &Path) -> Result<Option<String>, TrainError> {
    if let Some(fault) = manifest::fault(dir, &FILES)? {
        return Ok(Some(fault));
    }
    let step = read_state(dir)?.0.step;
    Ok((Some(step) != step_of(dir)).then(|| format!("it was written after step {step}")))
}

/// Checks the checkpoint `dir` of the run folder `out` before it is used.
///
/// # Errors
/// The checkpoint is damaged. The message names the file, and the checkpoint from which the run can resume instead.
pub(crate) fn check(out: &Path, dir: &Path) -> Result<(), TrainError> {
    let Some(fault) = fault(dir)? else { return Ok(()) };
    let mut before: Vec<PathBuf> = list(out)?.into_iter().take_while(|other| other != dir).collect();
    let mut from = "starts the run at its beginning".to_owned();
    let mut remove = "this folder".to_owned();
    while let Some(other) = before.pop() {
        let name = other.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if matches!(self::fault(&other), Ok(None)) {
            from = format!("continues from {name}");
            break;
        }
        remove = format!("{remove} and {name}, which is also damaged");
    }
    Err(TrainError::checkpoint(dir, format!("is damaged: {fault}; remove {remove}, and --resume {from}")))
}

/// Reads the state and the resolved configuration of the checkpoint `dir`.
pub(crate) fn read_state(dir: &Path) -> Result<(RunState, String), TrainError> {
    let path = dir.join(STATE);
    let text = coin_core::file::read_to_string(&path)?;
    let state: RunState =
        serde_json::from_str(&text).map_err(|error| TrainError::checkpoint(&path, message(&error)))?;
    if state.version != VERSION {
        let message = format!("version {}, expected {VERSION}", state.version);
        return Err(TrainError::Checkpoint { path, message });
    }
    let path = dir.join(CONFIG);
    let config = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
    Ok((state, config))
}

/// Loads the checkpoint `dir` into a model with its base weights and a new optimizer.
pub(crate) fn load(
    dir: &Path,
    state: RunState,
    model: Llama,
    optimizer: ModuleOptimizer,
) -> Result<Restored, TrainError> {
    let model = adapter::load(model, &dir.join("adapter"))?;
    let path = dir.join(OPTIMIZER);
    let bytes = Bytes::from_bytes_vec(std::fs::read(&path).map_err(TrainError::io(&path))?);
    // burn's reader panics on some invalid files, and the hash of such a file may still match.
    let read = caught(|| optimizer.from_bytes(bytes));
    let Ok(Ok(optimizer)) = read else {
        let message = "cannot be read; remove the checkpoint's folder, and --resume continues from an earlier one";
        return Err(TrainError::checkpoint(&path, message));
    };
    Ok(Restored { state, model, optimizer })
}
