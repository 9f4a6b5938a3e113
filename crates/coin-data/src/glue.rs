//! Readers of the ten GLUE tasks in GLUE's own TSV form.
//!
//! A folder holds `CoLA`, `SST-2`, `MRPC`, `QQP`, `MNLI`, `QNLI`, `RTE` and `WNLI`, in any case, each with
//! `train.tsv` and `dev.tsv`. MNLI has `dev_matched.tsv` and `dev_mismatched.tsv`; the task `mnli` is one after the
//! other. CoLA may come with its two raw development files, `dev_in_domain.tsv` and `dev_out_of_domain.tsv`, which
//! are read in this order where there is no `dev.tsv`.
//!
//! The header names the columns; CoLA has none and four columns (source, label, original mark, sentence). A label is
//! GLUE's class number or the class's word. Files with and without CSV quoting are both read.

mod tsv;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file::read_to_string;
use crate::{DataError, Instance, Task};

/// The part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The training rows.
    Train,
    /// The development rows, on which the paper evaluates.
    Validation,
}

/// Reads a split of the GLUE task called `task` from the GLUE folder `dir`.
///
/// [`Instance::row`] counts the data rows from 0, on through both files where there are two; labels are GLUE's class
/// numbers. Text is kept as it is in the file, such as the space at the end of SST-2's sentences.
///
/// # Errors
/// - [`DataError::UnknownTask`] for a name that is none of the ten;
/// - [`DataError::Io`] if `dir` cannot be listed or a file not be read;
/// - [`DataError::NotFound`], which lists the files looked for;
/// - [`DataError::Malformed`] with file, line and column for a missing column or an unknown label;
/// - [`DataError::Empty`] for a file without data rows.
///
/// ```
/// use coin_data::glue::{self, Split};
/// let dir = tempfile::tempdir()?;
/// std::fs::create_dir(dir.path().join("RTE"))?;
/// let text = "index\tsentence1\tsentence2\tlabel\n0\tA cat slept all day.\tA cat slept.\tentailment\n";
/// std::fs::write(dir.path().join("RTE/train.tsv"), text)?;
/// let rows = glue::read(dir.path(), "rte", Split::Train)?;
/// assert_eq!((rows[0].fields["sentence2"].as_str(), rows[0].label), ("A cat slept.", 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(dir: impl AsRef<Path>, task: &str, split: Split) -> Result<Vec<Instance>, DataError> {
    let task = Task::named(task)?;
    let form = Form::of(&task)?;
    let mut instances = Vec::new();
    for path in form.find(dir.as_ref(), &task, split)? {
        form.read_file(&path, &task, &mut instances)?;
    }
    Ok(instances)
}

/// Where a task's rows lie and how they are written.
struct Form {
    /// The folder's name in lower case.
    folder: &'static str,
    /// The files of the validation split: alternatives, each a list of files that belong together.
    validation: &'static [&'static [&'static str]],
    /// Field names and the header names under which each is found.
    fields: &'static [(&'static str, &'static [&'static str])],
    /// Header names of the label.
    label: &'static [&'static str],
    /// The columns of a file without a header.
    without_header: Option<&'static [&'static str]>,
}

const SENTENCE: (&str, &[&str]) = ("sentence", &["sentence"]);
const SENTENCES: &[(&str, &[&str])] = &[("sentence1", &["sentence1"]), ("sentence2", &["sentence2"])];

impl Form {
    fn of(task: &Task) -> Result<Form, DataError> {
        let form = |folder, fields| Form {
            folder,
            validation: &[&["dev.tsv"]],
            fields,
            label: &["label"],
            without_header: None,
        };
        let mnli = |validation| Form {
            validation,
            label: &["gold_label", "label"],
            ..form("mnli", &[("premise", &["sentence1", "premise"]), ("hypothesis", &["sentence2", "hypothesis"])])
        };
        Ok(match task.name.as_str() {
            "cola" => Form {
                validation: &[&["dev.tsv"], &["dev_in_domain.tsv", "dev_out_of_domain.tsv"]],
                without_header: Some(&["source", "label", "mark", "sentence"]),
                ..form("cola", &[SENTENCE])
            },
            "sst2" => form("sst-2", &[SENTENCE]),
            "mrpc" => Form {
                label: &["Quality", "label"],
                ..form(
                    "mrpc",
                    &[("sentence1", &["#1 String", "sentence1"]), ("sentence2", &["#2 String", "sentence2"])],
                )
            },
            "qqp" => Form {
                label: &["is_duplicate", "label"],
                ..form("qqp", &[("question1", &["question1"]), ("question2", &["question2"])])
            },
            "mnli" => mnli(&[&["dev_matched.tsv", "dev_mismatched.tsv"]]),
            "mnli_matched" => mnli(&[&["dev_matched.tsv"]]),
            "mnli_mismatched" => mnli(&[&["dev_mismatched.tsv"]]),
            "qnli" => form("qnli", &[("question", &["question"]), SENTENCE]),
            "rte" => form("rte", SENTENCES),
            "wnli" => form("wnli", SENTENCES),
            other => return Err(DataError::Invalid(format!("task `{other}` has no GLUE file form"))),
        })
    }

