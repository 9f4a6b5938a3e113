//! The error type of this crate.

use std::path::PathBuf;

use coin_core::CoreError;
use coin_data::DataError;
use coin_loss::collective::CollectiveError;
use coin_loss::{GradientCacheError, LossError};
use coin_model::ModelError;

/// An error of a run. Every variant names the key, file, step or row at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A run file or an override is not a valid configuration.
    #[error("{origin}: {message}")]
    Config {
        /// The file or option.
        origin: String,
        /// The key at fault and what was expected.
        message: String,
    },
    /// An invalid setting of the objective.
    #[error("{0}")]
    Setting(String),
    /// A run cannot resume from a checkpoint or a file of the run folder.
    #[error("{path}: {message}")]
    Checkpoint {
        /// The checkpoint or file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// A loss or gradient is not finite.
    #[error("step {}: the {what} is {value}; {rows}; the batch is in {batch}", .step + 1)]
    NotFinite {
        /// The optimizer step, counted from 0. The message counts from 1.
        step: usize,
        /// The name of the value.
        what: &'static str,
        /// The value.
        value: f64,
        /// A sentence about the pairs whose individual loss is not finite.
        rows: String,
        /// The file with the step's batch.
        batch: PathBuf,
    },
    /// An error of a file or an output folder.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// An error of the data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An error of the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An error between the ranks of a data-parallel run.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// An invalid setting of the loss.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// An error of gradient caching, other than one between ranks.
    #[error(transparent)]
    GradientCache(GradientCacheError),
}

impl From<GradientCacheError> for TrainError {
    fn from(error: GradientCacheError) -> Self {
        match error {
            GradientCacheError::Collective(error) => TrainError::Collective(error),
            error => TrainError::GradientCache(error),
        }
    }
}

impl TrainError {
    /// Returns a [`Checkpoint`](TrainError::Checkpoint) error for `path`.
    pub(crate) fn checkpoint(path: &std::path::Path, error: impl std::fmt::Display) -> Self {
        TrainError::Checkpoint { path: path.to_owned(), message: error.to_string() }
    }

    /// Returns a function for `map_err` that makes an [`Io`](TrainError::Io) error for `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| TrainError::Io { path, source }
    }
}
