//! Custom tasks: a TOML file with the definition and the paths of the examples.
//!
//! The file has the keys of [`Task`] and a table `[data]` ([`TaskData`]). `docs/formats.md` has an example.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sources::glue::Split;
use crate::sources::labelled_rows::{Classes, Columns, labelled_rows};
use crate::{DataError, Instance, LabelWord, Metric, ReadOptions, ReadReport, Task};
use coin_core::file::read_to_string;
use coin_core::quote::cut;

/// The files of a task's examples and the names of their columns. Paths are relative to the task file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskData {
    /// The examples to evaluate: `.tsv`, `.csv`, `.jsonl`, or `.parquet` with the feature `parquet`.
    pub validation: PathBuf,
    /// The examples that demonstrations are drawn from.
    #[serde(default)]
    pub train: Option<PathBuf>,
    /// The label column.
    pub label: String,
    /// The content of the label column for each class, in order. Default class numbers or label words.
    #[serde(default)]
    pub values: Option<Vec<String>>,
    /// Columns whose names differ from their fields, by field.
    #[serde(default)]
    pub columns: std::collections::BTreeMap<String, String>,
}

/// A task with the files of its examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFile {
    /// The task.
    pub task: Task,
    /// The examples.
    pub data: TaskData,
    /// The path of the task file.
    pub path: PathBuf,
}

/// The content of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    name: String,
    group: String,
    instructions: Option<String>,
    content: String,
    labels: Vec<String>,
    verbalizer: Option<Vec<LabelWord>>,
    #[serde(default = "crate::task::accuracy_alone")]
    metrics: Vec<Metric>,
    data: TaskData,
}

impl TaskFile {
    /// Reads `path` and checks the definition with [`Task::check`]. It does not read the examples.
    ///
    /// By default, `instructions` is the name of the task, and the verbalizer consists of the label words in lower case.
    ///
    /// # Errors
    /// [`DataError::Io`]; [`DataError::Malformed`] with the line, or with the error in the definition.
    pub fn read(path: impl AsRef<Path>) -> Result<TaskFile, DataError> {
        let path = path.as_ref();
        let text = read_to_string(path)?;
        let malformed = |line, message| DataError::Malformed { path: path.to_owned(), line, message };
        let Written { version, name, group, instructions, content, labels, verbalizer, metrics, data } =
            toml::from_str(&text).map_err(|error: toml::de::Error| {
                let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
                malformed(line, cut(error.message()).into_owned())
            })?;
        let words = || labels.iter().enumerate().map(|(class, word)| LabelWord { word: word.to_lowercase(), class });
        let verbalizer = verbalizer.unwrap_or_else(|| words().collect());
        let instructions = instructions.unwrap_or_else(|| name.clone());
        let task = Task { version, name, group, instructions, content, labels, verbalizer, metrics };
        task.check().map_err(|error| malformed(0, error.to_string()))?;
        let (classes, named) = (task.labels.len(), data.values.as_ref().map_or(task.labels.len(), Vec::len));
        if named != classes {
            return Err(malformed(0, format!("data.values has {named} values for {classes} classes")));
        }
        let fields = task.fields();
        if let Some(stray) = data.columns.keys().find(|field| !fields.contains(&field.as_str())) {
            return Err(malformed(
                0,
                format!("data.columns names the field `{}`, which the content does not have", cut(stray)),
            ));
        }
        Ok(TaskFile { task, data, path: path.to_owned() })
    }

    /// Reads the examples of `split`. [`Instance::row`] counts from 0.
    ///
    /// # Errors
    /// [`DataError::NotFound`] if the task file does not name examples of this split; otherwise as [`crate::glue::read`].
    pub fn instances(&self, split: Split) -> Result<Vec<Instance>, DataError> {
        self.instances_with(split, &ReadOptions::default()).map(|(instances, _)| instances)
    }

