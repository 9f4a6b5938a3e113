//! The one error type of this crate.

use std::path::PathBuf;

use coin_core::quote::{cut, printable};

/// What can go wrong with perturbations: every variant names the attack, file or entry at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerturbError {
    /// An attack name that is not known.
    #[error("unknown attack `{}`, expected one of: {known}", cut(name))]
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
    #[error("{path}: {}", printable(message))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// Sets of instructions that do not fit together, or an empty one.
    #[error("{}", printable(.0))]
    InvalidSet(String),
    /// A lexicon line that is no entry.
    #[error("lexicon line {line}: {}", printable(message))]
    Lexicon {
        /// Line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// A budget that cannot be read, or that an attack cannot keep.
    #[error("budget: {}", printable(.0))]
    Budget(String),
    /// A setting of a search outside its domain.
    #[error("search: {0}")]
    Search(String),
    /// A scorer failed, or what it gave is no score for every text.
    #[error("{}: scorer: {source}", printable(context))]
    Scorer {
        /// Attack, task and place of the instruction.
        context: String,
        /// What the scorer said, or what was wrong with its scores.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log of a search could not be written.
    #[error("cannot write the log of the search: {0}")]
    SearchLog(std::io::Error),
    /// A frozen set that is not the one its recipe was written for.
    #[error("{path}: not as it was made, another {differing} than in its recipe")]
    Altered {
        /// The set's file.
        path: PathBuf,
        /// The hashes that differ.
        differing: String,
    },
    /// A rewriter gave no rewriting.
    #[error("rewriter `{}`: {}", cut(rewriter), cut(message))]
    Rewrite {
        /// What the rewriter is.
        rewriter: String,
        /// Why it failed.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use crate::{Lexicon, WordVectors, attack_named};

    #[test]
    fn long_input_is_cut_in_messages() {
        let long = "x".repeat(1_000_000);
        let lexicon = |text: &str| Lexicon::parse(text).map(|_| ()).unwrap_err().to_string();
        let messages = [
            lexicon(&long),
            lexicon(&format!("{long}: a, {long}")),
            WordVectors::parse(&format!("{long} 1\n{long} {long}\n")).map(|_| ()).unwrap_err().to_string(),
            attack_named(&long).map(|_| ()).unwrap_err().to_string(),
            long.parse::<crate::Budget>().unwrap_err().to_string(),
        ];
        for message in messages {
            assert!(message.len() < 700 && message.contains("(1000000 characters)"), "{}", message.len());
        }
        assert!(!lexicon("\u{1b}]0;title\u{7}").contains('\u{1b}'));
    }
}
