//! Reads the ten GLUE tasks: GLUE's TSV files, CSV or JSON lines with the same columns, and the hub's Parquet files.
//!
//! A folder contains `CoLA`, `SST-2` (or `sst2`), `MRPC`, `QQP`, `MNLI`, `QNLI`, `RTE` and `WNLI` in upper or lower case, each
//! with `train` and `dev` (or the hub's `validation`). MNLI has `dev_matched` and `dev_mismatched` (or `validation_..`). The
//! task `mnli` is both, in this order, and `mnli_matched` may be in a separate folder, as on the hub. CoLA may have its two
//! raw development files instead of `dev`: `dev_in_domain` and `dev_out_of_domain`, read in this order. MRPC's training rows
//! may be `msr_paraphrase_train.txt`.
//!
//! The extensions `.tsv`, `.csv`, `.jsonl` and `.parquet` are tried in this order. Parquet needs the feature `parquet` and may
//! be split into parts: `train-00000-of-00002.parquet` and so on.
//!
//! The header contains GLUE's or the hub's column names. CoLA's TSV has four columns (source, label, original mark,
//! sentence) and lacks a header. A label is the number or the word of a class. TSV files may have CSV quoting.

mod adversarial;
mod find;
mod form;

use std::path::Path;

pub use adversarial::read_adversarial;
use find::find;
use form::Form;
use serde::{Deserialize, Serialize};

use crate::sources::labelled_rows::{Classes, Columns, labelled_rows};
use crate::{DataError, Instance, ReadOptions, ReadReport, Task};

/// A split of a data set.
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
/// [`Instance::row`] counts the data rows from 0, across both files if there are two. Labels are GLUE's class numbers. Text is
/// not changed; for example, SST-2's sentences end in a space.
///
/// # Errors
/// - [`DataError::UnknownTask`] for any other task;
/// - [`DataError::Io`] if `dir` cannot be listed or a file cannot be read;
/// - [`DataError::NotFound`], which lists the files looked for;
/// - [`DataError::Malformed`] with file, line (row for Parquet) and column for a missing column or an unknown label;
/// - [`DataError::Invalid`] if some Parquet parts are missing;
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
    read_with(dir, task, split, &ReadOptions::default()).map(|(instances, _)| instances)
}

/// True if the file `name`, with folders separated by `/`, may contain rows of one of `tasks` in `split`. Use it to select the
/// files of a data set on the hub. Other tasks than the ten do not have files.
///
/// ```
/// use coin_data::glue::{Split, is_file_of};
/// let tasks = ["cola".to_owned(), "mnli".to_owned()];
/// assert!(is_file_of("cola/train-00000-of-00001.parquet", &tasks, Split::Train));
/// assert!(is_file_of("data/MNLI/dev_matched.tsv", &tasks, Split::Validation));
/// assert!(!is_file_of("cola/test-00000-of-00001.parquet", &tasks, Split::Train));
/// assert!(!is_file_of("rte/train.tsv", &tasks, Split::Train) && !is_file_of("README.md", &tasks, Split::Train));
/// ```
pub fn is_file_of(name: &str, tasks: &[String], split: Split) -> bool {
    let forms = tasks.iter().filter_map(|task| Form::of(&Task::named(task).ok()?).ok());
    forms.into_iter().any(|form| find::is_file_of(&form, name, split))
}

/// Like [`read`], under `options` and with a report of the rows left out. [`Instance::row`] counts these rows too.
///
/// # Errors
/// As [`read`]; with `skip_bad`, only errors that concern a whole file.
pub fn read_with(
    dir: impl AsRef<Path>,
    task: &str,
    split: Split,
    options: &ReadOptions,
) -> Result<(Vec<Instance>, ReadReport), DataError> {
    let task = Task::named(task)?;
    let form = Form::of(&task)?;
    let (mut instances, mut report) = (Vec::new(), ReadReport::default());
    for path in find(&form, dir.as_ref(), &task, split)? {
        read_file(&form, &path, &task, options, &mut instances, &mut report)?;
    }
    Ok((instances, report))
}

/// Appends the rows of the file `path` to `instances`.
fn read_file(
    form: &Form,
    path: &Path,
    task: &Task,
    options: &ReadOptions,
    instances: &mut Vec<Instance>,
    report: &mut ReadReport,
) -> Result<(), DataError> {
    let columns = Columns {
        label: form.label.to_vec(),
        fields: form.fields.iter().map(|(field, names)| (*field, names.to_vec())).collect(),
        without_header: form.without_header,
    };
    let (last, words) = (task.labels.len() - 1, task.labels.join(", "));
    let classes = Classes { of: &|text| class_of(task, text), expected: format!("0 to {last} or: {words}") };
    labelled_rows(path, &task.name, &columns, &classes, options, instances, report)
}

/// Returns the class with the number or word `text`.
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
