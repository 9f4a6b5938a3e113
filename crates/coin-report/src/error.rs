//! The one error type of this crate.

use std::path::PathBuf;

use coin_analysis::AnalysisError;

/// Why there is no report.
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
        /// What the system said.
        source: std::io::Error,
    },
    /// Hidden states cannot be mapped.
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
}
