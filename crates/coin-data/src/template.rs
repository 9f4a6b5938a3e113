//! Instruction templates: several wordings per task, filled with the fields of an instance.
//!
//! Files have the format of the FLAN collection: `{task: [[prompt, target], ..]}`. Placeholders are `{field}`, `{answer}` for the
//! answer word, and `{options_}` for the list of answers.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{DataError, Instance, Task, task};
use coin_core::file::read_to_string;
use coin_core::json;
use coin_core::quote::cut;

/// The target pattern of a template that asks for the answer.
const ANSWER: &str = "{answer}";

/// Pairs of names for the same field: FLAN's templates for RTE use premise and hypothesis where GLUE uses sentence1 and
/// sentence2, and other sets do the reverse for MNLI.
const FIELD_ALIASES: [[&str; 2]; 2] = [["premise", "sentence1"], ["hypothesis", "sentence2"]];

/// Tasks with a different name in FLAN: (name here, FLAN's name).
const TASK_ALIASES: [(&str, &str); 2] = [("mrpc", "glue_mrpc"), ("qqp", "glue_qqp")];

/// A pattern for the prompt and a pattern for the target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(String, String)", into = "(String, String)")]
pub struct Template {
    /// The instruction with the input, with placeholders.
    pub prompt: String,
    /// The target, usually `{answer}`.
    pub target: String,
}

/// The reason why a template is not used for classification pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// The target is not exactly `{answer}`: the template reverses the task.
    OtherTarget,
    /// The prompt reveals the answer with `{answer}`.
    AnswerInPrompt,
    /// The prompt lacks a placeholder for a field, so all instances would have the same text.
    NoField,
}

impl Template {
    /// Creates a template from its two patterns.
    pub fn new(prompt: impl Into<String>, target: impl Into<String>) -> Self {
        Template { prompt: prompt.into(), target: target.into() }
    }

    /// The reason why the template cannot be used for classification pairs; `None` if it can.
    ///
    /// ```
    /// use coin_data::{Exclusion, Template};
    /// assert_eq!(Template::new("Is this well formed? {sentence}", "{answer}").exclusion(), None);
    /// assert_eq!(Template::new("Invent a sentence.", "{sentence}").exclusion(), Some(Exclusion::OtherTarget));
    /// ```
    pub fn exclusion(&self) -> Option<Exclusion> {
        let names = || placeholders(&self.prompt);
        if self.target != ANSWER {
            Some(Exclusion::OtherTarget)
        } else if names().any(|name| name == "answer") {
            Some(Exclusion::AnswerInPrompt)
        } else if names().all(|name| name == "options_") {
            Some(Exclusion::NoField)
        } else {
            None
        }
    }

    /// Fills the template from `instance`; returns the prompt and the target.
    ///
    /// `{field}` is the instance's field of that name or its alias (premise is sentence1, hypothesis is sentence2).
    /// `{answer}` is the answer word of the instance's class. `{options_}` is `OPTIONS:` and the task's answer words in class
    /// order, one per line after `- `, as FLAN writes them. Braces in values are not expanded.
    ///
    /// # Errors
    /// [`DataError::MissingField`] with the template and the row; [`DataError::Invalid`] for a class that the task does not
    /// have.
    ///
    /// ```
    /// use coin_data::{Instance, Task, Template};
    /// let template = Template::new("{premise}\nSo is it true that {hypothesis}\n{options_}", "{answer}");
    /// let instance = Instance::new("rte", 0, [("sentence1", "Ann ran home."), ("sentence2", "Ann ran.")], 0);
    /// let (prompt, target) = template.fill(&Task::named("rte")?, &instance)?;
    /// assert_eq!(prompt, "Ann ran home.\nSo is it true that Ann ran.\nOPTIONS:\n- entailment\n- not_entailment");
    /// assert_eq!(target, "entailment");
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn fill(&self, task: &Task, instance: &Instance) -> Result<(String, String), DataError> {
        let answer = task.answer(instance)?;
        let extra = |name: &str| match name {
            "answer" => Some(answer.to_owned()),
            "options_" => Some(options(task)),
            _ => instance.fields.get(other_name(name)?).cloned(),
        };
        let fill = |pattern: &str| task::fill(pattern, instance, extra);
        Ok((fill(&self.prompt)?, fill(&self.target)?))
    }
}

impl From<(String, String)> for Template {
    fn from((prompt, target): (String, String)) -> Self {
        Template { prompt, target }
    }
}

impl From<Template> for (String, String) {
    fn from(template: Template) -> Self {
        (template.prompt, template.target)
    }
}

/// The names between braces in `pattern`, in order.
fn placeholders(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('{').skip(1).filter_map(|after| after.split_once('}').map(|(name, _)| name))
}

/// Templates by task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateSet {
    tasks: BTreeMap<String, Vec<Template>>,
}

impl TemplateSet {
    /// Creates a set from task names and their templates.
    pub fn new<K: Into<String>>(tasks: impl IntoIterator<Item = (K, Vec<Template>)>) -> Self {
        TemplateSet { tasks: tasks.into_iter().map(|(name, templates)| (name.into(), templates)).collect() }
    }

