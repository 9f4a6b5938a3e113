//! The learning curves of training runs, from the files of `coin-train` to the report.

use std::path::{Path, PathBuf};

use coin_core::quote::cut;
use coin_eval::Summary;
use coin_report::{Curve, CurvePoint, HeldOutPoint};
use coin_train::{TrainError, metrics};

pub use coin_train::metrics::METRICS;

/// The resolved settings in the folder of a training run.
const SETTINGS: &str = "config.resolved.toml";

/// An error in reading the learning curves or settings of a training run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CurvesError {
    /// The logged metrics cannot be read.
    #[error(transparent)]
    Metrics(#[from] TrainError),
    /// The resolved settings cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The resolved settings are not TOML, or contain a value that JSON cannot represent.
    #[error("{path} is not TOML: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The content found.
        message: String,
    },
}

/// Reads the learning curves of the run in `folder`, named `name` in the report.
///
/// # Errors
/// [`CurvesError::Metrics`] if the folder has no readable `metrics.jsonl`.
pub fn read(folder: &Path, name: &str) -> Result<Curve, CurvesError> {
    let (steps, validations) = metrics::read(&folder.join(METRICS))?;
    let point = |step: &metrics::StepMetrics| CurvePoint {
        step: step.step as u64,
        loss_generation: step.loss_generation,
        loss_contrastive: step.loss_contrastive,
        accuracy: step.contrastive_accuracy,
        similarity_positive: Some(step.similarity_positive),
        similarity_negative: step.similarity_negative,
    };
    let held_out = |metrics: &metrics::ValidationMetrics| HeldOutPoint {
        step: metrics.step as u64,
        loss_generation: metrics.loss_generation,
        accuracy: metrics.contrastive_accuracy,
    };
    Ok(Curve {
        run: name.to_owned(),
        points: steps.iter().map(point).collect(),
        held_out: validations.iter().map(held_out).collect(),
    })
}

/// Returns a summary without evaluations for a report of learning curves only. It contains the resolved settings of the run in `folder`.
///
/// # Errors
/// [`CurvesError::Io`] and [`CurvesError::Malformed`] if the folder has no readable `config.resolved.toml`.
pub fn settings_only(folder: &Path) -> Result<Summary, CurvesError> {
    let path = folder.join(SETTINGS);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(CurvesError::Io { path, source }),
    };
    let malformed = |message: String| CurvesError::Malformed { path: path.clone(), message };
    let unreadable = |error: toml::de::Error| malformed(cut(&error.to_string()).into_owned());
    let settings: toml::Table = text.parse().map_err(unreadable)?;
    let settings = serde_json::to_value(settings).map_err(|error| malformed(error.to_string()))?;
    Ok(Summary::new(settings.as_object().cloned().unwrap_or_default(), Vec::new()))
}
