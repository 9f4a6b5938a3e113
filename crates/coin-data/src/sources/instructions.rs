//! Reads instruction data: Alpaca's list of `instruction`, `input` and `output`, and self-instruct's seed tasks and
//! user-oriented instructions (`instruction` and `instances`).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::io::lines::Lines;
use crate::{DataError, Worded};
use coin_core::file::read_to_string;
use coin_core::json;

/// An input and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The input; empty if the instruction does not need one.
    #[serde(default)]
    pub input: String,
    /// The answer.
    pub output: String,
}

/// A task described by an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionTask {
    /// The name of the task.
    pub name: String,
    /// One or more wordings of the instruction.
    pub wordings: Vec<String>,
    /// The instances of the task.
    pub examples: Vec<Example>,
}

impl Worded for InstructionTask {
    fn task(&self) -> &str {
        &self.name
    }

    fn wordings(&self) -> usize {
        self.wordings.len()
    }

    fn instances(&self) -> usize {
        self.examples.len()
    }

    /// The instruction, followed by an empty line and the input if there is one. This format is this project's.
    fn prompt(&self, wording: usize, instance: usize) -> Cow<'_, str> {
        let (instruction, input) = (self.wordings[wording].trim(), self.examples[instance].input.trim());
        if input.is_empty() { Cow::Borrowed(instruction) } else { Cow::Owned(format!("{instruction}\n\n{input}")) }
    }

    fn target(&self, _: usize, instance: usize) -> &str {
        self.examples[instance].output.trim()
    }

    fn keywords(&self, instance: usize) -> BTreeMap<String, String> {
        let example = &self.examples[instance];
        let pair = |name: &str, text: &str| (name.to_owned(), text.trim().to_owned());
        [pair("input", &example.input), pair("answer", &example.output)].into()
    }
}

/// An entry of a file.
#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    id: Option<String>,
    instruction: String,
    #[serde(default)]
    input: String,
    output: Option<String>,
    instances: Option<Vec<Example>>,
}

/// Reads instruction data: a JSON list of entries, or one entry per line in files `.jsonl` and `.ndjson`.
///
/// An entry has an `instruction` and either an `output` with an optional `input`, or a list `instances` of these. Entries
/// with the same instruction become one task, in file order. The name of a task is the `name` of its first entry, otherwise
/// its `id`, otherwise `instruction-N` with the number of the entry, counted from 0.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Malformed`] with the line of an entry with another structure; [`DataError::Empty`].
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("alpaca.json");
/// let text = r#"[{"instruction": "Double it.", "input": "2", "output": "4"},
///                {"instruction": "Double it.", "input": "3", "output": "6"}]"#;
/// std::fs::write(&path, text)?;
/// let tasks = coin_data::instructions::read(&path)?;
/// assert_eq!((tasks.len(), tasks[0].examples[1].output.as_str()), (1, "6"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<Vec<InstructionTask>, DataError> {
    let path = path.as_ref();
    let malformed = |line: usize, message: String| DataError::Malformed { path: path.to_owned(), line, message };
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let mut entries: Vec<(usize, Entry)> = Vec::new();
    if matches!(ending, "jsonl" | "ndjson") {
        let mut lines = Lines::open(path)?;
        while let Some(line) = lines.next_line()? {
            if !line.trim_ascii().is_empty() {
                let entry = json::from_slice(line);
                let number = lines.line();
                entries.push((
                    number,
                    entry
                        .map_err(|error| malformed(number, format!("not an instruction: {}", json::message(&error))))?,
                ));
            }
        }
    } else {
        let text = read_to_string(path)?;
        if !text.trim().is_empty() {
            let list: Vec<Entry> = json::from_str(&text).map_err(|error| {
                malformed(error.line(), format!("not a list of instructions: {}", json::message(&error)))
            })?;
            entries.extend(list.into_iter().map(|entry| (0, entry)));
        }
    }

    let mut tasks: Vec<InstructionTask> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, (line, entry)) in entries.into_iter().enumerate() {
        let examples = match (entry.instances, entry.output) {
            (Some(instances), None) => instances,
            (None, Some(output)) => vec![Example { input: entry.input, output }],
            (found, _) => {
                let found = if found.is_some() { "both" } else { "neither" };
                return Err(malformed(line, format!("entry {at}: expected `output` or `instances`, found {found}")));
            }
        };
        let place = *places.entry(entry.instruction).or_insert_with_key(|instruction| {
            let name = entry.name.or(entry.id).unwrap_or_else(|| format!("instruction-{at}"));
            tasks.push(InstructionTask { name, wordings: vec![instruction.clone()], examples: Vec::new() });
            tasks.len() - 1
        });
        tasks[place].examples.extend(examples);
    }
    if tasks.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), what: "instruction" });
    }
    Ok(tasks)
}
