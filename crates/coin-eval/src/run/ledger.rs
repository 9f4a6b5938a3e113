//! The ledger: one JSON line for every answer of an evaluation.
//!
//! All metrics are computed from it, so a run can be scored again without its model, and a run that was killed resumes
//! after the last complete line. The format is described in `docs/formats.md`.

mod one_run;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::engine::model::LogLikelihood;
use crate::parser::{AnswerParser, Unparsable};

/// One answer and what was read from it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Identifies the answer by what produced it; see [`answer_key`](fn@crate::answer_key).
    pub key: String,
    /// The fingerprint of the model.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// The perturbation level, such as `clean`.
    pub level: String,
    /// Index of the instruction within the level, from 0.
    pub instruction: usize,
    /// The example's row number in its data set.
    pub row: usize,
    /// The parser that read the answer.
    #[serde(rename = "scorer")]
    pub parser: AnswerParser,
    /// The decoded continuation; empty where label words were scored.
    pub raw_pred: String,
    /// The continuation's tokens, where the model reports them.
    pub token_ids: Vec<u32>,
    /// True if generation stopped early because the outcome was decided.
    pub stopped: bool,
    /// The smallest difference between the two largest logits at any new token, where the model reports it. A margin below
    /// rounding error is a near-tie: another batch size may choose another token.
    pub margin: Option<f32>,
    /// True if the input was shortened because the prompt did not fit into the model's context.
    pub shortened: bool,
    /// The likelihood of each of the task's label words, by class, where the answer was scored instead of generated.
    pub likelihoods: Option<Vec<LogLikelihood>>,
    /// The class read from the answer; -1 if it names none.
    pub pred: i64,
    /// Why the answer names no class, if more is known than that no label word was found; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unparsable: Option<Unparsable>,
    /// The example's class.
    pub gold: usize,
    /// Cosine of the hidden states (after the last norm, last prompt token) under this instruction and under the
    /// clean one it was made from; `None` at level `clean` and where hidden states were not requested.
    pub cosine_to_clean: Option<f32>,
}

impl Record {
    /// True if the answer is a thought that never ended.
    pub fn is_unfinished_thought(&self) -> bool {
        self.unparsable == Some(Unparsable::UnfinishedThought)
    }
}

/// A ledger open for writing. No other process can write it at the same time.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Length of the complete lines in bytes.
    length: u64,
    /// The records in the file when it was opened.
    found: Vec<Record>,
    /// The bytes to write after the complete lines: a last record whose newline was missing, or nothing. `Some` until the
    /// file is repaired.
    tail: Option<Vec<u8>>,
}

impl Ledger {
    /// Creates an empty ledger at `path`, erasing what the file held.
    ///
    /// # Errors
    /// [`EvalError::Io`], also if another process is writing the file.
    pub fn create(path: impl Into<PathBuf>) -> Result<Ledger, EvalError> {
        let mut ledger = Ledger::lock(path.into())?;
        ledger.cut(0)?;
        Ok(ledger)
    }

    /// Opens the ledger at `path` to resume it, or creates one if there is no file.
    ///
    /// A truncated last line is dropped and a missing newline is added by [`repair`](Self::repair) or by the first
    /// [`append`](Self::append), whichever comes first.
    ///
    /// # Errors
    /// [`EvalError::Io`], also if another process is writing the file; [`EvalError::Malformed`] with the line if a complete line
    /// is not a record.
    pub fn open(path: impl Into<PathBuf>) -> Result<Ledger, EvalError> {
        let mut ledger = Ledger::lock(path.into())?;
        let mut bytes = Vec::new();
        ledger.file.read_to_end(&mut bytes).map_err(EvalError::io(&ledger.path))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        ledger.found = parse(&ledger.path, &bytes[..whole])?;
        ledger.length = whole as u64;
        let mut tail = Vec::new();
        if let Ok(last) = serde_json::from_slice::<Record>(&bytes[whole..]) {
            ledger.found.push(last);
            tail = [&bytes[whole..], b"\n"].concat();
        }
        ledger.tail = Some(tail);
        Ok(ledger)
    }

