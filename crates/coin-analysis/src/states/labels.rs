//! Labels of states, stored in columns.

use std::collections::HashSet;

use coin_core::quote::cut;

use super::StateLabel;
use crate::AnalysisError;

/// The largest number of a class: maps have an entry for each.
const MOST_CLASS: i64 = 9_999;

/// Labels in the columns of the file. Names of tasks and levels are stored once.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Labels {
    pub(super) tasks: Vec<String>,
    pub(super) levels: Vec<String>,
    pub(super) task: Vec<usize>,
    pub(super) level: Vec<usize>,
    pub(super) instruction: Vec<usize>,
    pub(super) row: Vec<usize>,
    pub(super) gold: Vec<usize>,
    /// As long as the other columns, or empty if there are no predictions.
    pub(super) predicted: Vec<i64>,
    seen: HashSet<[usize; 4]>,
}

/// Returns the index of `name` in `names`, adding it if it is new.
pub(super) fn intern(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

impl Labels {
    pub(super) fn len(&self) -> usize {
        self.task.len()
    }

    /// # Errors
    /// The label exists already, or only some labels have a predicted class.
    pub(super) fn push(&mut self, label: &StateLabel) -> Result<(), AnalysisError> {
        let StateLabel { task, level, instruction, row, .. } = label;
        let refused = |what: &str| {
            let (task, level) = (cut(task), cut(level));
            Err(AnalysisError::Invalid(format!(
                "hidden state of task `{task}`, level `{level}`, instruction {instruction}, row {row}: {what}"
            )))
        };
        let named = [i64::try_from(label.gold).ok(), label.predicted.or(Some(-1))];
        if !named.iter().all(|class| class.is_some_and(|class| (-1..=MOST_CLASS).contains(&class))) {
            let (gold, predicted) = (label.gold, label.predicted.unwrap_or(-1));
            return refused(&format!("class {gold}, answered {predicted}: expected numbers of at most {MOST_CLASS}"));
        }
        if label.predicted.is_some() == self.predicted.is_empty() && self.len() > 0 {
            return refused("either all states have a predicted class or none has");
        }
        let key = [intern(&mut self.tasks, task), intern(&mut self.levels, level), *instruction, *row];
        if self.seen.contains(&key) {
            return refused("the label exists already");
        }
        self.push_distinct(label);
        Ok(())
    }

    /// As [`push`](Self::push), for a label that is known to be valid.
    pub(super) fn push_distinct(&mut self, label: &StateLabel) {
        let key =
            [intern(&mut self.tasks, label.task), intern(&mut self.levels, label.level), label.instruction, label.row];
        self.seen.insert(key);
        self.task.push(key[0]);
        self.level.push(key[1]);
        self.instruction.push(label.instruction);
        self.row.push(label.row);
        self.gold.push(label.gold);
        self.predicted.extend(label.predicted);
    }

    pub(super) fn get(&self, index: usize) -> StateLabel<'_> {
        StateLabel {
            task: &self.tasks[self.task[index]],
            level: &self.levels[self.level[index]],
            instruction: self.instruction[index],
            row: self.row[index],
            gold: self.gold[index],
            predicted: self.predicted.get(index).copied(),
        }
    }
}
