//! The ledger: one JSON line for every generation of an evaluation.
//!
//! All metrics are computed from it, so a run can be scored again without its model. The form is described in
//! `docs/formats.md`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::EvalError;
use crate::model::Likelihood;

/// One generation and what was read from it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Names the generation by what produced it; see [`key`].
    pub key: String,
    /// The fingerprint of the model.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// The perturbation level, such as `clean`.
    pub level: String,
    /// Which of the level's instructions, from 0.
    pub instruction: usize,
    /// The example's row number in its data set.
    pub row: usize,
    /// The decoded continuation.
    pub raw_pred: String,
    /// The continuation's tokens.
    pub token_ids: Vec<u32>,
    /// Whether generation ended early, as the outcome was decided.
    pub stopped: bool,
    /// The smallest difference between the two largest logits at any new token, where the model tells it. One below rounding
    /// is a near-tie: another batch size may choose another token.
    pub margin: Option<f32>,
    /// Whether the input was shortened, as the prompt did not fit into the model's context.
    pub shortened: bool,
    /// The likelihood of each word of the task's verbalizer, in its order, where the answer was scored and not generated.
    pub likelihoods: Option<Vec<Likelihood>>,
    /// The class read from the continuation; -1 if it names none.
    pub pred: i64,
    /// The example's class.
    pub gold: usize,
    /// Cosine of the hidden states (after the last norm, last prompt token) under this instruction and under the
    /// clean one it was made from; `None` at level `clean` and where hidden states were not asked for.
    pub cosine_to_clean: Option<f32>,
}

/// The key of a generation: the first 16 hexadecimal digits of the SHA-256 of the model's fingerprint, the prompt
/// and the settings, each preceded by its length.
pub fn key(fingerprint: &str, prompt: &str, settings: &str) -> String {
    let mut hash = Sha256::new();
    for part in [fingerprint, prompt, settings] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A ledger being written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
}

impl Ledger {
    /// A new ledger at `path`; what the file held is gone.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn create(path: impl Into<PathBuf>) -> Result<Ledger, EvalError> {
        let path = path.into();
        let file = File::create(&path).map_err(EvalError::io(&path))?;
        Ok(Ledger { path, file })
    }

    /// Appends `records` and waits until the system has them on disk.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn append(&mut self, records: &[Record]) -> Result<(), EvalError> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)
                .map_err(|error| EvalError::Invalid(format!("cannot write a ledger record: {error}")))?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines).and_then(|()| self.file.sync_data()).map_err(EvalError::io(&self.path))
    }

    /// Where the ledger is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a ledger.
///
/// # Errors
/// [`EvalError::Io`] if the file cannot be read; [`EvalError::Malformed`] with the line if a line is no record, or if
/// there is none.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>, EvalError> {
    let path = path.as_ref();
    let malformed = |line, message| EvalError::Malformed { path: path.to_owned(), line, message };
    let mut records = Vec::new();
    for (index, line) in BufReader::new(File::open(path).map_err(EvalError::io(path))?).lines().enumerate() {
        let line = line.map_err(|error| malformed(index + 1, format!("cannot read the line: {error}")))?;
        let record =
            serde_json::from_str(&line).map_err(|error| malformed(index + 1, format!("no ledger record: {error}")))?;
        records.push(record);
    }
    if records.is_empty() {
        return Err(malformed(0, "no ledger record in it".to_owned()));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(row: usize) -> Record {
        Record {
            key: key("model", "prompt", "settings"),
            task: "cola".to_owned(),
            level: "clean".to_owned(),
            instruction: 0,
            row,
            raw_pred: "acceptable \"yes\"\n".to_owned(),
            token_ids: vec![1, 2],
            pred: -1,
            gold: 1,
            cosine_to_clean: Some(0.5),
            ..Record::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::create(&path).unwrap();
        ledger.append(&[record(0), record(1)]).unwrap();
        ledger.append(&[record(2)]).unwrap();
        assert_eq!(read(&path).unwrap(), [record(0), record(1), record(2)]);
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        Ledger::create(&path).unwrap().append(&[record(0)]).unwrap();
        assert!(read(folder.path().join("none.jsonl")).unwrap_err().to_string().contains("none.jsonl"));
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"key\": \"tor");
        std::fs::write(&path, text).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("ledger.jsonl:2: no ledger record"));
        std::fs::write(&path, "").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("ledger.jsonl:0: no ledger record in it"));
    }

    #[test]
    fn keys_tell_their_parts_apart() {
        assert_eq!(key("a", "b", "c").len(), 16);
        assert_ne!(key("ab", "c", "d"), key("a", "bc", "d"));
    }
}
