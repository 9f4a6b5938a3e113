//! Checks of the run folder before a run writes to it: the folder's owner, and the point at which the run starts.

use std::path::{Path, PathBuf};

use coin_core::output_folder::{self, OutputFolder};

use crate::checkpoint::{self, CONFIG, RunState, STATE};
use crate::metrics::{self, METRICS};
use crate::{TrainError, Trainer};

/// Folders of results. A run that starts from the beginning removes them.
const RESULTS: [&str; 3] = ["adapter", "adapter-best", "tensorboard"];

/// The names that a run writes or removes in its folder, including the command's report.
pub const RUN_FOLDER_ENTRIES: [&str; 8] =
    [CONFIG, METRICS, "checkpoints", "adapter", "adapter-best", "tensorboard", "failed-batch.json", "report.html"];

/// The point at which a run starts.
#[derive(Debug)]
pub(crate) enum Start {
    /// The first step.
    Beginning,
    /// A checkpoint, with its state.
    Checkpoint(PathBuf, RunState),
    /// The end: the run is finished.
    End,
}

/// True if the folder `out` has a run's final adapter, which is written last.
fn is_finished(out: &Path) -> bool {
    out.join("adapter/adapter_config.json").is_file()
}

impl Trainer {
    /// Creates the run folder and checks that [`run`](Self::run) may and can write to it. Without `resume`, it must not contain
    /// checkpoints or a finished run. With `resume`, they must be undamaged and come from the same configuration, model and pairs.
    /// A run writes its results last, so this tests in advance that files can be created. If the run is finished, nothing is
    /// written. A folder that this program did not create is rejected if it contains a file with the name of a run's file.
    ///
    /// # Errors
    /// The message names the conflicting file or the settings that changed.
    pub fn check_folder(&self, resume: bool) -> Result<(), TrainError> {
        let out = &self.config().out;
        match self.begins(resume)? {
            Start::End => return Ok(()),
            Start::Beginning if !resume && is_finished(out) && out.join(CONFIG).is_file() => {
                return Err(TrainError::checkpoint(out, "contains a finished run; choose another `out`"));
            }
            Start::Beginning => self.check_clearable()?,
            Start::Checkpoint(..) => {}
        }
        std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
        for folder in ["", "adapter", "adapter-best", "checkpoints", "tensorboard"].map(|name| out.join(name)) {
            if folder.is_dir() {
                coin_core::file::check_writable(&folder)?;
            }
        }
        Ok(())
    }

    /// True if the run folder contains this run and the run is finished, so there is nothing to resume.
    ///
    /// # Errors
    /// The folder belongs to another run. The message names the settings that changed.
    pub fn is_finished(&self) -> Result<bool, TrainError> {
        Ok(matches!(self.begins(true)?, Start::End))
    }

