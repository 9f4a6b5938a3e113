//! `summary.json`: the metrics of one or more runs. `docs/formats.md` describes the schema.
//!
//! Accuracies, standard deviations, shares and changes are fractions (0.5 is 50 %), never percentages.

mod comparison;
mod experiment;
mod file;
mod measures;

use std::path::Path;

use coin_core::json;
use coin_core::quote::cut;
use serde::{Deserialize, Serialize};

use crate::EvalError;

pub use comparison::{Comparison, Difference, GroupComparison, LevelComparison, McNemar, PValue, TaskComparison};
pub use experiment::{
    ArmDifference, ArmRow, ArmSummary, EXPERIMENT_SCHEMA, EXPERIMENT_VERSION, ExperimentSummary, PERTURBED, UNSEEN,
};
pub use measures::{Bootstrap, Interval, Measures};

/// The value of [`Summary::schema`].
pub const SCHEMA: &str = "coin.summary";

/// The schema's version.
pub const VERSION: u32 = 2;

/// The name of the row that averages over all levels, including `clean`.
pub const AVERAGE: &str = "average";

/// One task at one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSummary {
    /// The task's name.
    pub task: String,
    /// The task's group.
    pub group: String,
    /// The level.
    pub level: String,
    /// Number of distinct examples that were evaluated.
    pub examples: usize,
    /// Accuracy of each instruction.
    pub accuracies: Vec<f64>,
    /// Measures over the instructions.
    #[serde(flatten)]
    pub measures: Measures,
}

/// All tasks at one level, or at all levels ([`AVERAGE`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelSummary {
    /// The level.
    pub level: String,
    /// Number of tasks.
    pub tasks: usize,
    /// Means over the tasks.
    #[serde(flatten)]
    pub measures: Measures,
}

/// The tasks of one group at one level, or at all levels ([`AVERAGE`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// The group.
    pub group: String,
    /// The level.
    pub level: String,
    /// Number of tasks.
    pub tasks: usize,
    /// Means over the tasks.
    #[serde(flatten)]
    pub measures: Measures,
}

/// One evaluated model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Name of the run, such as `base`, `cit` or `coin`.
    pub name: String,
    /// Settings of the bootstrap. `None` if there are no intervals.
    pub bootstrap: Option<Bootstrap>,
    /// A cell for every task and level.
    pub tasks: Vec<TaskSummary>,
    /// A row for every level, [`AVERAGE`] last.
    pub levels: Vec<LevelSummary>,
    /// A row for every group and level, [`AVERAGE`] last within each group.
    pub groups: Vec<GroupSummary>,
}

impl RunSummary {
    /// The row of `level`.
    pub fn level(&self, level: &str) -> Option<&Measures> {
        self.levels.iter().find(|row| row.level == level).map(|row| &row.measures)
    }

    /// The row of `group` at `level`.
    pub fn group(&self, group: &str, level: &str) -> Option<&Measures> {
        self.groups.iter().find(|row| row.group == group && row.level == level).map(|row| &row.measures)
    }

    /// The cell of `task` at `level`.
    pub fn task(&self, task: &str, level: &str) -> Option<&TaskSummary> {
        self.tasks.iter().find(|cell| cell.task == task && cell.level == level)
    }
}

/// The metrics of one or more runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Always [`VERSION`].
    pub version: u32,
    /// Version of the program that wrote it.
    pub tool_version: String,
    /// The resolved settings of the run, under the names that the program uses.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The runs, in the order in which they are compared: the change shown is the last run minus the previous one.
    pub runs: Vec<RunSummary>,
    /// Tests between two of the runs. Empty if none were requested.
    pub comparisons: Vec<Comparison>,
}

