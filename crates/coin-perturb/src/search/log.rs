//! The log of a search: every text considered and what came of it.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// Where the records of a search go.
pub type Log<'a> = dyn FnMut(&SearchRecord) -> io::Result<()> + 'a;

/// What a text was scored for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The instruction itself.
    Clean,
    /// To rank a word: the text has it masked or deleted.
    Ranking,
    /// As the perturbed text.
    Candidate,
}

/// One text that a search considered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// The attack's short name.
    pub attack: String,
    /// The task.
    pub task: String,
    /// Position in the task's list of instructions, from 0.
    pub index: usize,
    /// What the text was scored for.
    pub step: Step,
    /// The word that was replaced; absent where the whole instruction was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<String>,
    /// What took the word's place; empty where it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// The text that was scored.
    pub candidate: String,
    /// Its score.
    pub score: f64,
    /// Whether the search kept the text.
    pub accepted: bool,
    /// Whether the score was known already, so that the scorer was not asked.
    pub cached: bool,
}

/// A log that writes a line of JSON per record. Flushing is the caller's: give it `&mut writer` and flush that afterwards.
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

/// A log that keeps nothing.
pub fn no_log() -> impl FnMut(&SearchRecord) -> io::Result<()> {
    |_| Ok(())
}