    /// Returns the point at which the run starts. Without `resume` there must be no checkpoint. With `resume` the folder must belong
    /// to this run.
    pub(crate) fn begins(&self, resume: bool) -> Result<Start, TrainError> {
        let out = &self.config().out;
        output_folder::check(out, &RUN_FOLDER_ENTRIES)?;
        let newest = checkpoint::list(out)?.pop();
        if !resume {
            let earlier = "contains checkpoints of an earlier run; resume it, or choose another `out`";
            return match newest {
                None => Ok(Start::Beginning),
                Some(_) => Err(TrainError::checkpoint(&checkpoint::folder(out), earlier)),
            };
        }
        let found = match newest {
            Some(path) => Some(self.of_this_run(path)?),
            None => {
                let path = out.join(CONFIG);
                match std::fs::read_to_string(&path) {
                    Ok(text) => same_run(&path, self.config().changes(&text)?)?,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Start::Beginning),
                    Err(error) => return Err(TrainError::io(path)(error)),
                }
                None
            }
        };
        Ok(match found {
            _ if is_finished(out) => Start::End,
            Some((path, state)) => Start::Checkpoint(path, state),
            None => Start::Beginning,
        })
    }

    /// Checks that a checkpoint belongs to this run, and returns it with its state.
    fn of_this_run(&self, path: PathBuf) -> Result<(PathBuf, RunState), TrainError> {
        let out = &self.config().out;
        checkpoint::check(out, &path)?;
        let (state, config) = checkpoint::read_state(&path)?;
        let mut changed = self.config().changes(&config)?;
        let (data, model) = self.hashes();
        if state.data != data {
            changed.push(format!("the content of data.pairs ({})", self.config().data.pairs.display()));
        }
        if state.model != model {
            changed.push(format!("the files of model.path ({}) or of its adapter", self.config().model.path.display()));
        }
        same_run(&path, changed)?;
        metrics::check_reaches(&out.join(METRICS), state.step)?;
        Ok((path, state))
    }

    /// Locks the run folder for this process until the value is dropped, and removes the partial files of killed processes.
    ///
    /// # Errors
    /// The folder does not belong to this program, or another process writes to it.
    pub(crate) fn claim_folder(&self) -> Result<OutputFolder, TrainError> {
        let out = &self.config().out;
        let folder = OutputFolder::claim(out, &RUN_FOLDER_ENTRIES)?;
        for name in RESULTS.iter().chain(&["checkpoints"]) {
            remove_partial(&out.join(name))?;
        }
        Ok(folder)
    }

    /// Checks that the folders that a new run removes belong to an earlier run and contain none of this run's inputs.
    fn check_clearable(&self) -> Result<(), TrainError> {
        let out = &self.config().out;
        let there: Vec<PathBuf> = RESULTS.iter().map(|name| out.join(name)).filter(|path| path.exists()).collect();
        // A checkpoint also has a resolved configuration.
        let is_run = out.join(CONFIG).is_file() && !out.join(STATE).exists();
        if !is_run && !there.is_empty() {
            let names: Vec<String> = there.iter().map(|path| path.display().to_string()).collect();
            let message = format!("is not a run folder: it contains {}; choose another `out`", names.join(", "));
            return Err(TrainError::checkpoint(out, message));
        }
        let (model, adapter) = self.config().model.folders();
        let inputs =
            [("model.path", Some(model)), ("model.adapter", adapter), ("data.pairs", Some(&*self.config().data.pairs))];
        for (key, input) in inputs {
            let Some(input) = input.and_then(|input| input.canonicalize().ok()) else { continue };
            for folder in &there {
                if folder.canonicalize().is_ok_and(|folder| input.starts_with(folder)) {
                    let message = format!("{key} is in this folder, which a new run removes; choose another `out`");
                    return Err(TrainError::checkpoint(folder, message));
                }
            }
        }
        Ok(())
    }

    /// Prepares the run folder for a new run, so that results of an earlier run are not mixed with its metrics.
    pub(crate) fn clear_folder(&self) -> Result<(), TrainError> {
        self.check_clearable()?;
        let out = &self.config().out;
        std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
        for old in RESULTS.map(|name| out.join(name)) {
            if old.is_dir() {
                std::fs::remove_dir_all(&old).map_err(TrainError::io(&old))?;
            }
        }
        let config = self.resolved()?;
        Ok(coin_core::file::write_atomically(out.join(CONFIG), |writer| writer.write_all(config.as_bytes()))?)
    }
}

/// Removes partial files from `folder` and its subfolders, if it exists.
fn remove_partial(folder: &Path) -> Result<(), TrainError> {
    if !folder.is_dir() {
        return Ok(());
    }
    output_folder::remove_partial(folder)?;
    for entry in std::fs::read_dir(folder).map_err(TrainError::io(folder))? {
        let entry = entry.map_err(TrainError::io(folder))?;
        // Links are not followed.
        if entry.file_type().map_err(TrainError::io(entry.path()))?.is_dir() {
            remove_partial(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns an error if anything `changed` since `path` was written.
fn same_run(path: &Path, changed: Vec<String>) -> Result<(), TrainError> {
    match changed.is_empty() {
        true => Ok(()),
        false => {
            let message = format!("belongs to another run; changed since: {}", changed.join(", "));
            Err(TrainError::checkpoint(path, message))
        }
    }
}
