//! The error type of this crate.

use std::path::PathBuf;

use coin_core::quote::{cut, printable};

/// An error of a perturbation. The message names the attack, file or entry at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerturbError {
    /// An unknown attack name.
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
    /// Sets of instructions that do not match each other, or an empty set.
    #[error("{}", printable(.0))]
    InvalidSet(String),
    /// A line of a lexicon that is not a valid entry.
    #[error("lexicon line {line}: {}", printable(message))]
    Lexicon {
        /// Line, counted from 1.
        line: usize,
        /// The content found and the content expected.
        message: String,
    },
    /// A budget that cannot be parsed, or that the attack does not support.
    #[error("budget: {}", printable(.0))]
    Budget(String),
    /// A setting of a search outside its domain.
    #[error("search: {0}")]
    Search(String),
    /// A scorer failed, or did not return a finite score for every text.
    #[error("{}: scorer: {source}", printable(context))]
    Scorer {
        /// Attack, task and index of the instruction.
        context: String,
        /// The scorer's error, or the fault in its scores.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log of a search could not be written.
    #[error("cannot write the log of the search: {0}")]
    SearchLog(std::io::Error),
    /// A frozen set that differs from the set of its recipe.
    #[error("{path}: changed after it was written, the recipe has another {differing}")]
    Altered {
        /// The set's file.
        path: PathBuf,
        /// The hashes that differ.
        differing: String,
    },
    /// A rewriter did not return a rewriting.
    #[error("rewriter `{}`: {}", cut(rewriter), cut(message))]
    Rewrite {
        /// The rewriter's description.
        rewriter: String,
        /// The reason.
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
