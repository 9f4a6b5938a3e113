//! The error type of this crate.

use std::path::PathBuf;

use coin_core::quote::cut;

impl From<coin_core::CoreError> for DataError {
    fn from(error: coin_core::CoreError) -> Self {
        use coin_core::CoreError;
        match error {
            CoreError::Io { path, source } => DataError::Io { path, source },
            CoreError::Malformed { path, line, message } => DataError::Malformed { path, line, message },
            other => DataError::Invalid(other.to_string()),
        }
    }
}

/// An error in data. Every variant names the file, row, field or task at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A file does not have the expected form.
    #[error("{path}{}: {message}", if *line > 0 { format!(":{line}") } else { String::new() })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1, or the row of a Parquet file; 0 for an error of the whole file.
        line: usize,
        /// The problem: found and expected content.
        message: String,
    },
    /// This build cannot read the file's format.
    #[error("cannot read {path}: it needs the feature `{feature}` of coin-data, which this build lacks")]
    Feature {
        /// The file.
        path: PathBuf,
        /// The feature of this crate that is needed.
        feature: &'static str,
    },
    /// A data file is empty.
    #[error("{path} contains no {what}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// The expected content.
        what: &'static str,
    },
    /// The files of a task were not found.
    #[error("no files for task `{}`, looked for {looked_for}", cut(task))]
    NotFound {
        /// The task.
        task: String,
        /// The paths that were tried.
        looked_for: String,
    },
    /// An unknown task name.
    #[error("unknown task `{}`, expected one of: {known}", cut(name))]
    UnknownTask {
        /// The name given.
        name: String,
        /// The known names, comma separated.
        known: String,
    },
    /// A template or content format needs a field that an instance lacks.
    #[error("task `{}`: `{}` needs the field `{}`, which row {row} lacks", cut(task), cut(template), cut(field))]
    MissingField {
        /// The task.
        task: String,
        /// The template.
        template: String,
        /// The field.
        field: String,
        /// The instance's row number.
        row: usize,
    },
    /// A value outside its domain.
    #[error("{0}")]
    Invalid(String),
}

impl DataError {
    /// An [`Io`](DataError::Io) error for `path`; for use with `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| DataError::Io { path, source }
    }
}
