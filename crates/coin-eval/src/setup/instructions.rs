//! The instructions of an evaluation: for each perturbation level, a list for each task.
//!
//! The file format is `{"clean": {"cola": ["..", ..], ..}, "deepwordbug": {..}, ..}`. Frozen sets of perturbed
//! instructions use it too. Level `clean` is always present, and the i-th instruction of a level is the i-th clean one,
//! perturbed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coin_core::file::{is_plain_name, read_to_string};
use coin_core::json;
use coin_core::quote::cut;
use coin_data::{LONGEST_NAME, Task, places_input};

use crate::EvalError;
use crate::levels::CLEAN;

/// Maps a task name to its instructions.
pub type TaskInstructions = BTreeMap<String, Vec<String>>;

/// Instructions by level and task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstructionSet {
    origin: PathBuf,
    levels: BTreeMap<String, TaskInstructions>,
}

impl InstructionSet {
    /// The clean and semantic instructions of the demonstration world's ten tasks, six for each.
    pub fn demo() -> InstructionSet {
        InstructionSet::parse(include_str!("../../instructions/demo.json"), "demo.json").expect("built-in set is valid")
    }

    /// Instructions for the ten GLUE tasks, six for each, at the paper's five levels. The clean and semantic ones were written
    /// for this project; the others were made from the clean ones by `coin perturb` with seed 42 and frozen.
    pub fn glue() -> InstructionSet {
        InstructionSet::parse(include_str!("../../instructions/glue.json"), "glue.json").expect("built-in set is valid")
    }

