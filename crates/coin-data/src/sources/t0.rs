//! Reads T0's data (the Public Pool of Prompts): JSON lines of `prompt` and `completion`, one file per template.
//!
//! A file is called `DATASET_TEMPLATE.jsonl`. Usually row i is the same instance in every template of a data set, but some
//! templates omit rows. The files do not record where the name of the data set ends or which rows are aligned, so both are
//! inferred from the content, by a rule of this project: two templates belong together if they have the same number of
//! rows, and row i of one shares more words with row i of the other than with its other rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::io::lines::Lines;
use crate::{DataError, Worded};
use coin_core::json;

/// The end of a completion.
const END: &str = "<|endoftext|>";
/// Number of rows compared between two templates.
const SAMPLE: usize = 40;
/// A word in a larger share of a file's rows belongs to the template.
const TEMPLATE_WORD: f64 = 0.3;
/// Minimum number of rows to determine alignment.
const MIN_ROWS: usize = 4;

/// A data set with its instances in every template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct T0Dataset {
    /// The common prefix of its file names, such as `glue_mrpc`.
    pub name: String,
    /// The file names without extension.
    pub templates: Vec<String>,
    /// The prompts and completions of all instances, for each template.
    rows: Vec<Vec<Row>>,
}

/// A folder of T0's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct T0 {
    /// The data sets with at least two templates, in alphabetical order.
    pub datasets: Vec<T0Dataset>,
    /// The names, without extension, of files that do not belong to any of them, with the reason.
    pub left_out: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    prompt: String,
    completion: String,
}

/// A file name without extension, and the rows of the file.
type Template = (String, Vec<Row>);

impl Worded for T0Dataset {
    fn task(&self) -> &str {
        &self.name
    }

    fn wordings(&self) -> usize {
        self.templates.len()
    }

    fn instances(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    fn prompt(&self, wording: usize, instance: usize) -> Cow<'_, str> {
        Cow::Borrowed(&self.rows[wording][instance].prompt)
    }

    fn target(&self, wording: usize, instance: usize) -> &str {
        &self.rows[wording][instance].completion
    }

    /// The number of the row. It is the same in the files of all templates, so it identifies the instance.
    fn keywords(&self, instance: usize) -> BTreeMap<String, String> {
        [("row".to_owned(), format!("{}:{instance}", self.name))].into()
    }
}

/// Reads all files `*.jsonl` of the folder `dir`.
///
/// The `<|endoftext|>` at the end of completions and white space around them are removed.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Malformed`] with the line of a row with another structure; [`DataError::Empty`] for a folder
/// without such files. A file without rows is left out.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let write = |name: &str, start: &str, answer: &str| {
///     let row = |number: &str| format!("{{\"prompt\": \"{start} {number}\", \"completion\": \"{answer} {number}<|endoftext|>\"}}\n");
///     std::fs::write(folder.path().join(name), ["one", "two", "three", "four"].map(row).concat())
/// };
/// write("count_say.jsonl", "Say it:", "")?;
/// write("count_repeat.jsonl", "Repeat after me:", "")?;
/// write("other_ask.jsonl", "What is", "number")?;
/// let t0 = coin_data::t0::read(folder.path())?;
/// assert_eq!((t0.datasets[0].name.as_str(), t0.datasets[0].templates.len()), ("count", 2));
/// assert_eq!(t0.left_out, [("other_ask".to_owned(), "no other template of its data set".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(dir: impl AsRef<Path>) -> Result<T0, DataError> {
    let dir = dir.as_ref();
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(DataError::io(dir))? {
        let path = entry.map_err(DataError::io(dir))?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            files.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path));
        }
    }
    if files.is_empty() {
        return Err(DataError::Empty { path: dir.to_owned(), what: "file *.jsonl" });
    }
    files.sort();
    let mut templates = Vec::with_capacity(files.len());
    for (name, path) in files {
        templates.push((name, rows(&path)?));
    }
    Ok(group(templates))
}

fn rows(path: &Path) -> Result<Vec<Row>, DataError> {
    let mut lines = Lines::open(path)?;
    let mut rows = Vec::new();
    while let Some(line) = lines.next_line()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut row: Row = json::from_slice(line).map_err(|error| DataError::Malformed {
            path: path.to_owned(),
            line: lines.line(),
            message: format!("not a prompt with its completion: {}", json::message(&error)),
        })?;
        let completion = row.completion.trim();
        row.completion = completion.strip_suffix(END).unwrap_or(completion).trim().to_owned();
        rows.push(row);
    }
    Ok(rows)
}

