//! The error type of this crate.

use std::path::PathBuf;

use coin_analysis::AnalysisError;
use coin_core::CoreError;
use coin_core::quote::cut;
use coin_data::DataError;

use crate::ModelError;

/// An error in an evaluation. Every variant names the file, line, level or task at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file or folder could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file does not have the form that was expected.
    #[error("{path}{}: {message}", if *line > 0 { format!(":{line}") } else { String::new() })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1. 0 refers to the whole file.
        line: usize,
        /// The content found and the content expected.
        message: String,
    },
    /// A set of instructions lacks a perturbation level.
    #[error("{path}: no instructions for level `{}`, only for: {known}", cut(level))]
    MissingLevel {
        /// Source of the set.
        path: PathBuf,
        /// The requested level.
        level: String,
        /// The available levels, comma-separated.
        known: String,
    },
    /// A level of a set of instructions lacks a task.
    #[error("{path}: level `{}` has no instructions for task `{}`, only for: {}", cut(level), cut(task), cut(known))]
    MissingTask {
        /// Source of the set.
        path: PathBuf,
        /// The level.
        level: String,
        /// The requested task.
        task: String,
        /// The available tasks, comma-separated.
        known: String,
    },
    /// A level has more or fewer instructions for a task than `clean`, so that they cannot be paired.
    #[error("{path}: level `{}`, task `{}`: {found} instructions, but `clean` has {expected}", cut(level), cut(task))]
    InstructionCount {
        /// Source of the set.
        path: PathBuf,
        /// The level.
        level: String,
        /// The task.
        task: String,
        /// Number of instructions at this level.
        found: usize,
        /// Number of instructions at `clean`.
        expected: usize,
    },
    /// The model failed on one batch of prompts.
    #[error("task `{}`, level `{}`, instruction {instruction}: {source}", cut(task), cut(level))]
    Model {
        /// The task.
        task: String,
        /// The level.
        level: String,
        /// Index of the instruction within the level, from 0.
        instruction: usize,
        /// The error of the model.
        source: ModelError,
    },
    /// A ledger holds answers of a different evaluation, so this evaluation cannot resume from it.
    #[error("{path}: {message}; remove the ledger or choose another path")]
    OtherLedger {
        /// The ledger.
        path: PathBuf,
        /// The difference between the two evaluations.
        message: String,
    },
    /// Hidden states, or their file, caused an error.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    /// A file or an output folder caused an error.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The examples could not be read or rendered.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting or value is outside its domain.
    #[error("{0}")]
    Invalid(String),
}

impl EvalError {
    /// An [`Io`](EvalError::Io) error for `path`, for use with `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| EvalError::Io { path, source }
    }
}
