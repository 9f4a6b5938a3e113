//! The one error type of this crate.

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

/// What can go wrong with data: every variant names the file, row, field or task at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not have the form that was expected.
    #[error("{path}{}: {message}", if *line > 0 { format!(":{line}") } else { String::new() })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1, or the row of a Parquet file; 0 where the whole file is meant.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// A file is in a form that this build does not read.
    #[error("cannot read {path}: it needs the feature `{feature}` of coin-data, which this build lacks")]
    Feature {
        /// The file.
        path: PathBuf,
        /// The feature of the crate.
        feature: &'static str,
    },
    /// A data file holds no row.
    #[error("{path} holds no {what}")]
    Empty {
        /// The file.
        path: PathBuf,
        /// What was expected in it.
        what: &'static str,
    },
    /// The files of a task are not where they were looked for.
    #[error("no files for task `{}`, looked for {looked_for}", cut(task))]
    NotFound {
        /// The task.
        task: String,
        /// The paths that were tried.
        looked_for: String,
    },
    /// A task name that is not known.
    #[error("unknown task `{}`, expected one of: {known}", cut(name))]
    UnknownTask {
        /// The name given.
        name: String,
        /// The known names, comma separated.
        known: String,
    },
    /// A template or content format asks for a field that an instance lacks.
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
