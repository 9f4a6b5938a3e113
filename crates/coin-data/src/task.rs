//! A task as data: the format of its examples and the meaning of answers.
//!
//! The ten GLUE tasks of the paper's evaluation are built in, as one file each in `tasks/`.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::{DataError, Instance};
use coin_core::file::is_plain_name;
use coin_core::quote::cut;

/// An answer word and its class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelWord {
    /// The beginning of an answer, in lower case.
    pub word: String,
    /// The class.
    pub class: usize,
}

/// A metric of a task's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Share of correct answers; always computed.
    Accuracy,
    /// F1 of class 1.
    F1,
    /// Matthews correlation of classes and answers.
    Matthews,
}

/// A classification task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Version of the definition. A change to any field increments it.
    pub version: u32,
    /// Name, such as `mnli_matched`.
    pub name: String,
    /// Group of the paper's analysis: `sentiment`, `nli`, `paraphrase` or `grammar`.
    pub group: String,
    /// The task whose instructions and templates are used: `mnli` for its two halves, otherwise the task itself.
    pub instructions: String,
    /// Format of the content that follows the instruction, with `{field}` placeholders.
    pub content: String,
    /// The answer word of each class.
    pub labels: Vec<String>,
    /// The valid beginnings of an answer, tried in this order.
    pub verbalizer: Vec<LabelWord>,
    /// The metrics to report. Default accuracy alone.
    #[serde(default = "accuracy_alone")]
    pub metrics: Vec<Metric>,
}

/// Maximum length in bytes of the name of a task or level. File names contain these names and more, and file systems allow 255
/// bytes.
pub const LONGEST_NAME: usize = 100;

pub(crate) fn accuracy_alone() -> Vec<Metric> {
    vec![Metric::Accuracy]
}

const BUILT_IN: [&str; 10] = [
    include_str!("../tasks/cola.toml"),
    include_str!("../tasks/sst2.toml"),
    include_str!("../tasks/mrpc.toml"),
    include_str!("../tasks/qqp.toml"),
    include_str!("../tasks/mnli.toml"),
    include_str!("../tasks/mnli_matched.toml"),
    include_str!("../tasks/mnli_mismatched.toml"),
    include_str!("../tasks/qnli.toml"),
    include_str!("../tasks/rte.toml"),
    include_str!("../tasks/wnli.toml"),
];

impl Task {
    /// The ten GLUE tasks, in the order cola, sst2, mrpc, qqp, mnli, mnli_matched, mnli_mismatched, qnli, rte, wnli.
    pub fn glue() -> Vec<Task> {
        BUILT_IN.iter().map(|text| toml::from_str(text).expect("built-in task files are valid")).collect()
    }

    /// The GLUE task called `name`.
    ///
    /// # Errors
    /// [`DataError::UnknownTask`], which lists the known names.
    ///
    /// ```
    /// assert_eq!(coin_data::Task::named("cola")?.labels, ["unacceptable", "acceptable"]);
    /// assert!(coin_data::Task::named("colla").unwrap_err().to_string().contains("unknown task `colla`"));
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn named(name: &str) -> Result<Task, DataError> {
        let tasks = Task::glue();
        let known = tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ");
        tasks
            .into_iter()
            .find(|task| task.name == name)
            .ok_or_else(|| DataError::UnknownTask { name: name.to_owned(), known })
    }

    /// Returns the content of `instance`: the task's format filled with the instance's fields.
    ///
    /// # Errors
    /// [`DataError::MissingField`] if the instance lacks a field of the format.
    pub fn content(&self, instance: &Instance) -> Result<String, DataError> {
        fill(&self.content, instance, |_| None)
    }

    /// The answer word of `instance`'s class.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if the task does not have the class.
    pub fn answer(&self, instance: &Instance) -> Result<&str, DataError> {
        self.labels.get(instance.label).map(String::as_str).ok_or_else(|| {
            DataError::Invalid(format!(
                "task `{}`, row {}: class {} is not a class of {}",
                cut(&self.name),
                instance.row,
                instance.label,
                cut(&self.labels.join(", "))
            ))
        })
    }

