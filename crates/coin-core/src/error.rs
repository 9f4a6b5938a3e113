//! The error type of this crate.

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
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not have the expected format.
    #[error("{path}{}: {message}", if *line > 0 { format!(":{line}") } else { String::new() })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1; 0 for the whole file.
        line: usize,
        /// The content found and the content expected.
        message: String,
    },
    /// An output folder that this program did not create contains files or folders with names that it would write.
    #[error(
        "{path} contains {found} but was not created by this program; choose another folder, or create an empty {marker} in it if \
         these are copied results"
    )]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// The names found, comma separated.
        found: String,
        /// The name of the file that marks a folder of this program.
        marker: &'static str,
    },
    /// A folder that is to be created is not empty.
    #[error("{path} is not empty, expected a new folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Another process is writing to an output folder.
    #[error("{path}: another process is writing to this folder; wait until it finishes or choose another folder")]
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
