//! The hidden states of a run with what they are states of.
//!
//! A state is the model's last hidden state, after the last norm, at the last prompt token
//! ([`Generation::hidden`](crate::Generation::hidden)): what the paper maps in two dimensions and what its contrastive loss
//! pulls together. All states of a run are in one safetensors file, described in `docs/formats.md`, which `numpy` and
//! `torch` open as it is. [`RepresentationWriter`] writes it while a run goes on, without holding the states in memory.

mod collect;
mod file;
mod labels;
mod writer;

use std::path::Path;

use coin_core::quote::cut;

pub use collect::collect;
pub use writer::RepresentationWriter;

use crate::levels::CLEAN;
use crate::{EvalError, Points};
use labels::Labels;

/// What one hidden state is the state of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLabel<'a> {
    /// The task's name.
    pub task: &'a str,
    /// The perturbation level, such as `clean`.
    pub level: &'a str,
    /// Which of the level's instructions, from 0.
    pub instruction: usize,
    /// The example's row number in its data set.
    pub row: usize,
    /// The example's class.
    pub gold: usize,
    /// The class that the model answered, -1 if its answer names none; `None` where only states were computed. Either all
    /// states of a file have one or none has.
    pub predicted: Option<i64>,
}

/// By what states are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// The task.
    Task,
    /// The perturbation level.
    Level,
    /// Clean or not.
    Perturbed,
    /// The task's class: the same number in two tasks is two groups.
    Gold,
}

/// The hidden states of one run, `[n, d_model]`, with their labels.
///
/// ```
/// use coin_eval::{Representations, StateLabel};
/// let mut states = Representations::new("model-1");
/// let clean = StateLabel { task: "cola", level: "clean", instruction: 0, row: 7, gold: 1, predicted: Some(1) };
/// states.push(&clean, &[0.5, -1.0, 2.0])?;
/// states.push(&StateLabel { level: "semantic", ..clean }, &[0.5, -1.0, 1.5])?;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("states.safetensors");
/// states.write(&path)?;
/// let read = Representations::read(&path)?;
/// assert_eq!(read, states);
/// assert_eq!((read.len(), read.width(), read.label(1).level), (2, 3, "semantic"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Representations {
    model: String,
    width: usize,
    labels: Labels,
    hidden: Vec<f32>,
}

impl Representations {
    /// No states yet, of the model with this fingerprint.
    pub fn new(model: impl Into<String>) -> Self {
        Representations { model: model.into(), width: 0, labels: Labels::default(), hidden: Vec::new() }
    }

    /// Adds a state. The first one decides the width.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] if the state has another width, is empty or not finite, if there is one with the same
    /// task, level, instruction and row, or if only some states have a predicted class.
    pub fn push(&mut self, label: &StateLabel, state: &[f32]) -> Result<(), EvalError> {
        check(label, state, &mut self.width)?;
        self.labels.push(label)?;
        self.hidden.extend_from_slice(state);
        Ok(())
    }

    /// Reads a file that [`write`](Self::write) or a [`RepresentationWriter`] wrote.
    ///
    /// # Errors
    /// [`EvalError::Io`] if the file cannot be read; [`EvalError::Malformed`] if it is cut short, is no safetensors file,
    /// lacks a tensor or a name, or has one of another type or shape.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, EvalError> {
        file::read(path.as_ref())
    }

    /// Writes all states to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`EvalError::Io`]; [`EvalError::Invalid`] if there are none.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        file::write(path.as_ref(), &self.model, self.width, &self.labels, &mut |writer| {
            self.hidden.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()))
        })
    }

    /// The fingerprint of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `d_model`; 0 where there is no state.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The tasks, in the order in which they first came.
    pub fn tasks(&self) -> &[String] {
        &self.labels.tasks
    }

    /// The levels, in the order in which they first came.
    pub fn levels(&self) -> &[String] {
        &self.labels.levels
    }

    /// What a state is the state of.
    ///
    /// # Panics
    /// If there is no state `index`, as a slice does.
    pub fn label(&self, index: usize) -> StateLabel<'_> {
        self.labels.get(index)
    }

    /// All labels, in the order of the states.
    pub fn labels(&self) -> impl Iterator<Item = StateLabel<'_>> {
        (0..self.len()).map(|index| self.label(index))
    }

    /// A state, `[d_model]`.
    ///
    /// # Panics
    /// If there is no state `index`, as a slice does.
    pub fn state(&self, index: usize) -> &[f32] {
        &self.hidden[index * self.width..][..self.width]
    }

    /// All states, `[n, d_model]`.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] if there is none.
    pub fn points(&self) -> Result<Points<'_>, EvalError> {
        Points::new(&self.hidden, self.width)
    }

    /// The states whose labels `keep` is true of, such as those of one task.
    pub fn only(&self, keep: impl Fn(&StateLabel) -> bool) -> Representations {
        let mut labels = Labels::default();
        let mut hidden = Vec::new();
        for index in (0..self.len()).filter(|index| keep(&self.label(*index))) {
            labels.push_distinct(&self.label(index));
            hidden.extend_from_slice(self.state(index));
        }
        Representations { model: self.model.clone(), width: self.width, labels, hidden }
    }

    /// The group of each state, as numbers from 0 in the order in which groups first come, with their names.
    pub fn groups(&self, by: Grouping) -> (Vec<usize>, Vec<String>) {
        let mut names: Vec<String> = Vec::new();
        let of = |label: StateLabel| match by {
            Grouping::Task => label.task.to_owned(),
            Grouping::Level => label.level.to_owned(),
            Grouping::Perturbed => if label.level == CLEAN { CLEAN } else { "perturbed" }.to_owned(),
            Grouping::Gold => format!("{} {}", label.task, label.gold),
        };
        let groups = self.labels().map(|label| labels::intern(&mut names, &of(label))).collect();
        (groups, names)
    }
}

/// Refuses what is no state of a model with states of `width` numbers; a width of 0 is not decided yet.
fn check(label: &StateLabel, state: &[f32], width: &mut usize) -> Result<(), EvalError> {
    let refused = |what: String| {
        let StateLabel { instruction, row, .. } = label;
        let (task, level) = (cut(label.task), cut(label.level));
        Err(EvalError::Invalid(format!(
            "hidden state of task `{task}`, level `{level}`, instruction {instruction}, row {row}: {what}"
        )))
    };
    if state.is_empty() || (*width > 0 && state.len() != *width) {
        return refused(format!("{} numbers, expected {}", state.len(), (*width).max(1)));
    }
    if state.iter().any(|value| !value.is_finite()) {
        return refused("not finite".to_owned());
    }
    *width = state.len();
    Ok(())
}

#[cfg(test)]
mod tests;
