//! The error type of this crate.

use std::path::PathBuf;

use coin_core::quote::{cut, printable};

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
    #[error("{path}: {}", printable(message))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The content found and the content expected.
        message: String,
    },
    /// A configuration setting that this crate does not implement.
    #[error("{path}: `{}` = {} is not supported, expected {}", cut(key), cut(value), printable(expected))]
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
    #[error("{path}: weights do not match the model: {}", printable(problems))]
    Weights {
        /// The file.
        path: PathBuf,
        /// Tensors that are missing, unexpected or of the wrong shape.
        problems: String,
    },
    /// A device could not compute a result or hand it over.
    #[error("cannot read {what} back from the device: {source}")]
    Device {
        /// What was to be read.
        what: &'static str,
        /// What the device said.
        source: DeviceError,
    },
    /// A value outside its domain.
    #[error("{0}")]
    Invalid(String),
}

/// What a device said that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(String);

impl DeviceError {
    /// An error of these words.
    pub fn new(words: impl Into<String>) -> Self {
        DeviceError(words.into())
    }
}

impl ModelError {
    /// A [`Device`](ModelError::Device) error; for use with `map_err`.
    pub(crate) fn device<E: std::fmt::Debug>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| ModelError::Device { what, source: DeviceError(format!("{error:?}")) }
    }

    /// A [`Weights`](ModelError::Weights) error that lists at most the first eight problems.
    pub(crate) fn weights(path: impl Into<PathBuf>, mut problems: Vec<String>) -> Self {
        let total = problems.len();
        problems.iter_mut().for_each(|problem| *problem = cut(problem).into_owned());
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
        move |error| ModelError::Malformed { path, message: cut(&error.to_string()).into_owned() }
    }
}