    /// The files of `split`, in the order in which they are read.
    fn find(&self, dir: &Path, task: &Task, split: Split) -> Result<Vec<PathBuf>, DataError> {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(DataError::io(dir))? {
            let entry = entry.map_err(DataError::io(dir))?;
            let same = entry.file_name().to_str().is_some_and(|name| name.eq_ignore_ascii_case(self.folder));
            if same && entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
        // Where a file system holds the name in several cases, upper case comes first.
        folders.sort();
        if folders.is_empty() {
            folders.push(dir.join(match self.folder {
                "cola" => "CoLA".to_owned(),
                name => name.to_uppercase(),
            }));
        }
        let alternatives: &[&[&str]] = match split {
            Split::Train => &[&["train.tsv"]],
            Split::Validation => self.validation,
        };
        let mut looked_for = Vec::new();
        for folder in &folders {
            for files in alternatives {
                let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
                if paths.iter().all(|path| path.is_file()) {
                    return Ok(paths);
                }
                looked_for.push(paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" with "));
            }
        }
        Err(DataError::NotFound { task: task.name.clone(), looked_for: looked_for.join(", or ") })
    }

    /// Appends the rows of the file `path` to `instances`.
    fn read_file(&self, path: &Path, task: &Task, instances: &mut Vec<Instance>) -> Result<(), DataError> {
        let text = read_to_string(path)?;
        let malformed = |line: usize, message: String| DataError::Malformed { path: path.to_owned(), line, message };
        let mut rows = tsv::rows(&text).into_iter().peekable();
        let Some(first) = rows.peek() else {
            return Err(DataError::Empty { path: path.to_owned(), what: "row" });
        };
        let has_header = column(&first.fields, self.label).is_some();
        let header: Vec<String> = match self.without_header {
            Some(columns) if !has_header => columns.iter().map(|&name| name.to_owned()).collect(),
            _ => rows.next().map(|row| row.fields).unwrap_or_default(),
        };
        let locate = |names: &[&str]| {
            column(&header, names).ok_or_else(|| {
                let wanted = names.join("` or `");
                malformed(1, format!("the header has no column `{wanted}`, only: {}", header.join(", ")))
            })
        };
        let fields = self.fields.iter().map(|(name, names)| Ok((*name, locate(names)?)));
        let fields = fields.collect::<Result<Vec<_>, DataError>>()?;
        let label = locate(self.label)?;

        let before = instances.len();
        for row in rows {
            if row.fields.len() < header.len() {
                let missing = &header[row.fields.len()];
                let found = row.fields.len();
                let message = format!("the column `{missing}` is missing: {found} columns, expected {}", header.len());
                return Err(malformed(row.line, message));
            }
            if row.fields.len() > header.len() {
                let message = format!("{} columns, expected {}: {}", row.fields.len(), header.len(), header.join(", "));
                return Err(malformed(row.line, message));
            }
            let class = class_of(task, &row.fields[label]).ok_or_else(|| {
                let words = task.labels.join(", ");
                let (found, last) = (&row.fields[label], task.labels.len() - 1);
                let message = format!(
                    "unknown label `{found}` in the column `{}`, expected 0 to {last} or: {words}",
                    header[label]
                );
                malformed(row.line, message)
            })?;
            let values: BTreeMap<String, String> =
                fields.iter().map(|&(name, at)| (name.to_owned(), row.fields[at].clone())).collect();
            instances.push(Instance { task: task.name.clone(), row: instances.len(), fields: values, label: class });
        }
        if instances.len() == before {
            return Err(DataError::Empty { path: path.to_owned(), what: "row" });
        }
        Ok(())
    }
}

/// The column with the first of `names` that is in `header`.
fn column(header: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|column| column == name))
}

/// The class that `text` stands for: a class number or a class's word.
fn class_of(task: &Task, text: &str) -> Option<usize> {
    let text = text.trim();
    let class = text.parse().ok().or_else(|| task.labels.iter().position(|word| word == text))?;
    (class < task.labels.len()).then_some(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textual_labels_get_the_class_numbers_of_glue() {
        let class = |task: &str, text: &str| class_of(&Task::named(task).unwrap(), text);
        assert_eq!(class("rte", "entailment"), Some(0));
        assert_eq!(class("qnli", "not_entailment"), Some(1));
        assert_eq!(class("wnli", "entailment"), Some(1));
        assert_eq!(class("mnli", "contradiction"), Some(2));
        assert_eq!(class("mrpc", "1"), Some(1));
        assert_eq!(class("mnli", "-"), None);
        assert_eq!(class("sst2", "2"), None);
        assert_eq!(class("sst2", "-1"), None);
    }
}
