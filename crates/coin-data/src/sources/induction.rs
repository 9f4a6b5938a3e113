//! Reads instruction induction (Honovich et al. 2022): small tasks with instructions by several people and input/output
//! examples.
//!
//! A folder contains `annotations/TASK.json` (`{"annotations": [instruction, ..]}`) and `raw/induce/TASK.json` and
//! `raw/execute/TASK.json` (`{"examples": {"1": {"input": .., "output": ..}, ..}}`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::sources::instructions::{Example, InstructionTask};
use coin_core::file::read_to_string;
use coin_core::json;
use coin_core::quote::cut;
use coin_core::stream;

use crate::DataError;

/// A part of the examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The examples from which an instruction is induced; most of them.
    Induce,
    /// The examples on which an induced instruction is tested.
    Execute,
}

#[derive(Deserialize)]
struct Annotations {
    annotations: Vec<String>,
}

#[derive(Deserialize)]
struct Examples {
    examples: BTreeMap<String, Raw>,
}

/// An example in one of its three forms.
#[derive(Deserialize)]
struct Raw {
    input: Option<String>,
    output: Option<String>,
    cause: Option<String>,
    effect: Option<String>,
    items: Option<Vec<String>>,
    concept: Option<String>,
}

impl Raw {
    fn example(self) -> Option<Example> {
        match self {
            Raw { input: Some(input), output: Some(output), .. } => Some(Example { input, output }),
            Raw { cause: Some(cause), effect: Some(effect), .. } => {
                // The position must not reveal the answer.
                let first = stream::keyed(0, &["cause first", &cause, &effect]).random();
                let (one, other) = if first { (&cause, &effect) } else { (&effect, &cause) };
                Some(Example { input: format!("Sentence 1: {one} Sentence 2: {other}"), output: cause })
            }
            Raw { items: Some(items), concept: Some(concept), .. } => {
                Some(Example { input: items.join(", "), output: concept })
            }
            _ => None,
        }
    }
}

/// Reads the tasks of the folder `dir` in alphabetical order, with the examples of `part` in the order of their numbers.
///
/// An example with `cause` and `effect` becomes the two sentences in a random order keyed by its text, with the cause as
/// answer. An example with `items` and `concept` becomes the list of items, with the concept as answer. Repeated
/// instructions of a task are dropped.
///
/// # Errors
/// [`DataError::Io`], also for a task without a file of examples; [`DataError::Malformed`] with the line, or the name of the
/// example, for another structure; [`DataError::Empty`] for an empty folder, list of instructions or list of examples.
pub fn read(dir: impl AsRef<Path>, part: Part) -> Result<Vec<InstructionTask>, DataError> {
    let dir = dir.as_ref();
    let annotations = dir.join("annotations");
    let examples = dir.join("raw").join(match part {
        Part::Induce => "induce",
        Part::Execute => "execute",
    });
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(&annotations).map_err(DataError::io(&annotations))? {
        let path = entry.map_err(DataError::io(&annotations))?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            files.extend(path.file_name().map(ToOwned::to_owned));
        }
    }
    let task = |file| {
        let (wordings, examples) = (wordings(&annotations.join(&file))?, self::examples(&examples.join(&file))?);
        let name = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(InstructionTask { name, wordings, examples })
    };
    let tasks = files.into_iter().map(task).collect::<Result<Vec<_>, DataError>>()?;
    if tasks.is_empty() { Err(DataError::Empty { path: annotations, what: "task" }) } else { Ok(tasks) }
}

fn wordings(path: &Path) -> Result<Vec<String>, DataError> {
    let Annotations { annotations } = parsed(path)?;
    let mut seen = BTreeSet::new();
    let wordings: Vec<String> =
        annotations.into_iter().filter(|wording| seen.insert(wording.trim().to_owned())).collect();
    if wordings.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), what: "instruction" });
    }
    Ok(wordings)
}

fn examples(path: &Path) -> Result<Vec<Example>, DataError> {
    let Examples { examples } = parsed(path)?;
    let mut examples: Vec<(String, Raw)> = examples.into_iter().collect();
    // Names are numbers in quotes.
    examples.sort_by_cached_key(|(name, _)| name.parse::<u64>().ok());
    let example = |(name, raw): (String, Raw)| {
        raw.example().ok_or_else(|| {
            let message =
                format!("example `{}`: expected input and output, cause and effect, or items and concept", cut(&name));
            DataError::Malformed { path: path.to_owned(), line: 0, message }
        })
    };
    let examples = examples.into_iter().map(example).collect::<Result<Vec<_>, _>>()?;
    if examples.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), what: "example" });
    }
    Ok(examples)
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    json::from_str(&read_to_string(path)?).map_err(|error| DataError::Malformed {
        path: path.to_owned(),
        line: error.line(),
        message: json::message(&error),
    })
}
