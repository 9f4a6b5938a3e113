//! Where the rows of each task lie and what their columns are called.

use crate::{DataError, Task};

/// Names of files of one split: alternatives, each a list of files that belong together. A name without an ending
/// stands for that name with any of the endings that are read.
pub(super) type Names = &'static [&'static [&'static str]];

/// Where a task's rows lie and how they are written.
pub(super) struct Form {
    /// The folders in which the task may lie, in lower case, each with the files of its validation split.
    pub(super) folders: &'static [(&'static str, Names)],
    /// The files of the training split.
    pub(super) train: Names,
    /// Field names and the header names under which each is found.
    pub(super) fields: &'static [(&'static str, &'static [&'static str])],
    /// Header names of the label.
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
    /// The form of a task of GLUE.
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
