//! The error type of this crate.

use std::path::PathBuf;

use coin_analysis::AnalysisError;

/// An error that prevents a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is neither an evaluated run nor a learning curve.
    #[error("there is no run to report")]
    Empty,
    /// The file could not be written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Hidden states cannot be mapped.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
}