    /// Reads a set from a file.
    ///
    /// # Errors
    /// As [`InstructionSet::parse`], and [`EvalError::Core`] if the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<InstructionSet, EvalError> {
        let path = path.as_ref();
        InstructionSet::parse(&read_to_string(path)?, path)
    }

    /// Parses a set from JSON. Error messages refer to it as `origin`.
    ///
    /// # Errors
    /// [`EvalError::Malformed`] with the line if the text has another format, a duplicate key, an empty list or instruction, or a
    /// level whose name is not a plain file name; [`EvalError::MissingLevel`] if there is no level `clean`;
    /// [`EvalError::MissingTask`] if a level has a task that `clean` lacks; [`EvalError::InstructionCount`] if a level has more
    /// or fewer instructions for a task than `clean`.
    pub fn parse(json: &str, origin: impl Into<PathBuf>) -> Result<InstructionSet, EvalError> {
        let origin = origin.into();
        let levels: BTreeMap<String, TaskInstructions> = json::from_str(json).map_err(|error| {
            let message = format!("{}; expected {{\"clean\": {{task: [instruction, ..]}}, ..}}", json::message(&error));
            EvalError::Malformed { path: origin.clone(), line: error.line(), message }
        })?;
        let set = InstructionSet { origin, levels };
        set.level(CLEAN)?;
        for (level, tasks) in &set.levels {
            set.check(level, tasks)?;
        }
        Ok(set)
    }

    /// Returns the set with `level` added or replaced, such as perturbations of the clean instructions.
    ///
    /// # Errors
    /// As [`InstructionSet::parse`] for the level.
    ///
    /// ```
    /// use coin_eval::InstructionSet;
    /// let set = InstructionSet::parse(r#"{"clean": {"cola": ["Is this acceptable? "]}}"#, "inline")?;
    /// let set = set.with_level("checklist", [("cola".to_owned(), vec!["Is this acceptable 7XPq2a? ".to_owned()])].into())?;
    /// assert_eq!(set.level_names(), ["clean", "checklist"]);
    /// # Ok::<(), coin_eval::EvalError>(())
    /// ```
    pub fn with_level(
        mut self,
        level: impl Into<String>,
        tasks: TaskInstructions,
    ) -> Result<InstructionSet, EvalError> {
        let level = level.into();
        if level != CLEAN {
            self.check(&level, &tasks)?;
        }
        self.levels.insert(level, tasks);
        for (level, tasks) in &self.levels {
            self.check(level, tasks)?;
        }
        Ok(self)
    }

    /// Returns the instructions of `task` at `level`. They are looked up by [`Task::instructions`], so both halves of mnli use
    /// mnli's.
    ///
    /// # Errors
    /// [`EvalError::MissingLevel`] or [`EvalError::MissingTask`]; [`EvalError::Malformed`] if an instruction has a placeholder
    /// that is neither `{content}` nor a field of the task.
    pub fn get(&self, level: &str, task: &Task) -> Result<&[String], EvalError> {
        let tasks = self.level(level)?;
        let instructions = tasks.get(&task.instructions).ok_or_else(|| EvalError::MissingTask {
            path: self.origin.clone(),
            level: cut(level).into_owned(),
            task: cut(&task.instructions).into_owned(),
            known: cut(&tasks.keys().cloned().collect::<Vec<_>>().join(", ")).into_owned(),
        })?;
        for instruction in instructions {
            places_input(instruction, task).map_err(|error| EvalError::Malformed {
                path: self.origin.clone(),
                line: 0,
                message: format!("level `{}`, {error}", cut(level)),
            })?;
        }
        Ok(instructions)
    }

    /// Returns all instructions of `level`.
    ///
    /// # Errors
    /// [`EvalError::MissingLevel`].
    pub fn level(&self, level: &str) -> Result<&TaskInstructions, EvalError> {
        self.levels.get(level).ok_or_else(|| EvalError::MissingLevel {
            path: self.origin.clone(),
            level: cut(level).into_owned(),
            known: cut(&self.level_names().join(", ")).into_owned(),
        })
    }

    /// The levels of the set: those of [`LEVELS`](crate::levels::LEVELS) in their order, then others by name.
    pub fn level_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.levels.keys().map(String::as_str).collect();
        names.sort_by_key(|name| crate::levels::LEVELS.iter().position(|level| level == name).unwrap_or(usize::MAX));
        names
    }

    /// The set as JSON in the format that [`InstructionSet::parse`] reads.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!(self.levels)
    }

    fn check(&self, level: &str, tasks: &TaskInstructions) -> Result<(), EvalError> {
        // Results are written to files named after the level.
        let shown = cut(level);
        if !is_plain_name(level) || level.len() > LONGEST_NAME {
            let message = format!(
                "level `{shown}` is not a plain file name: expected letters, digits, `_`, `-` and `.`, no `.` at the beginning, and at most \
                 {LONGEST_NAME} bytes"
            );
            return Err(EvalError::Malformed { path: self.origin.clone(), line: 0, message });
        }
        let clean = self.level(CLEAN)?;
        for (task, instructions) in tasks {
            if instructions.is_empty() || instructions.iter().any(|text| text.trim().is_empty()) {
                let message = format!("level `{shown}`, task `{}`: an empty list or instruction", cut(task));
                return Err(EvalError::Malformed { path: self.origin.clone(), line: 0, message });
            }
            let expected = clean.get(task).ok_or_else(|| EvalError::MissingTask {
                path: self.origin.clone(),
                level: CLEAN.to_owned(),
                task: cut(task).into_owned(),
                known: cut(&clean.keys().cloned().collect::<Vec<_>>().join(", ")).into_owned(),
            })?;
            if instructions.len() != expected.len() {
                return Err(EvalError::InstructionCount {
                    path: self.origin.clone(),
                    level: shown.into_owned(),
                    task: cut(task).into_owned(),
                    found: instructions.len(),
                    expected: expected.len(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = r#"{"clean": {"mnli": ["a: ", "b: "]}, "semantic": {"mnli": ["c: ", "d: "]}}"#;

    #[test]
    fn built_in_sets_cover_every_task() {
        for set in [InstructionSet::demo(), InstructionSet::glue()] {
            for task in Task::glue() {
                for level in set.level_names() {
                    assert_eq!(set.get(level, &task).unwrap().len(), 6, "{level}, {}", task.name);
                }
            }
        }
    }

    #[test]
    fn our_own_set_has_the_papers_levels() {
        assert_eq!(InstructionSet::glue().level_names(), crate::levels::LEVELS);
    }

    #[test]
    fn halves_of_mnli_share_its_instructions() {
        let set = InstructionSet::parse(SET, "set.json").unwrap();
        let task = Task::named("mnli_matched").unwrap();
        assert_eq!(set.get("semantic", &task).unwrap(), ["c: ", "d: "]);
    }

    #[test]
    fn errors_name_what_is_missing() {
        let set = InstructionSet::parse(SET, "set.json").unwrap();
        let message = set.get("textfooler", &Task::named("mnli").unwrap()).unwrap_err().to_string();
        assert_eq!(message, "set.json: no instructions for level `textfooler`, only for: clean, semantic");
        let message = set.get("semantic", &Task::named("cola").unwrap()).unwrap_err().to_string();
        assert_eq!(message, "set.json: level `semantic` has no instructions for task `cola`, only for: mnli");
    }

    #[test]
    fn an_unknown_placeholder_is_refused_with_task_and_level() {
        let json =
            r#"{"clean": {"mnli": ["{premise} so {sentence2}?"]}, "checklist": {"mnli": ["{premise} x {hypo}"]}}"#;
        let set = InstructionSet::parse(json, "set.json").unwrap();
        let task = Task::named("mnli_matched").unwrap();
        assert_eq!(set.get("clean", &task).unwrap().len(), 1);
        let message = set.get("checklist", &task).unwrap_err().to_string();
        assert!(message.contains("level `checklist`, task `mnli_matched`: unknown placeholder {hypo}"), "{message}");
        assert!(message.ends_with("expected one of: {content}, {premise}, {hypothesis}"), "{message}");
    }

    #[test]
    fn what_a_message_repeats_is_cut() {
        let long = "x".repeat(100_000);
        for json in [
            format!(r#"{{"clean": {{"cola": "{long}"}}}}"#),
            format!(r#"{{"clean": {{}}, "{long}": {{}}}}"#),
            format!(r#"{{"clean": {{"{long}": []}}}}"#),
            format!(r#"{{"clean": {{}}, "semantic": {{"{long}": ["a"]}}}}"#),
        ] {
            let message = InstructionSet::parse(&json, "set.json").unwrap_err().to_string();
            assert!(message.len() < 1000, "{}", message.len());
        }
    }

    #[test]
    fn bad_sets_are_refused() {
        for (json, expected) in [
            (r#"{"semantic": {}}"#, "no instructions for level `clean`"),
            (r#"{"clean": {"cola": []}}"#, "empty list"),
            (r#"{"clean": {"cola": ["a", " "]}}"#, "empty list or instruction"),
            (r#"{"clean": {"cola": ["a"]}, "semantic": {"cola": ["a", "b"]}}"#, "2 instructions, but `clean` has 1"),
            (r#"{"clean": {"cola": ["a"]}, "semantic": {"rte": ["a"]}}"#, "no instructions for task `rte`"),
            (r#"{"clean": {}, "../../x": {}}"#, "level `../../x` is not a plain file name"),
            (r#"{"clean": {}, "/x": {}}"#, "level `/x` is not a plain file name"),
            (r#"{"clean": {}, "": {}}"#, "level `` is not a plain file name"),
            ("{\n\"clean\": 3}", "set.json:2:"),
            (r#"{"clean": {"cola": ["a"], "cola": ["b"]}}"#, "duplicate key `cola`"),
        ] {
            let message = InstructionSet::parse(json, "set.json").unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(InstructionSet::read("nowhere/set.json").unwrap_err().to_string().contains("nowhere/set.json"));
    }
}
