//! The texts of a ledger's prompts. The ledger itself stores only instruction indices and row numbers.

use std::collections::BTreeMap;
use std::path::Path;

use coin_core::quote::cut;
use coin_data::Component;
use serde::{Deserialize, Serialize};

use super::ledger::Record;
use super::plan::Plan;
use crate::EvalError;

/// The two parts of a prompt that vary between records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptText {
    /// The instruction.
    pub instruction: String,
    /// The content that follows it.
    pub content: String,
}

/// The instruction and content of each record of a ledger, as stored in `prompts.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTexts {
    /// By task and level.
    instructions: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// By task and row.
    contents: BTreeMap<String, BTreeMap<usize, String>>,
}

impl PromptTexts {
    /// Collects the texts of every prompt of `plan`, before any shortening. The instruction is the component
    /// that the levels change: the system text or the demonstrations' inputs if those are perturbed.
    ///
    /// # Errors
    /// As [`Plan::prompt`].
    pub fn of(plan: &Plan<'_>) -> Result<PromptTexts, EvalError> {
        let mut texts = PromptTexts::default();
        for unit in plan.units() {
            let contents = texts.contents.entry(unit.task.name.clone()).or_default();
            let mut changed = None;
            for example in unit.examples {
                let prompt = plan.prompt(&unit, example)?;
                contents.insert(example.row, prompt.input.clone());
                changed.get_or_insert_with(|| match plan.component() {
                    Component::System => prompt.system.unwrap_or_default(),
                    Component::Demonstrations => {
                        let inputs = prompt.demonstrations.into_iter().map(|shown| shown.input);
                        inputs.collect::<Vec<_>>().join(" / ")
                    }
                    Component::Instruction | Component::Input => prompt.instruction,
                });
            }
            let levels = texts.instructions.entry(unit.task.name.clone()).or_default();
            let list = levels.entry(unit.level.to_owned()).or_default();
            list.resize(list.len().max(unit.instruction + 1), String::new());
            list[unit.instruction] = changed.unwrap_or_default();
        }
        Ok(texts)
    }

    /// Reads the texts from a file.
    ///
    /// # Errors
    /// [`EvalError::Io`]; [`EvalError::Malformed`] with the line.
    pub fn read(path: impl AsRef<Path>) -> Result<PromptTexts, EvalError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(EvalError::io(path))?;
        coin_core::json::from_str(&text).map_err(|error| EvalError::Malformed {
            path: path.to_owned(),
            line: error.line(),
            message: format!("not a file of prompt texts: {}", coin_core::json::message(&error)),
        })
    }

    /// Writes the texts to a file atomically.
    ///
    /// # Errors
    /// [`EvalError::Io`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        let path = path.as_ref();
        coin_core::file::replace(path, |file| Ok(serde_json::to_writer(file, self)?)).map_err(EvalError::io(path))
    }

    /// Returns a task and row that both contain, but with different contents.
    pub fn contradicts(&self, other: &PromptTexts) -> Option<String> {
        self.contents.iter().find_map(|(task, rows)| {
            let theirs = other.contents.get(task)?;
            let differs = |(row, text): &(&usize, &String)| theirs.get(row).is_some_and(|other| other != *text);
            rows.iter().find(differs).map(|(row, _)| format!("task `{}`, row {row}", cut(task)))
        })
    }

    /// Returns the texts of `record`'s prompt.
    pub fn get(&self, record: &Record) -> Option<PromptText> {
        let instruction = self.instructions.get(&record.task)?.get(&record.level)?.get(record.instruction)?.clone();
        let content = self.contents.get(&record.task)?.get(&record.row)?.clone();
        Some(PromptText { instruction, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Evaluation, InstructionSet};
    use coin_data::{Instance, Task};

    #[test]
    fn texts_are_found_by_number_and_read_back() {
        let json = r#"{"clean": {"cola": ["Judge: ", "Say: "]}, "semantic": {"cola": ["Tell: ", "Speak: "]}}"#;
        let set = InstructionSet::parse(json, "inline").unwrap();
        let levels = ["clean", "semantic"].map(str::to_owned).to_vec();
        let evaluation = Evaluation { levels, ..Evaluation::new(vec![Task::named("cola").unwrap()], set) };
        let plan = evaluation.plan(&|_| Ok(vec![Instance::new("cola", 7, [("sentence", "It rains.")], 1)])).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.json");
        PromptTexts::of(&plan).unwrap().write(&path).unwrap();
        let texts = PromptTexts::read(&path).unwrap();
        let found = |level: &str, instruction, row| {
            let (task, level) = ("cola".to_owned(), level.to_owned());
            texts.get(&Record { task, level, instruction, row, ..Record::default() }).map(|text| text.instruction)
        };
        assert_eq!(found("clean", 1, 7), Some("Say: ".to_owned()));
        assert_eq!(found("semantic", 1, 7), Some("Speak: ".to_owned()));
        assert_eq!((found("checklist", 0, 7), found("clean", 0, 8), found("clean", 2, 7)), (None, None, None));
        std::fs::write(&path, "{\n1").unwrap();
        assert!(
            PromptTexts::read(&path).unwrap_err().to_string().contains("prompts.json:2: not a file of prompt texts")
        );
        std::fs::write(&path, r#"{"instructions": {}, "contents": {"cola": {"1": "a", "1": "b"}}}"#).unwrap();
        assert!(PromptTexts::read(&path).unwrap_err().to_string().contains("duplicate key `1`"));
    }
}
