//! The one error type of this crate.

use std::path::PathBuf;

/// What can go wrong with a model: every variant names the file, key or setting at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not have the form that was expected.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// A setting of a configuration that this crate does not implement.
    #[error("{path}: `{key}` = {value} is not supported, expected {expected}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What would have been accepted.
        expected: String,
    },
    /// A weight file whose tensors are not those of the configuration.
    #[error("{path}: weights do not fit the model: {problems}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// Missing, unexpected and mis-shaped tensors.
        problems: String,
    },
    /// A value outside its domain.
    #[error("{0}")]
    Invalid(String),
}

impl ModelError {
    /// A [`Weights`](ModelError::Weights) error with at most the first eight problems spelled out.
    pub(crate) fn weights(path: impl Into<PathBuf>, mut problems: Vec<String>) -> Self {
        let total = problems.len();
        if total > 8 {
            problems.truncate(8);
            problems.push(format!("and {} more", total - 8));
        }
        ModelError::Weights { path: path.into(), problems: problems.join(", ") }
    }

    /// An [`Io`](ModelError::Io) error for `path`; for use with `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| ModelError::Io { path, source }
    }

    /// A [`Malformed`](ModelError::Malformed) error for `path`; for use with `map_err`.
    pub(crate) fn malformed<E: std::fmt::Display>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |error| ModelError::Malformed { path, message: error.to_string() }
    }
}
