//! What the prompts of a ledger say: a ledger keeps numbers of instructions and rows only.

use std::collections::{BTreeMap, BTreeSet};

use coin_data::{DataError, Instance, Task};

use crate::ledger::Record;
use crate::{EvalError, InstructionSet};

/// The two parts of a prompt that differ between records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptText {
    /// The instruction.
    pub instruction: String,
    /// The content that follows it; empty where only the instruction is known.
    pub content: String,
}

/// The instruction and the content behind each record of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptTexts {
    /// By task and level.
    instructions: BTreeMap<(String, String), Vec<String>>,
    /// By task and row.
    contents: BTreeMap<(String, usize), String>,
}

impl PromptTexts {
    /// The texts behind `records`: instructions from the set that was evaluated, contents from the tasks' examples.
    ///
    /// `instances` gives all examples of a task, as for [`Evaluation::run`](crate::Evaluation::run); one that gives none leaves
    /// contents empty. Levels that the set lacks have no text, which is no error: a report shows numbers for them.
    ///
    /// # Errors
    /// The error of `instances`, or a task that is not known or an example without one of its fields.
    pub fn of(
        records: &[Record],
        instructions: &InstructionSet,
        instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>,
    ) -> Result<PromptTexts, EvalError> {
        let mut texts = PromptTexts::default();
        let names: BTreeSet<&str> = records.iter().map(|record| record.task.as_str()).collect();
        for name in names {
            let task = Task::named(name)?;
            let of_task = || records.iter().filter(|record| record.task == name);
            let levels: BTreeSet<&str> = of_task().map(|record| record.level.as_str()).collect();
            for level in levels {
                if let Ok(list) = instructions.get(level, &task) {
                    texts.instructions.insert((name.to_owned(), level.to_owned()), list.to_vec());
                }
            }
            let rows: BTreeSet<usize> = of_task().map(|record| record.row).collect();
            for instance in instances(&task)?.iter().filter(|instance| rows.contains(&instance.row)) {
                texts.contents.insert((name.to_owned(), instance.row), task.content(instance)?);
            }
        }
        Ok(texts)
    }

    /// The texts of `record`'s prompt.
    pub fn get(&self, record: &Record) -> Option<PromptText> {
        let list = self.instructions.get(&(record.task.clone(), record.level.clone()))?;
        let instruction = list.get(record.instruction)?.clone();
        let content = self.contents.get(&(record.task.clone(), record.row)).cloned().unwrap_or_default();
        Some(PromptText { instruction, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_number() {
        let json = r#"{"clean": {"cola": ["Judge: ", "Say: "]}, "semantic": {"cola": ["Tell: ", "Speak: "]}}"#;
        let set = InstructionSet::parse(json, "inline").unwrap();
        let record = |level: &str, instruction, row| Record {
            task: "cola".to_owned(),
            level: level.to_owned(),
            instruction,
            row,
            ..Record::default()
        };
        let instances = |_: &Task| Ok(vec![Instance::new("cola", 7, [("sentence", "It rains.")], 1)]);
        let records =
            [record("clean", 1, 7), record("semantic", 1, 7), record("checklist", 0, 7), record("clean", 0, 8)];
        let texts = PromptTexts::of(&records, &set, &instances).unwrap();
        let instruction = |record| texts.get(record).map(|text| text.instruction);
        assert_eq!(instruction(&records[0]), Some("Say: ".to_owned()));
        assert_eq!(instruction(&records[1]), Some("Speak: ".to_owned()));
        assert!(texts.get(&records[0]).unwrap().content.contains("It rains."));
        assert_eq!(instruction(&records[2]), None, "no such level");
        assert_eq!(texts.get(&records[3]).unwrap().content, "", "no such row");

        let unknown = [Record { task: "none".to_owned(), ..Record::default() }];
        assert!(PromptTexts::of(&unknown, &set, &instances).unwrap_err().to_string().contains("none"));
    }
}