    /// Reads a JSON file `{task: [[prompt, target], ..]}`.
    ///
    /// # Errors
    /// [`DataError::Io`]; [`DataError::Malformed`] with the line for another structure; [`DataError::Empty`] for a file
    /// without tasks.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let text = read_to_string(path)?;
        let empty = || DataError::Empty { path: path.to_owned(), what: "template" };
        if text.trim().is_empty() {
            return Err(empty());
        }
        let set: TemplateSet = json::from_str(&text).map_err(|error| DataError::Malformed {
            path: path.to_owned(),
            line: error.line(),
            message: format!("expected {{task: [[prompt, target], ..]}}: {}", json::message(&error)),
        })?;
        if set.tasks.values().all(Vec::is_empty) { Err(empty()) } else { Ok(set) }
    }

    /// The templates of the embedded demo tasks, written for this project.
    pub fn demo() -> Self {
        serde_json::from_str(include_str!("../templates/demo.json")).expect("the built-in template file is valid")
    }

    /// The templates of `task`: those under its name, otherwise under the name of the task whose instructions it uses,
    /// otherwise under FLAN's name for it (`glue_mrpc`, `glue_qqp`).
    ///
    /// # Errors
    /// [`DataError::Invalid`] if the set lacks the task. The message lists the tasks that have templates.
    pub fn for_task(&self, task: &Task) -> Result<&[Template], DataError> {
        let own = [task.name.as_str(), task.instructions.as_str()];
        let alias = TASK_ALIASES.iter().filter(|(name, _)| own.contains(name)).map(|&(_, alias)| alias);
        own.into_iter().chain(alias).find_map(|name| self.tasks.get(name)).map(Vec::as_slice).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            DataError::Invalid(format!("no templates for the task `{}`, only for: {}", cut(&task.name), cut(&known)))
        })
    }

    /// The tasks with their templates, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Template])> {
        self.tasks.iter().map(|(name, templates)| (name.as_str(), templates.as_slice()))
    }

    /// The names of the tasks, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }
}

/// The alias of the field `name`: premise is sentence1, hypothesis is sentence2, and the reverse.
pub(crate) fn other_name(name: &str) -> Option<&'static str> {
    let [one, other] = FIELD_ALIASES.into_iter().find(|pair| pair.contains(&name))?;
    Some(if name == one { other } else { one })
}

/// The list of answers in FLAN's format.
fn options(task: &Task) -> String {
    task.labels.iter().fold("OPTIONS:".to_owned(), |text, label| text + "\n- " + label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(sentence: &str) -> Instance {
        Instance::new("cola", 4, [("sentence", sentence)], 1)
    }

    fn cola() -> Task {
        Task::named("cola").unwrap()
    }

    #[test]
    fn demo_templates_serve_all_ten_tasks() {
        let set = TemplateSet::demo();
        for task in Task::glue() {
            let templates = set.for_task(&task).unwrap();
            let usable: std::collections::BTreeSet<_> =
                templates.iter().filter(|one| one.exclusion().is_none()).collect();
            assert!(usable.len() >= 2, "{}: {} different usable templates", task.name, usable.len());
        }
    }

    #[test]
    fn values_are_not_expanded_again() {
        let template = Template::new("Judge: {sentence}\n{options_}", "{answer}");
        let (prompt, target) = template.fill(&cola(), &instance("Say {answer} or {x}.")).unwrap();
        assert_eq!(prompt, "Judge: Say {answer} or {x}.\nOPTIONS:\n- unacceptable\n- acceptable");
        assert_eq!(target, "acceptable");
    }

    #[test]
    fn a_missing_field_names_template_and_row_on_one_line() {
        let template = Template::new("Text:\n{review}", "{answer}");
        let message = template.fill(&cola(), &instance("A.")).unwrap_err().to_string();
        assert_eq!(message, "task `cola`: `Text:\\n{review}` needs the field `review`, which row 4 lacks");
    }

    #[test]
    fn exclusions() {
        let reason = |prompt: &str, target: &str| Template::new(prompt, target).exclusion();
        assert_eq!(reason("{sentence} fine?\n{options_}", "{answer}"), None);
        assert_eq!(reason("Write one that is {answer}.", "{sentence}"), Some(Exclusion::OtherTarget));
        assert_eq!(reason("{sentence} fine?", "It is {answer}"), Some(Exclusion::OtherTarget));
        assert_eq!(reason("{sentence} is {answer}, is it?", "{answer}"), Some(Exclusion::AnswerInPrompt));
        assert_eq!(reason("Choose.\n{options_}", "{answer}"), Some(Exclusion::NoField));
        assert_eq!(reason("Choose {", "{answer}"), Some(Exclusion::NoField));
    }

    #[test]
    fn tasks_are_found_under_their_other_names() {
        let template = |text: &str| vec![Template::new(text, "{answer}")];
        let set = TemplateSet::new([("glue_mrpc", template("a")), ("mnli", template("b")), ("cola", template("c"))]);
        let first = |task: &str| set.for_task(&Task::named(task).unwrap()).map(|found| found[0].prompt.clone());
        assert_eq!(first("mrpc").unwrap(), "a");
        assert_eq!(first("mnli_matched").unwrap(), "b");
        assert_eq!(first("cola").unwrap(), "c");
        assert_eq!(
            first("qqp").unwrap_err().to_string(),
            "no templates for the task `qqp`, only for: cola, glue_mrpc, mnli"
        );
    }

    #[test]
    fn files_of_another_form_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("templates.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            TemplateSet::read(&path)
        };
        assert_eq!(read(r#"{"a": [["p", "t"]]}"#).unwrap(), TemplateSet::new([("a", vec![Template::new("p", "t")])]));
        assert!(read("").unwrap_err().to_string().ends_with("templates.json contains no template"));
        assert!(read("{}").unwrap_err().to_string().ends_with("templates.json contains no template"));
        let message = read("{\"a\": [\n[\"p\"]]}").unwrap_err().to_string();
        assert!(message.contains("templates.json:2: expected {task: [[prompt, target], ..]}"), "{message}");
    }
}
