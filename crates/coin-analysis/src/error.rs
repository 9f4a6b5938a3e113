//! The error type of this crate.

use std::path::PathBuf;

use coin_core::CoreError;

/// An error with hidden states or their files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnalysisError {
    /// A file could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not hold hidden states in the expected format.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The content found and the content expected.
        message: String,
    },
    /// An error with a file or an output folder.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A value outside its domain.
    #[error("{0}")]
    Invalid(String),
}

impl AnalysisError {
    /// An [`Io`](AnalysisError::Io) error for `path`; for use with `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| AnalysisError::Io { path, source }
    }
}
