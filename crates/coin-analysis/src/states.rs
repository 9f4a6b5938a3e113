//! The hidden states of a run and their labels.
//!
//! A state is the model's last hidden state, after the last norm, at the last prompt token. The paper maps these states in two
//! dimensions, and its contrastive loss pulls them together. All states of a run are in one safetensors file, described in
//! `docs/formats.md`, which can be opened directly with `numpy` and `torch`. [`RepresentationWriter`] writes the file during a
//! run without holding the states in memory.

mod file;
mod labels;
mod writer;

use std::path::Path;

use coin_core::quote::cut;

pub use writer::RepresentationWriter;

use crate::{AnalysisError, Points};
use labels::Labels;

/// The level that other levels are compared with.
pub(crate) const CLEAN: &str = "clean";

/// The label of a hidden state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLabel<'a> {
    /// The task's name.
    pub task: &'a str,
    /// The perturbation level, such as `clean`.
    pub level: &'a str,
    /// Zero-based index of the instruction within the level.
    pub instruction: usize,
    /// Row number of the example in its data set.
    pub row: usize,
    /// The example's class.
    pub gold: usize,
    /// The class that the model answered, or -1 if the answer does not name a class. `None` if only states were computed. In a
    /// file, either all states have a predicted class or none has.
    pub predicted: Option<i64>,
}

/// The label that states are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// The task.
    Task,
    /// The perturbation level.
    Level,
    /// Clean or perturbed.
    Perturbed,
    /// The class within the task; the same class number in two tasks makes two groups.
    Gold,
}

/// The hidden states of a run, `[n, d_model]`, with their labels.
///
/// ```
/// use coin_analysis::{Representations, StateLabel};
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
    /// An empty set of states of the model with the fingerprint `model`.
    pub fn new(model: impl Into<String>) -> Self {
        Representations { model: model.into(), width: 0, labels: Labels::default(), hidden: Vec::new() }
    }

    /// Adds a state. The first state sets the width.
    ///
    /// # Errors
    /// [`AnalysisError::Invalid`] if the state has a different width, is empty or is not finite; if a state with the same
    /// task, level, instruction and row exists; or if only some states have a predicted class.
    pub fn push(&mut self, label: &StateLabel, state: &[f32]) -> Result<(), AnalysisError> {
        check(label, state, &mut self.width)?;
        self.labels.push(label)?;
        self.hidden.extend_from_slice(state);
        Ok(())
    }

    /// Reads a file written by [`write`](Self::write) or a [`RepresentationWriter`].
    ///
    /// # Errors
    /// [`AnalysisError::Io`] if the file cannot be read; [`AnalysisError::Malformed`] if it is truncated, is not a safetensors
    /// file, lacks a tensor or a name, or has a tensor of the wrong type or shape.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, AnalysisError> {
        file::read(path.as_ref())
    }

    /// Writes all states to `path` atomically.
    ///
    /// # Errors
    /// [`AnalysisError::Io`]; [`AnalysisError::Invalid`] if the set is empty.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), AnalysisError> {
        file::write(path.as_ref(), &self.model, self.width, &self.labels, &mut |writer| {
            self.hidden.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()))
        })
    }

    /// The fingerprint of the model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Number of states.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `d_model`, or 0 if the set is empty.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The tasks, in order of first appearance.
    pub fn tasks(&self) -> &[String] {
        &self.labels.tasks
    }

    /// The levels, in order of first appearance.
    pub fn levels(&self) -> &[String] {
        &self.labels.levels
    }

    /// The label of the state `index`.
    ///
    /// # Panics
    /// If `index` is out of bounds.
    pub fn label(&self, index: usize) -> StateLabel<'_> {
        self.labels.get(index)
    }

    /// All labels, in the order of the states.
    pub fn labels(&self) -> impl Iterator<Item = StateLabel<'_>> {
        (0..self.len()).map(|index| self.label(index))
    }

    /// The state `index`, `[d_model]`.
    ///
    /// # Panics
    /// If `index` is out of bounds.
    pub fn state(&self, index: usize) -> &[f32] {
        &self.hidden[index * self.width..][..self.width]
    }

    /// All states, `[n, d_model]`.
    ///
    /// # Errors
    /// [`AnalysisError::Invalid`] if the set is empty.
    pub fn points(&self) -> Result<Points<'_>, AnalysisError> {
        Points::new(&self.hidden, self.width)
    }

    /// Returns the states whose labels satisfy `keep`, such as those of one task.
    pub fn only(&self, keep: impl Fn(&StateLabel) -> bool) -> Representations {
        let mut labels = Labels::default();
        let mut hidden = Vec::new();
        for index in (0..self.len()).filter(|index| keep(&self.label(*index))) {
            labels.push_distinct(&self.label(index));
            hidden.extend_from_slice(self.state(index));
        }
        Representations { model: self.model.clone(), width: self.width, labels, hidden }
    }

    /// Returns the group number of each state and the names of the groups. Groups are numbered from 0 in order of first
    /// appearance.
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

/// Checks that `state` has `width` finite values. A width of 0 is not set yet and is set here.
fn check(label: &StateLabel, state: &[f32], width: &mut usize) -> Result<(), AnalysisError> {
    let refused = |what: String| {
        let StateLabel { instruction, row, .. } = label;
        let (task, level) = (cut(label.task), cut(label.level));
        Err(AnalysisError::Invalid(format!(
            "hidden state of task `{task}`, level `{level}`, instruction {instruction}, row {row}: {what}"
        )))
    };
    if state.is_empty() || (*width > 0 && state.len() != *width) {
        return refused(format!("{} values, expected {}", state.len(), (*width).max(1)));
    }
    if state.iter().any(|value| !value.is_finite()) {
        return refused("not finite".to_owned());
    }
    *width = state.len();
    Ok(())
}

#[cfg(test)]
mod tests;