    /// Like [`instances`](TaskFile::instances), under `options`. With [`skip_bad`](ReadOptions::skip_bad) a row that cannot be read is
    /// left out and counted in the report. The other rows keep their numbers.
    ///
    /// # Errors
    /// As [`instances`](TaskFile::instances).
    pub fn instances_with(
        &self,
        split: Split,
        options: &ReadOptions,
    ) -> Result<(Vec<Instance>, ReadReport), DataError> {
        let TaskFile { task, data, path } = self;
        let file = match split {
            Split::Validation => Some(&data.validation),
            Split::Train => data.train.as_ref(),
        };
        let file = file.ok_or_else(|| DataError::NotFound {
            task: task.name.clone(),
            looked_for: format!("data.train in {}", path.display()),
        })?;
        let file = path.parent().unwrap_or(Path::new("")).join(file);
        let fields = task.fields();
        let column = |field: &'_ str| data.columns.get(field).map_or(field.to_owned(), String::clone);
        let names: Vec<String> = fields.iter().map(|field| column(field)).collect();
        let columns = Columns {
            label: vec![&data.label],
            fields: fields.iter().copied().zip(names.iter().map(|name| vec![name.as_str()])).collect(),
            without_header: None,
        };
        let known = data.values.as_ref().unwrap_or(&task.labels);
        let class = |text: &str| {
            let number = || text.parse().ok().filter(|class| *class < known.len() && data.values.is_none());
            known.iter().position(|value| value == text.trim()).or_else(number)
        };
        let numbers = if data.values.is_none() { format!("0 to {} or ", known.len() - 1) } else { String::new() };
        let classes = Classes { of: &class, expected: format!("{numbers}one of: {}", known.join(", ")) };
        let (mut instances, mut report) = (Vec::new(), ReadReport::default());
        labelled_rows(&file, &task.name, &columns, &classes, options, &mut instances, &mut report)?;
        Ok((instances, report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = r#"
version = 1
name = "question_topic"
group = "topic"
content = "Question: {question}"
labels = ["Place", "person"]

[data]
validation = "rows.jsonl"
label = "kind"
values = ["LOC", "HUM"]
columns = { question = "text" }
"#;

    fn read(task: &str, rows: &str) -> Result<Vec<Instance>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.toml");
        std::fs::write(&path, task).unwrap();
        std::fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
        let file = TaskFile::read(&path).map_err(|error| error.to_string())?;
        file.instances(Split::Validation).map_err(|error| error.to_string())
    }

    #[test]
    fn a_task_and_its_rows_are_read() {
        let rows = "{\"text\": \"Who was it?\", \"kind\": \"HUM\"}\n{\"text\": \"Where?\", \"kind\": \"LOC\"}\n";
        let instances = read(TASK, rows).unwrap();
        assert_eq!(instances[0], Instance::new("question_topic", 0, [("question", "Who was it?")], 1));
        assert_eq!((instances[1].row, instances[1].label), (1, 0));
        let by_word = TASK.replace("values = [\"LOC\", \"HUM\"]\n", "");
        let rows = "{\"text\": \"Who?\", \"kind\": \"person\"}\n{\"text\": \"Where?\", \"kind\": 0}\n";
        let labels: Vec<usize> = read(&by_word, rows).unwrap().iter().map(|instance| instance.label).collect();
        assert_eq!(labels, [1, 0]);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_left_out_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.toml");
        std::fs::write(&path, TASK).unwrap();
        let rows = [
            "{\"text\": \"Who?\", \"kind\": \"HUM\"}",
            "{\"text\": \"What?\"}",
            "{\"text\": \"Where?\", \"kind\": \"LOC\"}",
        ];
        std::fs::write(folder.path().join("rows.jsonl"), rows.join("\n")).unwrap();
        let file = TaskFile::read(&path).unwrap();
        assert!(file.instances(Split::Validation).is_err());
        let (instances, report) = file.instances_with(Split::Validation, &ReadOptions { skip_bad: true }).unwrap();
        assert_eq!(instances.iter().map(|instance| instance.row).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((report.rows, report.skipped_count, report.skipped[0].0), (3, 1, 2));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = "{\"text\": \"Where?\", \"kind\": \"LOC\"}\n";
        for (from, to, rows, expected) in [
            ("version = 1", "version = \"1\"", good, "task.toml:2: invalid type"),
            ("group", "grupp", good, "unknown field `grupp`"),
            ("\"Place\", \"person\"", "\"place\"", good, "`question_topic` needs at least two labels"),
            ("{question}", "{question", good, "a `{` without its `}`"),
            ("[\"LOC\", \"HUM\"]", "[\"LOC\"]", good, "data.values has 1 values for 2 classes"),
            ("question = \"text\"", "answer = \"text\"", good, "names the field `answer`"),
            (
                "",
                "",
                "{\"text\": \"Where?\", \"kind\": \"NUM\"}\n",
                "rows.jsonl:1: unknown label `NUM` in the column `kind`, expected one of: LOC, HUM",
            ),
            ("", "", "{\"kind\": \"LOC\"}\n", "no column `text`"),
        ] {
            let message = read(&TASK.replace(from, to), rows).unwrap_err();
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let unlisted = TASK.replace("[data]", "verbalizer = [{ word = \"place\", class = 2 }]\n[data]");
        assert!(read(&unlisted, good).unwrap_err().contains("the word `place` stands for class 2"));
    }
}
