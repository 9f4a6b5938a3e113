//! The ledger: one JSON line for every answer of an evaluation.
//!
//! All metrics are computed from it, so a run can be scored again without its model, and a run that was killed goes on
//! behind the last whole line. The form is described in `docs/formats.md`.

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
    /// Names the answer by what produced it; see [`answer_key`](fn@crate::answer_key).
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
    /// How the answer was read.
    #[serde(rename = "scorer")]
    pub parser: AnswerParser,
    /// The decoded continuation; empty where label words were scored.
    pub raw_pred: String,
    /// The continuation's tokens, where the model tells them.
    pub token_ids: Vec<u32>,
    /// Whether generation ended early, as the outcome was decided.
    pub stopped: bool,
    /// The smallest difference between the two largest logits at any new token, where the model tells it. One below rounding
    /// is a near-tie: another batch size may choose another token.
    pub margin: Option<f32>,
    /// Whether the input was shortened, as the prompt did not fit into the model's context.
    pub shortened: bool,
    /// The likelihood of each of the task's label words, by class, where the answer was scored and not generated.
    pub likelihoods: Option<Vec<LogLikelihood>>,
    /// The class read from the answer; -1 if it names none.
    pub pred: i64,
    /// Why the answer names no class, where more is known than that no label word was found; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unparsable: Option<Unparsable>,
    /// The example's class.
    pub gold: usize,
    /// Cosine of the hidden states (after the last norm, last prompt token) under this instruction and under the
    /// clean one it was made from; `None` at level `clean` and where hidden states were not asked for.
    pub cosine_to_clean: Option<f32>,
}

impl Record {
    /// Whether the answer is a thought that never ended.
    pub fn is_unfinished_thought(&self) -> bool {
        self.unparsable == Some(Unparsable::UnfinishedThought)
    }
}

/// A ledger being written. No second process can write it meanwhile.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// What the file held when it was opened.
    found: Vec<Record>,
    /// A last line without its line feed, and whether the file is still as it was found.
    tail: Option<Vec<u8>>,
}

impl Ledger {
    /// A new ledger at `path`; what the file held is gone.
    ///
    /// # Errors
    /// [`EvalError::Io`], also if another process is writing it.
    pub fn create(path: impl Into<PathBuf>) -> Result<Ledger, EvalError> {
        let mut ledger = Ledger::lock(path.into())?;
        ledger.cut(0)?;
        Ok(ledger)
    }

    /// The ledger at `path`, to go on with; a new one where there is no file.
    ///
    /// A last line that was torn off is cut away, and one that lacks but its line feed is given it, but not before
    /// [`repair`](Self::repair) or the first [`append`](Self::append).
    ///
    /// # Errors
    /// [`EvalError::Io`], also if another process is writing it; [`EvalError::Malformed`] with the line if a whole line is no
    /// record.
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

    /// Cuts away what was torn off, so that the next line begins a line.
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

    /// What the file held when it was opened.
    pub fn found(&self) -> &[Record] {
        &self.found
    }

    fn lock(path: PathBuf) -> Result<Ledger, EvalError> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(EvalError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Ledger { path, file, length: 0, found: Vec::new(), tail: None }),
            Err(std::fs::TryLockError::WouldBlock) => {
                let source = std::io::Error::other("another process is writing it");
                Err(EvalError::Io { path, source })
            }
            // A file system without locks is no reason not to evaluate.
            Err(std::fs::TryLockError::Error(_)) => Ok(Ledger { path, file, length: 0, found: Vec::new(), tail: None }),
        }
    }

    /// Leaves the first `length` bytes.
    fn cut(&mut self, length: u64) -> Result<(), EvalError> {
        let cut = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        cut.map_err(EvalError::io(&self.path))?;
        self.length = length;
        Ok(())
    }

    /// Appends `records` and waits until the system has them on disk. If it fails, none of them is there.
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
                // The first error is the one to tell.
                let _ = self.cut(self.length);
                return Err(EvalError::Io { path: self.path.clone(), source });
            }
        }
        Ok(())
    }

    /// Where the ledger is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the ledger of one run. A last line that was torn off, as a killed run leaves it, is passed over.
    ///
    /// # Errors
    /// [`EvalError::Io`] if the file cannot be read; [`EvalError::Malformed`] with the line if a line is no record or does not
    /// belong to the run of the first (another model, an answer that is there already, another class of an example), or if there
    /// is no record.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>, EvalError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(EvalError::io(path))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut records = parse(path, &bytes[..whole])?;
        records.extend(serde_json::from_slice::<Record>(&bytes[whole..]).ok());
        match records.is_empty() {
            true => Err(EvalError::Malformed {
                path: path.to_owned(),
                line: 0,
                message: "no ledger record in it".to_owned(),
            }),
            false => one_run::check(path, &records).map(|()| records),
        }
    }
}

/// The records of whole lines.
fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = lines.split(|byte| *byte == b'\n').filter(|_| !bytes.is_empty());
    let read = |(index, line)| {
        serde_json::from_slice(line).map_err(|error| EvalError::Malformed {
            path: path.to_owned(),
            line: index + 1,
            message: format!("no ledger record: {}", coin_core::json::message(&error)),
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
        assert!(Ledger::read(&path).unwrap_err().to_string().contains("ledger.jsonl:2: no ledger record"));
        assert!(Ledger::open(&path).unwrap_err().to_string().contains("ledger.jsonl:2: no ledger record"));
        let twice = serde_json::to_string(&record(0)).unwrap().replacen("\"row\":0", "\"row\":0,\"row\":1", 1);
        std::fs::write(&path, format!("{twice}\n")).unwrap();
        assert!(
            Ledger::read(&path)
                .unwrap_err()
                .to_string()
                .contains("ledger.jsonl:1: no ledger record: duplicate field `row`")
        );
        assert!(Ledger::open(&path).is_err());
        let mut other = record(1);
        other.model = "other".to_owned();
        Ledger::create(&path).unwrap().append(&[record(0), other]).unwrap();
        assert!(Ledger::read(&path).unwrap_err().to_string().contains("ledger.jsonl:2: answered by the model `other`"));
        std::fs::write(&path, "").unwrap();
        assert!(Ledger::read(&path).unwrap_err().to_string().contains("ledger.jsonl: no ledger record in it"));
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
            // Without its line feed a line is still whole.
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
        assert!(Ledger::open(&path).unwrap_err().to_string().ends_with("another process is writing it"));
        drop(first);
        assert!(Ledger::open(&path).is_ok());
    }

    #[test]
    fn keys_tell_their_parts_apart() {
        assert_eq!(answer_key("a", "b", "c").len(), 16);
        assert_ne!(answer_key("ab", "c", "d"), answer_key("a", "bc", "d"));
    }
}
