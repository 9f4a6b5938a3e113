//! Checks the perturbed parts of the prompts before they are evaluated. A level says little about a model if it lost label words or
//! changed nothing.

use std::collections::BTreeMap;
use std::path::Path;

use coin::core::quote::cut;
use coin::data::{Component, Task};
use coin::eval::levels::CLEAN;
use coin::eval::{EvalError, InstructionSet};
use coin::perturb::audit::AuditRecord;
use coin::perturb::{PerturbError, Protected, files};
use serde_json::{Value, json};

/// The findings by level. Levels without findings are omitted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PromptCheck {
    /// Number of instructions whose label words, placeholders or marker differ from those of the clean instruction.
    labels_changed: BTreeMap<String, usize>,
    /// Number of instructions that are identical to the clean instruction.
    unchanged: BTreeMap<String, usize>,
    /// The state of the recipe next to the file: `verified`, or the reason why it does not match. `None` without a recipe.
    recipe: Option<String>,
}

impl PromptCheck {
    /// Compares the instructions of `tasks` at `levels` with the clean ones, and their file, if any, with its recipe.
    ///
    /// Returns the findings and a warning for each kind of fault.
    pub fn new(
        set: &InstructionSet,
        tasks: &[Task],
        levels: &[String],
        file: Option<&Path>,
    ) -> Result<(PromptCheck, Vec<String>), EvalError> {
        let mut records = Vec::new();
        for level in levels.iter().filter(|level| *level != CLEAN) {
            records.extend(audit(set, tasks, level)?);
        }
        let (mut found, mut warnings) = PromptCheck::of_records(&records, levels, Component::Instruction);
        if let Some(file) = file.filter(|file| files::recipe_path(file).is_file()) {
            found.recipe = Some(match files::verify(file) {
                Ok(_) => "verified".to_owned(),
                Err(PerturbError::Altered { differing, .. }) => {
                    warnings.push(format!(
                        "{} does not match its recipe: {differing} differ, as `coin perturb --verify` shows",
                        file.display()
                    ));
                    format!("altered: {differing}")
                }
                Err(error) => {
                    warnings.push(format!("the recipe of {} cannot be used: {error}", file.display()));
                    format!("unusable: {}", cut(&error.to_string()))
                }
            });
        }
        Ok((found, warnings))
    }

    /// Checks `records` of the texts of `component` at `levels`. Returns the counts and a warning for every kind of fault.
    pub fn of_records(records: &[AuditRecord], levels: &[String], component: Component) -> (PromptCheck, Vec<String>) {
        let noun = match component {
            Component::System => "system text",
            Component::Demonstrations => "demonstration",
            _ => "instruction",
        };
        let (mut found, mut warnings) = (PromptCheck::default(), Vec::new());
        for level in levels {
            let records: Vec<&AuditRecord> = records.iter().filter(|record| record.attack == *level).collect();
            let mut tell = |what: &str, of: &mut BTreeMap<String, usize>, at_fault: &dyn Fn(&AuditRecord) -> bool| {
                let mut faulty = records.iter().filter(|record| at_fault(record));
                let Some(first) = faulty.next() else { return };
                let count = 1 + faulty.count();
                // All tasks have the same system text.
                let place = match component {
                    Component::System => String::new(),
                    _ => format!(", such as task `{}`, {noun} {}", cut(&first.task), first.index),
                };
                warnings.push(format!(
                    "level `{}`: {count} of {} {noun}s {what}{place}: {}",
                    cut(level),
                    records.len(),
                    cut(&first.perturbed)
                ));
                of.insert(level.clone(), count);
            };
            tell("do not contain the label words of the clean one", &mut found.labels_changed, &|record| {
                !record.labels_intact
            });
            tell("are identical to the clean one", &mut found.unchanged, &|record| record.unchanged);
        }
        (found, warnings)
    }

    /// The findings in the form of the summary's settings.
    pub fn to_json(&self) -> Value {
        json!({"labels_changed": self.labels_changed, "unchanged": self.unchanged, "recipe": self.recipe})
    }

    /// True if there are no findings.
    pub fn is_empty(&self) -> bool {
        *self == PromptCheck::default()
    }
}

/// Compares the instructions of `level` with the clean ones. Tasks that share instructions, as the halves of mnli do, are compared
/// once.
fn audit(set: &InstructionSet, tasks: &[Task], level: &str) -> Result<Vec<AuditRecord>, EvalError> {
    let mut words: BTreeMap<&str, (&Task, Vec<String>)> = BTreeMap::new();
    for task in tasks {
        words.entry(&task.instructions).or_insert((task, Vec::new())).1.extend(task.label_words());
    }
    let mut records = Vec::new();
    for (name, (task, words)) in words {
        let protected = Protected::new(words);
        let pairs = set.get(CLEAN, task)?.iter().zip(set.get(level, task)?).enumerate();
        records.extend(
            pairs.map(|(index, (clean, perturbed))| AuditRecord::new(level, name, index, clean, perturbed, &protected)),
        );
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, file: Option<&Path>) -> (PromptCheck, Vec<String>) {
        let set = InstructionSet::parse(json, "inline").unwrap();
        let tasks = ["cola", "mnli", "mnli_matched"].map(|name| Task::named(name).unwrap());
        PromptCheck::new(&set, &tasks, &["clean", "semantic", "typo"].map(str::to_owned), file).unwrap()
    }

    #[test]
    fn lost_label_words_and_unchanged_instructions_are_counted_by_level() {
        let clean = r#""cola": ["Say acceptable or not: ", "Judge: "], "mnli": ["Entailment? "]"#;
        let semantic = r#""cola": ["Is it good? ", "Judge: "], "mnli": ["Say Entailment? "]"#;
        let typo = r#""cola": ["Say acceptable or nt: ", "Jdge: "], "mnli": ["Entailmnet? "]"#;
        let (found, warnings) =
            check(&format!("{{\"clean\": {{{clean}}}, \"semantic\": {{{semantic}}}, \"typo\": {{{typo}}}}}"), None);
        assert_eq!(found.labels_changed, [("semantic".to_owned(), 1), ("typo".to_owned(), 1)].into());
        assert_eq!(found.unchanged, [("semantic".to_owned(), 1)].into());
        assert_eq!(
            warnings,
            [
                "level `semantic`: 1 of 3 instructions do not contain the label words of the clean one, such as task `cola`, \
                 instruction 0: Is it good? ",
                "level `semantic`: 1 of 3 instructions are identical to the clean one, such as task `cola`, instruction 1: Judge: ",
                "level `typo`: 1 of 3 instructions do not contain the label words of the clean one, such as task `mnli`, \
                 instruction 0: Entailmnet? ",
            ]
        );
        assert!(!found.is_empty() && found.recipe.is_none());
    }
}
