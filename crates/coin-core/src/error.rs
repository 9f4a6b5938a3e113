//! The one error type of this crate.

use std::path::PathBuf;

/// An error with a file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A file could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file does not have the expected form.
    #[error("{path}{}: {message}", if *line > 0 { format!(":{line}") } else { String::new() })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1; 0 where the whole file is meant.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// An output folder holds files of the names that this program writes, and they are not this program's.
    #[error("{path} holds {found}, and this program did not make that folder; choose another one")]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// The names found, comma separated.
        found: String,
    },
    /// A folder that is to be made holds something.
    #[error("{path} is not empty, expected a new folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes to an output folder.
    #[error("{path}: another process writes to this folder; wait for it, or choose another one")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

impl CoreError {
    /// An [`Io`](CoreError::Io) error for `path`; for use with `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| CoreError::Io { path, source }
    }
}
