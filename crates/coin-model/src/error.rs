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
    /// This crate does not implement a setting of a configuration file.
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
    /// The tensors of a weight file do not match the configuration.
    #[error("{path}: weights do not match the model: {}", printable(problems))]
    Weights {
        /// The file.
        path: PathBuf,
        /// Tensors that are missing, unexpected or of the wrong shape.
        problems: String,
    },
    /// A device could not compute or return a result.
    #[error("cannot read {what} back from the device: {source}")]
    Device {
        /// The value to read.
        what: &'static str,
        /// The device's error.
        source: DeviceError,
    },
    /// A value is out of range.
    #[error("{0}")]
    Invalid(String),
}

/// The error message of a device.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(String);

impl DeviceError {
    /// Creates an error with this message.
    pub fn new(words: impl Into<String>) -> Self {
        DeviceError(words.into())
    }
}

impl ModelError {
    /// Returns a function for `map_err` that makes a [`Device`](ModelError::Device) error.
    pub(crate) fn device<E: std::fmt::Debug>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| ModelError::Device { what, source: DeviceError(format!("{error:?}")) }
    }

    /// Returns a [`Weights`](ModelError::Weights) error with the first eight problems.
    pub(crate) fn weights(path: impl Into<PathBuf>, mut problems: Vec<String>) -> Self {
        let total = problems.len();
        problems.iter_mut().for_each(|problem| *problem = cut(problem).into_owned());
        if total > 8 {
            problems.truncate(8);
            problems.push(format!("and {} more", total - 8));
        }
        ModelError::Weights { path: path.into(), problems: problems.join(", ") }
    }

    /// Returns a function for `map_err` that makes an [`Io`](ModelError::Io) error for `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| ModelError::Io { path, source }
    }

    /// Returns a function for `map_err` that makes a [`Malformed`](ModelError::Malformed) error for `path`.
    pub(crate) fn malformed<E: std::fmt::Display>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |error| ModelError::Malformed { path, message: cut(&error.to_string()).into_owned() }
    }
}
