//! The one error type of this crate.

use std::path::PathBuf;

use coin_analysis::AnalysisError;
use coin_core::CoreError;
use coin_core::quote::cut;
use coin_data::DataError;

use crate::ModelError;

/// What can go wrong in an evaluation: every variant names the file, line, level or task at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file or folder could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not have the form that was expected.
    #[error("{path}{}: {message}", if *line > 0 { format!(":{line}") } else { String::new() })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1; 0 where the whole file is meant.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// A set of instructions lacks a perturbation level.
    #[error("{path}: no instructions for level `{}`, there are: {known}", cut(level))]
    MissingLevel {
        /// Where the set comes from.
        path: PathBuf,
        /// The level asked for.
        level: String,
        /// The levels there are, comma separated.
        known: String,
    },
    /// A level of a set of instructions lacks a task.
    #[error("{path}: level `{}` has no instructions for task `{}`, it has: {}", cut(level), cut(task), cut(known))]
    MissingTask {
        /// Where the set comes from.
        path: PathBuf,
        /// The level.
        level: String,
        /// The task asked for.
        task: String,
        /// The tasks there are, comma separated.
        known: String,
    },
    /// A level has more or fewer instructions for a task than `clean`, so that they cannot be paired.
    #[error("{path}: level `{}`, task `{}`: {found} instructions where `clean` has {expected}", cut(level), cut(task))]
    InstructionCount {
        /// Where the set comes from.
        path: PathBuf,
        /// The level.
        level: String,
        /// The task.
        task: String,
        /// How many it has.
        found: usize,
        /// How many `clean` has.
        expected: usize,
    },
    /// The model failed on one batch of prompts.
    #[error("task `{}`, level `{}`, instruction {instruction}: {source}", cut(task), cut(level))]
    Model {
        /// The task.
        task: String,
        /// The level.
        level: String,
        /// Which of the level's instructions, from 0.
        instruction: usize,
        /// What the model said.
        source: ModelError,
    },
    /// A ledger holds answers of another evaluation than the one that is to go on with it.
    #[error("{path}: {message}; begin anew or choose another place")]
    OtherLedger {
        /// The ledger.
        path: PathBuf,
        /// What differs.
        message: String,
    },
    /// From hidden states or their file.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// From a file or an output folder.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The examples could not be read or rendered.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting or value outside its domain.
    #[error("{0}")]
    Invalid(String),
}

impl EvalError {
    /// An [`Io`](EvalError::Io) error for `path`; for use with `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| EvalError::Io { path, source }
    }
}
