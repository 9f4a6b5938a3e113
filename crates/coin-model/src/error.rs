//! The error type of this crate.

use std::path::PathBuf;

/// An error of this crate. Every variant names the file, key or setting at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not have the expected format.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The content found and the content expected.
        message: String,
    },
    /// A configuration setting that this crate does not implement.
    #[error("{path}: `{key}` = {value} is not supported, expected {expected}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// The accepted values.
        expected: String,
    },
    /// A weight file whose tensors do not match the configuration.
    #[error("{path}: weights do not match the model: {problems}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// Tensors that are missing, unexpected or of the wrong shape.
        problems: String,
    },
    /// A value outside its domain.
    #[error("{0}")]
    Invalid(String),
}

impl ModelError {
    /// A [`Weights`](ModelError::Weights) error that lists at most the first eight problems.
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