impl Summary {
    /// Creates a summary of `runs` with this version of the program, without comparisons.
    pub fn new(settings: serde_json::Map<String, serde_json::Value>, runs: Vec<RunSummary>) -> Self {
        Summary {
            schema: SCHEMA.to_owned(),
            version: VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            settings,
            runs,
            comparisons: Vec::new(),
        }
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// [`EvalError::Io`] if it cannot be read; [`EvalError::Malformed`] if it is not a summary, or has another version.
    pub fn read(path: impl AsRef<Path>) -> Result<Summary, EvalError> {
        #[derive(Deserialize)]
        struct Header {
            schema: String,
            version: u32,
        }
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(EvalError::io(path))?;
        let malformed = |line, message| EvalError::Malformed { path: path.to_owned(), line, message };
        let no_summary =
            |error: serde_json::Error| malformed(error.line(), format!("not a summary: {}", json::message(&error)));
        let header: Header = json::from_str(&text).map_err(no_summary)?;
        if header.schema != SCHEMA || header.version != VERSION {
            let found = format!("`{}` version {}", cut(&header.schema), header.version);
            return Err(malformed(0, format!("{found}, expected `{SCHEMA}` version {VERSION}")));
        }
        serde_json::from_str(&text).map_err(no_summary)
    }

    /// Writes `path` atomically: a reader sees either the previous file or the complete new one.
    ///
    /// # Errors
    /// [`EvalError::Io`] if it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        file::write(self, path.as_ref())
    }

    /// The comparison of the run named `after` with the run named `before`.
    pub fn comparison(&self, before: &str, after: &str) -> Option<&Comparison> {
        self.comparisons.iter().find(|comparison| comparison.before == before && comparison.after == after)
    }

    /// The levels of all runs, in order of first appearance, [`AVERAGE`] last.
    pub fn levels(&self) -> Vec<&str> {
        let mut names = distinct(self.runs.iter().flat_map(|run| &run.levels).map(|row| row.level.as_str()));
        names.sort_by_key(|name| *name == AVERAGE);
        names
    }

    /// The groups of all runs, in order of first appearance.
    pub fn groups(&self) -> Vec<&str> {
        distinct(self.runs.iter().flat_map(|run| &run.groups).map(|row| row.group.as_str()))
    }

    /// The tasks of all runs, in order of first appearance.
    pub fn tasks(&self) -> Vec<&str> {
        distinct(self.runs.iter().flat_map(|run| &run.tasks).map(|cell| cell.task.as_str()))
    }
}

/// Distinct names, in order of first appearance.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        let settings = serde_json::json!({"preset": "strict", "seed": 42, "objective": {"temperature": 0.05}});
        let mut records = Vec::new();
        for (t, task) in coin_data::Task::glue().into_iter().enumerate() {
            for (place, level) in crate::levels::LEVELS.into_iter().enumerate() {
                for answer in 0..70 {
                    let (task, level, instruction, row) = (task.name.clone(), level.to_owned(), answer / 7, answer % 7);
                    let pred = i64::from((answer * (t + 2) + place) % 3 > 0);
                    records.push(crate::Record { task, level, instruction, row, pred, gold: 1, ..Default::default() });
                }
            }
        }
        let run = crate::metrics::score("coin", &records).unwrap();
        let summary = Summary::new(settings.as_object().cloned().unwrap(), vec![run]);
        summary.write(&path).unwrap();
        assert!(Summary::read(&path).unwrap() == summary, "floats too");
        assert_eq!(summary.levels(), ["clean", "deepwordbug", "textfooler", "checklist", "semantic", "average"]);
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        for (text, expected) in [
            ("{\n", "summary.json:2: not a summary"),
            (
                r#"{"schema": "coin.summary", "version": 9}"#,
                "`coin.summary` version 9, expected `coin.summary` version 2",
            ),
            (r#"{"schema": "coin.summary", "version": 2}"#, "missing field"),
            (r#"{"schema": "coin.summary", "version": 2, "settings": {"seed": 1, "seed": 2}}"#, "duplicate key `seed`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = Summary::read(&path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let long = "x".repeat(1_000_000);
        for text in [
            format!(r#"{{"schema": "{long}", "version": 2}}"#),
            format!(r#"{{"schema": "coin.summary", "version": "{long}"}}"#),
            format!(r#"{{"schema": "coin.summary", "version": 2, "{long}": 1, "{long}": 2}}"#),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = Summary::read(&path).unwrap_err().to_string();
            assert!(message.len() < 700 && message.contains("summary.json"), "{}", message.len());
        }
    }
}