/// Groups the templates whose rows are the same instances.
fn group(templates: Vec<Template>) -> T0 {
    let words: Vec<Vec<BTreeSet<u32>>> = content_words(&templates);
    // Each template points to an earlier one of its group, and the first to itself.
    let mut first: Vec<usize> = (0..templates.len()).collect();
    for at in 0..templates.len() {
        for earlier in 0..at {
            let (one, other) = (&templates[earlier], &templates[at]);
            if first[earlier] != first[at]
                && one.1.len() == other.1.len()
                && !shared_words(&one.0, &other.0).is_empty()
                && aligned(&words[earlier], &words[at])
            {
                let (from, to) = (first[at].max(first[earlier]), first[at].min(first[earlier]));
                first.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<Template>> = BTreeMap::new();
    for (template, group) in templates.into_iter().zip(first) {
        groups.entry(group).or_default().push(template);
    }

    // The larger groups own the names. A smaller group with the name of another lacks rows or has other rows.
    let mut groups: Vec<(String, Vec<Template>)> = groups
        .into_values()
        .map(|group| {
            let name = group.iter().skip(1).fold(group[0].0.clone(), |name, (other, _)| shared_words(&name, other));
            (name, group)
        })
        .collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse((group.len() > 1, group[0].1.len(), group.len())));
    let mut t0 = T0 { datasets: Vec::new(), left_out: Vec::new() };
    for (name, group) in groups {
        let rows = group[0].1.len();
        let owner = t0.datasets.iter().find(|dataset| shared_words(&dataset.name, &name) == dataset.name);
        let reason = match owner {
            _ if rows < MIN_ROWS => format!("{rows} rows, too few to identify the data set"),
            Some(owner) if owner.instances() != rows => {
                format!("{rows} rows, where the other templates of `{}` have {}", owner.name, owner.instances())
            }
            Some(owner) => format!("its rows are not those of the other templates of `{}`", owner.name),
            None if group.len() == 1 => "no other template of its data set".to_owned(),
            None => {
                let (templates, rows) = group.into_iter().unzip();
                t0.datasets.push(T0Dataset { name, templates, rows });
                continue;
            }
        };
        t0.left_out.extend(group.into_iter().map(|(template, _)| (template, reason.clone())));
    }
    t0.datasets.sort_by(|one, other| one.name.cmp(&other.name));
    t0.left_out.sort();
    t0
}

/// The common prefix of both names, in whole words separated by `_`.
fn shared_words(one: &str, other: &str) -> String {
    let pairs = one.split('_').zip(other.split('_'));
    pairs.take_while(|(one, other)| one == other).map(|(word, _)| word).collect::<Vec<_>>().join("_")
}

/// The words of each row as numbers, without those of the template.
fn content_words(templates: &[Template]) -> Vec<Vec<BTreeSet<u32>>> {
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut of_template = |rows: &[Row]| {
        let mut words: Vec<BTreeSet<u32>> = Vec::with_capacity(rows.len());
        for row in rows {
            let texts = [&row.prompt, &row.completion];
            let split = texts.into_iter().flat_map(|text| text.split(|next: char| !next.is_alphanumeric()));
            let number = |word: &str| {
                let next = numbers.len() as u32;
                *numbers.entry(word.to_lowercase()).or_insert(next)
            };
            words.push(split.filter(|word| !word.is_empty()).map(number).collect());
        }
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for word in words.iter().flatten() {
            *counts.entry(*word).or_default() += 1;
        }
        let most = TEMPLATE_WORD * rows.len() as f64;
        words.iter_mut().for_each(|row| row.retain(|word| counts[word] as f64 <= most));
        words
    };
    templates.iter().map(|(_, rows)| of_template(rows)).collect()
}

/// True if most rows of `one` share more words with the same row of `other` than with three other rows of it.
///
/// For unrelated templates this holds for a quarter of the rows by chance, so the threshold is one half. If adjacent rows share a
/// passage and the template shows nothing else, a row is as similar to its neighbor as to itself, and the template is left
/// out. This affects three of the 283 templates in T0's training sample, all titles of passages. Counting ties as matches
/// would join data sets that are based on the same passages.
fn aligned(one: &[BTreeSet<u32>], other: &[BTreeSet<u32>]) -> bool {
    let rows = one.len();
    if rows < MIN_ROWS {
        return false;
    }
    let overlap = |at: usize, with: usize| {
        let (one, other) = (&one[at], &other[with % rows]);
        one.intersection(other).count() as f64 / one.len().min(other.len()).max(1) as f64
    };
    let sample = rows.min(SAMPLE);
    let hits = (0..sample).filter(|part| {
        let at = part * rows / sample;
        [1, rows / 3 + 1, rows / 2 + 1].iter().all(|shift| overlap(at, at) > overlap(at, at + shift))
    });
    2 * hits.count() >= sample
}
