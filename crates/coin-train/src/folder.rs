//! The run folder before a run writes to it: whose it is, and where the run begins.

use std::path::{Path, PathBuf};

use coin_core::output_folder::{self, OutputFolder};

use crate::checkpoint::{self, CONFIG, RunState, STATE};
use crate::metrics::{self, METRICS};
use crate::{TrainError, Trainer};

/// Folders of results, which a run that begins removes.
const RESULTS: [&str; 3] = ["adapter", "adapter-best", "tensorboard"];

/// The names that a run writes or removes in its folder, including the command's report.
pub const WRITTEN: [&str; 8] =
    [CONFIG, METRICS, "checkpoints", "adapter", "adapter-best", "tensorboard", "failed-batch.json", "report.html"];

/// Where a run begins.
#[derive(Debug)]
pub(crate) enum Start {
    /// At its first step.
    Beginning,
    /// At a checkpoint, with its state.
    Checkpoint(PathBuf, RunState),
    /// Nowhere: it is finished.
    End,
}

/// The adapter of a finished run in the folder `out`, which is written last of all.
fn is_finished(out: &Path) -> bool {
    out.join("adapter/adapter_config.json").is_file()
}

impl Trainer {
    /// Makes the run folder and checks that [`run`](Self::run) may and can write to it: without `resume` it must not hold
    /// checkpoints or a finished run, with it they must come from the same configuration, model and pairs, and be as they were
    /// written. A run would write its results last, so that it can is tried first. Nothing is written where the run is finished.
    /// A folder that this program did not make is refused if it holds a file of a run's name.
    ///
    /// # Errors
    /// What is in the way, or what has changed.
    pub fn check_folder(&self, resume: bool) -> Result<(), TrainError> {
        let out = &self.config().out;
        match self.begins(resume)? {
            Start::End => return Ok(()),
            Start::Beginning if !resume && is_finished(out) && out.join(CONFIG).is_file() => {
                return Err(TrainError::checkpoint(out, "holds a finished run; choose another `out`"));
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

    /// Whether the run folder holds this run, finished: a resumed run has nothing left to do.
    ///
    /// # Errors
    /// The folder is that of another run; what has changed is named.
    pub fn is_finished(&self) -> Result<bool, TrainError> {
        Ok(matches!(self.begins(true)?, Start::End))
    }

    /// Where the run begins; without `resume` there must be no checkpoint, with it the folder must be that of this run.
    pub(crate) fn begins(&self, resume: bool) -> Result<Start, TrainError> {
        let out = &self.config().out;
        output_folder::check(out, &WRITTEN)?;
        let newest = checkpoint::list(out)?.pop();
        if !resume {
            let earlier = "holds checkpoints of an earlier run; resume it, or choose another `out`";
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

    /// A checkpoint and its state, after checking that it belongs to this run.
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

    /// Makes the run folder this process's until the value is dropped, and removes what killed writers left in it.
    ///
    /// # Errors
    /// The folder is not this program's, or another process writes to it.
    pub(crate) fn claim_folder(&self) -> Result<OutputFolder, TrainError> {
        let out = &self.config().out;
        let folder = OutputFolder::claim(out, &WRITTEN)?;
        for name in RESULTS.iter().chain(&["checkpoints"]) {
            remove_partial(&out.join(name))?;
        }
        Ok(folder)
    }

    /// Checks that what a run that begins removes is an earlier run's, and nothing that this one reads.
    fn check_clearable(&self) -> Result<(), TrainError> {
        let out = &self.config().out;
        let there: Vec<PathBuf> = RESULTS.iter().map(|name| out.join(name)).filter(|path| path.exists()).collect();
        // A checkpoint has a resolved configuration, too.
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
                    let message = format!("{key} lies in it, and a run that begins removes it; choose another `out`");
                    return Err(TrainError::checkpoint(folder, message));
                }
            }
        }
        Ok(())
    }

    /// Makes the run folder that of a run which begins: results of an earlier run must not stand beside this one's metrics.
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

/// Removes partial files at any depth of `folder`, if it is there.
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

/// Refuses to resume what `path` holds where something has `changed`.
fn same_run(path: &Path, changed: Vec<String>) -> Result<(), TrainError> {
    match changed.is_empty() {
        true => Ok(()),
        false => {
            let message = format!("belongs to another run; changed since: {}", changed.join(", "));
            Err(TrainError::checkpoint(path, message))
        }
    }
}
