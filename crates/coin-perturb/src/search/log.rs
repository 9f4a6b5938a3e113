//! The log of a search: every text with its score.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// Receives the records of a search.
pub type Log<'a> = dyn FnMut(&SearchRecord) -> io::Result<()> + 'a;

/// The purpose of scoring a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The instruction itself.
    Clean,
    /// Ranking of a word, which is masked or deleted in the text.
    Ranking,
    /// A candidate for the perturbed text.
    Candidate,
}

/// One text of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// The attack's short name.
    pub attack: String,
    /// The task.
    pub task: String,
    /// Position in the task's list of instructions, from 0.
    pub index: usize,
    /// The purpose of scoring the text.
    pub step: Step,
    /// The replaced word; absent if the whole instruction was rewritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// The replacement; empty if the word was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// The text that was scored.
    pub candidate: String,
    /// Its score.
    pub score: f64,
    /// True if the search kept the text.
    pub accepted: bool,
    /// True if the score was already known and the scorer was not called.
    pub cached: bool,
}

/// A log that writes one line of JSON per record. It does not flush: pass `&mut writer` and flush the writer afterwards.
///
/// ```
/// use coin_perturb::search::{SearchRecord, Step, json_lines};
/// let mut lines = Vec::new();
/// json_lines(&mut lines)(&SearchRecord {
///     attack: "checklist".to_owned(),
///     task: "cola".to_owned(),
///     index: 0,
///     step: Step::Clean,
///     word: None,
///     replacement: None,
///     candidate: "Is it so?".to_owned(),
///     score: 0.5,
///     accepted: false,
///     cached: false,
/// })?;
/// let expected = r#"{"attack":"checklist","task":"cola","index":0,"step":"clean","candidate":"Is it so?","#;
/// assert!(String::from_utf8_lossy(&lines).starts_with(expected));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn json_lines<W: Write>(mut writer: W) -> impl FnMut(&SearchRecord) -> io::Result<()> {
    move |record| {
        serde_json::to_writer(&mut writer, record)?;
        writer.write_all(b"\n")
    }
}

/// A log that drops all records.
pub fn no_log() -> impl FnMut(&SearchRecord) -> io::Result<()> {
    |_| Ok(())
}
