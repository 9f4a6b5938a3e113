//! The one error type of this crate.

use std::path::PathBuf;

use coin_core::CoreError;
use coin_data::DataError;
use coin_loss::LossError;
use coin_loss::collective::CollectiveError;
use coin_model::ModelError;

/// What can go wrong in a run: every variant names the key, file, step or row at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A run file or an override that is no valid configuration.
    #[error("{origin}: {message}")]
    Config {
        /// The file or option.
        origin: String,
        /// The key at fault and what was expected.
        message: String,
    },
    /// A checkpoint, or a file of a run, that cannot be resumed from.
    #[error("{path}: {message}")]
    Checkpoint {
        /// The checkpoint or file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A loss or gradient that is no number.
    #[error("step {}: the {what} is {value}; {rows}; the batch is in {batch}", .step + 1)]
    NotFinite {
        /// The optimiser step, counted from 0; the message counts from 1.
        step: usize,
        /// What was computed.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The pairs that are not finite alone, in words.
        rows: String,
        /// Where the step's batch was written.
        batch: PathBuf,
    },
    /// From a file or an output folder.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// From the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// From the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Between the ranks of a data-parallel run.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// From the loss.
    #[error(transparent)]
    Loss(#[from] LossError),
}

impl TrainError {
    /// A [`Checkpoint`](TrainError::Checkpoint) error for `path`.
    pub(crate) fn checkpoint(path: &std::path::Path, error: impl std::fmt::Display) -> Self {
        TrainError::Checkpoint { path: path.to_owned(), message: error.to_string() }
    }

    /// An [`Io`](TrainError::Io) error for `path`; for use with `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| TrainError::Io { path, source }
    }
}
