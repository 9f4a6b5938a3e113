//! The files and columns of each task.

use crate::{DataError, Task};

/// File names of a split: alternatives, each a list of files that belong together. A name without an extension matches any
/// supported extension.
pub(super) type Names = &'static [&'static [&'static str]];

/// The files and columns of a task.
pub(super) struct Form {
    /// The possible folders of the task in lower case, each with the files of its validation split.
    pub(super) folders: &'static [(&'static str, Names)],
    /// The files of the training split.
    pub(super) train: Names,
    /// Field names, each with its possible names in the header.
    pub(super) fields: &'static [(&'static str, &'static [&'static str])],
    /// Possible names of the label in the header.
    pub(super) label: &'static [&'static str],
    /// The columns of a TSV file without a header.
    pub(super) without_header: Option<&'static [&'static str]>,
}

const SENTENCE: (&str, &[&str]) = ("sentence", &["sentence"]);
const SENTENCES: &[(&str, &[&str])] = &[("sentence1", &["sentence1"]), ("sentence2", &["sentence2"])];
/// GLUE's name and the hub's.
const VALIDATION: Names = &[&["dev"], &["validation"]];
const MATCHED: Names = &[&["dev_matched"], &["validation_matched"]];
const MISMATCHED: Names = &[&["dev_mismatched"], &["validation_mismatched"]];
const BOTH: Names = &[&["dev_matched", "dev_mismatched"], &["validation_matched", "validation_mismatched"]];

impl Form {
    /// The form of a GLUE task.
    pub(super) fn of(task: &Task) -> Result<Form, DataError> {
        let form =
            |folders, fields| Form { folders, train: &[&["train"]], fields, label: &["label"], without_header: None };
        let mnli = |folders| Form {
            label: &["gold_label", "label"],
            ..form(folders, &[("premise", &["sentence1", "premise"]), ("hypothesis", &["sentence2", "hypothesis"])])
        };
        Ok(match task.name.as_str() {
            "cola" => Form {
                without_header: Some(&["source", "label", "mark", "sentence"]),
                ..form(&[("cola", &[&["dev"], &["dev_in_domain", "dev_out_of_domain"], &["validation"]])], &[SENTENCE])
            },
            "sst2" => form(&[("sst-2", VALIDATION), ("sst2", VALIDATION)], &[SENTENCE]),
            "mrpc" => Form {
                train: &[&["train"], &["msr_paraphrase_train.txt"]],
                label: &["Quality", "label"],
                ..form(
                    &[("mrpc", VALIDATION)],
                    &[("sentence1", &["#1 String", "sentence1"]), ("sentence2", &["#2 String", "sentence2"])],
                )
            },
            "qqp" => Form {
                label: &["is_duplicate", "label"],
                ..form(&[("qqp", VALIDATION)], &[("question1", &["question1"]), ("question2", &["question2"])])
            },
            "mnli" => mnli(&[("mnli", BOTH)]),
            "mnli_matched" => mnli(&[("mnli", MATCHED), ("mnli_matched", VALIDATION)]),
            "mnli_mismatched" => mnli(&[("mnli", MISMATCHED), ("mnli_mismatched", VALIDATION)]),
            "qnli" => form(&[("qnli", VALIDATION)], &[("question", &["question"]), SENTENCE]),
            "rte" => form(&[("rte", VALIDATION)], SENTENCES),
            "wnli" => form(&[("wnli", VALIDATION)], SENTENCES),
            other => return Err(DataError::Invalid(format!("task `{other}` has no GLUE file form"))),
        })
    }
}
