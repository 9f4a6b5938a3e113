//! The one error type of this crate.

use std::path::PathBuf;

/// What can go wrong with perturbations: every variant names the attack, file or entry at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerturbError {
    /// An attack name that is not known.
    #[error("unknown attack `{name}`, expected one of: {known}")]
    UnknownAttack {
        /// The name given.
        name: String,
        /// The known short names, comma separated.
        known: String,
    },
    /// A file could not be opened, read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not have the form that was expected.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// Sets of instructions that do not fit together, or an empty one.
    #[error("{0}")]
    InvalidSet(String),
    /// A lexicon line that is no entry.
    #[error("lexicon line {line}: {message}")]
    Lexicon {
        /// Line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// A rewriter gave no rewriting.
    #[error("rewriter `{rewriter}`: {message}")]
    Rewrite {
        /// What the rewriter is.
        rewriter: String,
        /// Why it failed.
        message: String,
    },
}