    /// The names of the fields that the content needs, in order and without repetitions.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields = Vec::new();
        for part in self.content.split('{').skip(1) {
            match part.split_once('}') {
                Some((name, _)) if !fields.contains(&name) => fields.push(name),
                _ => {}
            }
        }
        fields
    }

    /// Checks that the task can be evaluated.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for a name that is not a plain file name or is longer than [`LONGEST_NAME`], fewer than two
    /// labels, a content without a field or with an unclosed brace, a verbalizer word that is empty, not in lower case or has
    /// an unknown class, and a label without a verbalizer word.
    ///
    /// ```
    /// let mut task = coin_data::Task::named("cola")?;
    /// task.verbalizer[0].word = "Bad".to_owned();
    /// assert!(task.check().unwrap_err().to_string().contains("`Bad` is not in lower case"));
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn check(&self) -> Result<(), DataError> {
        let fault = |what: String| Err(DataError::Invalid(format!("task `{}` {what}", cut(&self.name))));
        // Results are written to a folder named after the task.
        if !is_plain_name(&self.name) {
            return fault("has a name that is not a plain file name of letters, digits, `_`, `-` and `.`".to_owned());
        }
        if self.name.len() > LONGEST_NAME {
            let bytes = self.name.len();
            return fault(format!("has a name of {bytes} bytes, too long for a file name: at most {LONGEST_NAME}"));
        }
        if self.labels.len() < 2 {
            return fault("needs at least two labels".to_owned());
        }
        if self.content.split('{').skip(1).any(|part| !part.contains('}')) {
            return fault(format!("has a content with a `{{` without its `}}`: {}", cut(&self.content)));
        }
        if self.fields().is_empty() {
            return fault(format!("has a content without a {{field}}: {}", cut(&self.content)));
        }
        let mut labels = HashSet::new();
        if let Some(label) = self.labels.iter().find(|label| !labels.insert(*label)) {
            return fault(format!("has the label `{}` twice", cut(label)));
        }
        let (mut words, mut classes) = (HashSet::new(), HashSet::new());
        for LabelWord { word, class } in &self.verbalizer {
            let shown = cut(word);
            if !words.insert(word) {
                return fault(format!("has the word `{shown}` twice in its verbalizer"));
            }
            if word.trim().is_empty() {
                return fault("has an empty word in its verbalizer".to_owned());
            }
            if *word != word.to_lowercase() {
                return fault(format!("has a verbalizer whose word `{shown}` is not in lower case"));
            }
            if *class >= self.labels.len() {
                let classes = self.labels.len();
                return fault(format!(
                    "has a verbalizer where the word `{shown}` stands for class {class} of {classes}"
                ));
            }
            classes.insert(*class);
        }
        match (0..self.labels.len()).find(|class| !classes.contains(class)) {
            Some(class) => fault(format!("has no word in its verbalizer for the label `{}`", cut(&self.labels[class]))),
            None => Ok(()),
        }
    }

    /// The words that a perturbation must keep: label words and verbalizer words that contain a letter.
    pub fn label_words(&self) -> BTreeSet<String> {
        let words = self.verbalizer.iter().map(|entry| entry.word.clone());
        words.chain(self.labels.iter().cloned()).filter(|word| word.chars().any(char::is_alphabetic)).collect()
    }
}

/// Fills the `{field}` placeholders of `format` from `instance`. `extra` returns the values of other names.
pub(crate) fn fill(
    format: &str,
    instance: &Instance,
    extra: impl Fn(&str) -> Option<String>,
) -> Result<String, DataError> {
    let mut text = String::with_capacity(format.len() + 128);
    let mut rest = format;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let Some(close) = after.find('}') else {
            rest = &rest[open..];
            text.push_str(rest);
            return Ok(text);
        };
        let name = &after[..close];
        match instance.fields.get(name).cloned().or_else(|| extra(name)) {
            Some(value) => text.push_str(&value),
            None => {
                return Err(DataError::MissingField {
                    task: instance.task.clone(),
                    template: format.to_owned(),
                    field: name.to_owned(),
                    row: instance.row,
                });
            }
        }
        rest = &after[close + 1..];
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_tasks_are_consistent() {
        let tasks = Task::glue();
        assert_eq!(tasks.len(), 10);
        for task in &tasks {
            task.check().unwrap();
            for (class, word) in task.labels.iter().enumerate() {
                assert!(
                    task.verbalizer.iter().any(|entry| entry.word == *word && entry.class == class),
                    "{}",
                    task.name
                );
            }
            assert!(Task::named(&task.instructions).is_ok());
        }
    }

    #[test]
    fn metrics_are_those_of_glue() {
        let with = |metric| {
            let tasks = Task::glue().into_iter().filter(move |task| task.metrics.contains(&metric));
            tasks.map(|task| task.name).collect::<Vec<_>>()
        };
        assert_eq!(with(Metric::F1), ["mrpc", "qqp"]);
        assert_eq!(with(Metric::Matthews), ["cola"]);
        assert_eq!(with(Metric::Accuracy).len(), 10);
    }

    #[test]
    fn a_file_without_metrics_is_measured_by_accuracy() {
        let text = BUILT_IN[0].lines().filter(|line| !line.starts_with("metrics")).collect::<Vec<_>>().join("\n");
        assert_eq!(toml::from_str::<Task>(&text).unwrap().metrics, [Metric::Accuracy]);
        let unknown = toml::from_str::<Task>(&format!("{text}\nmetrics = [\"bleu\"]")).unwrap_err().to_string();
        assert!(unknown.contains("`bleu`") && unknown.contains("`matthews`"), "{unknown}");
    }

    #[test]
    fn content_names_the_missing_field() {
        let task = Task::named("rte").unwrap();
        let instance = Instance::new("rte", 3, [("sentence1", "A dog ran.")], 0);
        let message = task.content(&instance).unwrap_err().to_string();
        assert!(message.contains("`sentence2`") && message.contains("row 3"), "{message}");
    }
}