    /// Drops a truncated last line, or adds its missing newline, so that the next record starts on a new line.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn repair(&mut self) -> Result<(), EvalError> {
        let Some(tail) = self.tail.take() else { return Ok(()) };
        self.cut(self.length)?;
        self.file.write_all(&tail).and_then(|()| self.file.sync_data()).map_err(EvalError::io(&self.path))?;
        self.length += tail.len() as u64;
        Ok(())
    }

    /// Returns the records that the file held when it was opened.
    pub fn found(&self) -> &[Record] {
        &self.found
    }

    fn lock(path: PathBuf) -> Result<Ledger, EvalError> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(EvalError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Ledger { path, file, length: 0, found: Vec::new(), tail: None }),
            Err(std::fs::TryLockError::WouldBlock) => {
                let source = std::io::Error::other("another process is writing to it");
                Err(EvalError::Io { path, source })
            }
            // A file system without locks should not prevent an evaluation.
            Err(std::fs::TryLockError::Error(_)) => Ok(Ledger { path, file, length: 0, found: Vec::new(), tail: None }),
        }
    }

    /// Truncates the file to its first `length` bytes.
    fn cut(&mut self, length: u64) -> Result<(), EvalError> {
        let cut = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map_err(EvalError::io(&self.path))?;
        self.length = length;
        Ok(())
    }

    /// Appends `records` and waits until they are on disk. If it fails, none of them is kept.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn append(&mut self, records: &[Record]) -> Result<(), EvalError> {
        self.repair()?;
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)
                .map_err(|error| EvalError::Invalid(format!("cannot write a ledger record: {error}")))?;
            lines.push(b'\n');
        }
        match self.file.write_all(&lines).and_then(|()| self.file.sync_data()) {
            Ok(()) => self.length += lines.len() as u64,
            Err(source) => {
                // Report the first error.
                let _ = self.cut(self.length);
                return Err(EvalError::Io { path: self.path.clone(), source });
            }
        }
        Ok(())
    }

    /// The path of the ledger file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the ledger of one run. A truncated last line, as a killed run leaves it, is skipped.
    ///
    /// # Errors
    /// [`EvalError::Io`] if the file cannot be read; [`EvalError::Malformed`] with the line if a line is not a record or does
    /// not belong to the same run as the first line (another model, a duplicate answer, another class for an example), or if
    /// there are no records.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>, EvalError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(EvalError::io(path))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut records = parse(path, &bytes[..whole])?;
        records.extend(serde_json::from_slice::<Record>(&bytes[whole..]).ok());
        match records.is_empty() {
            true => {
                Err(EvalError::Malformed { path: path.to_owned(), line: 0, message: "the ledger is empty".to_owned() })
            }
            false => one_run::check(path, &records).map(|()| records),
        }
    }
}

/// Parses complete lines into records.
fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = lines.split(|byte| *byte == b'\n').filter(|_| !bytes.is_empty());
    let read = |(index, line)| {
        serde_json::from_slice(line).map_err(|error| EvalError::Malformed {
            path: path.to_owned(),
            line: index + 1,
            message: format!("not a ledger record: {}", coin_core::json::message(&error)),
        })
    };
    lines.enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer_key;

    fn record(row: usize) -> Record {
        Record {
            key: answer_key("model", "prompt", "settings"),
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
        assert_eq!(Ledger::read(&path).unwrap(), [record(0), record(1), record(2)]);
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        Ledger::create(&path).unwrap().append(&[record(0)]).unwrap();
        assert!(Ledger::read(folder.path().join("none.jsonl")).unwrap_err().to_string().contains("none.jsonl"));
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"key\": \"tor\n");
        std::fs::write(&path, text).unwrap();
        assert!(Ledger::read(&path).unwrap_err().to_string().contains("ledger.jsonl:2: not a ledger record"));
        assert!(Ledger::open(&path).unwrap_err().to_string().contains("ledger.jsonl:2: not a ledger record"));
        let twice = serde_json::to_string(&record(0)).unwrap().replacen("\"row\":0", "\"row\":0,\"row\":1", 1);
        std::fs::write(&path, format!("{twice}\n")).unwrap();
        assert!(
            Ledger::read(&path)
                .unwrap_err()
                .to_string()
                .contains("ledger.jsonl:1: not a ledger record: duplicate field `row`")
        );
        assert!(Ledger::open(&path).is_err());
        let mut other = record(1);
        other.model = "other".to_owned();
        Ledger::create(&path).unwrap().append(&[record(0), other]).unwrap();
        assert!(Ledger::read(&path).unwrap_err().to_string().contains("ledger.jsonl:2: answered by the model `other`"));
        std::fs::write(&path, "").unwrap();
        assert!(Ledger::read(&path).unwrap_err().to_string().contains("ledger.jsonl: the ledger is empty"));
    }

    #[test]
    fn a_line_torn_anywhere_costs_that_line_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        Ledger::create(&path).unwrap().append(&[record(0), record(1)]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in first..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            // A line that is only missing its newline still counts as complete.
            let there = if length + 1 >= whole.len() { 2 } else { 1 };
            assert_eq!(Ledger::read(&path).unwrap().len(), there, "{length}");
            let mut ledger = Ledger::open(&path).unwrap();
            assert_eq!(ledger.found(), &[record(0), record(1)][..there]);
            ledger.append(&[record(2)]).unwrap();
            drop(ledger);
            let rows: Vec<usize> = Ledger::read(&path).unwrap().iter().map(|record| record.row).collect();
            assert_eq!(rows, [&[0, 1][..there], &[2]].concat(), "{length}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Ledger::open(&path).unwrap().found(), []);
    }

    #[test]
    fn two_writers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let first = Ledger::create(&path).unwrap();
        assert!(Ledger::open(&path).unwrap_err().to_string().ends_with("another process is writing to it"));
        drop(first);
        assert!(Ledger::open(&path).is_ok());
    }

    #[test]
    fn keys_tell_their_parts_apart() {
        assert_eq!(answer_key("a", "b", "c").len(), 16);
        assert_ne!(answer_key("ab", "c", "d"), answer_key("a", "bc", "d"));
    }
}
