//! Readers of the ten GLUE tasks: GLUE's own TSV files, the same columns as CSV or JSON lines, and the hub's Parquet.
//!
//! A folder holds `CoLA`, `SST-2` (or `sst2`), `MRPC`, `QQP`, `MNLI`, `QNLI`, `RTE` and `WNLI`, in any case, each with
//! `train` and `dev` (or the hub's `validation`). MNLI has `dev_matched` and `dev_mismatched` (or `validation_..`); the
//! task `mnli` is one after the other, and `mnli_matched` may have a folder of its own, as on the hub. CoLA may come with
//! its two raw development files, `dev_in_domain` and `dev_out_of_domain`, which are read in this order where there is
//! no `dev`; MRPC's training rows may be `msr_paraphrase_train.txt`.
//!
//! Each is looked for with the endings `.tsv`, `.csv`, `.jsonl` and `.parquet`, in this order. Parquet needs the feature
//! `parquet` and may lie in parts, `train-00000-of-00002.parquet` and so on.
//!
//! The header names the columns, by GLUE's names or the hub's; CoLA's TSV has none and four columns (source, label,
//! original mark, sentence). A label is the class number or the class's word. TSV files with and without CSV quoting
//! are both read.

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
/// - [`DataError::Malformed`] with file, line and column for a missing column or an unknown label, with the row in place
///   of the line for Parquet;
/// - [`DataError::Invalid`] for Parquet parts of which some are absent;
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

/// Whether the file `name`, with its folders separated by `/`, may hold rows of one of `tasks` in `split`: which files of a
/// data set on the hub are needed. Tasks that are none of the ten have no files.
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

/// As [`read`] under `options`, with what was left out. Rows that are left out are counted by [`Instance::row`] too.
///
/// # Errors
/// As [`read`]; with `skip_bad` those of a whole file only.
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
