//! `metrics.jsonl`: one line per optimizer step and one per evaluation of the held-out pairs.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::TrainError;

/// Name of the file in a run folder.
pub const METRICS: &str = "metrics.jsonl";

/// Measurements of one optimizer step. Losses are in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Optimizer step, counted from 0.
    pub step: usize,
    /// Passes over the data at the end of the step, as a fraction.
    pub epoch: f64,
    /// Learning rate used in this step.
    pub lr: f64,
    /// The loss that was minimized.
    pub loss: f64,
    /// Sum of the two wordings' mean token losses.
    pub loss_generation: f64,
    /// Contrastive loss before scaling by lambda, measured under `cit` too. None (`null` in the file) if no row has a negative.
    #[serde(deserialize_with = "number_or_null")]
    pub loss_contrastive: Option<f64>,
    /// Scaled contrastive loss in the sum; 0 under `cit`.
    pub loss_contrastive_scaled: f64,
    /// Weighted sum of the added terms, for runs with `[[objective.terms]]` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_terms: Option<f64>,
    /// Share of the rows with a negative whose positive ranks above every unmasked column. None if there is no such row.
    #[serde(deserialize_with = "number_or_null")]
    pub contrastive_accuracy: Option<f64>,
    /// Mean cosine of the pairs' two wordings.
    pub similarity_positive: f64,
    /// Mean cosine of unmasked negatives. None if there are no such negatives.
    #[serde(deserialize_with = "number_or_null")]
    pub similarity_negative: Option<f64>,
    /// Global norm of the gradient before clipping. Infinite if the gradients overflowed, which is `null` in the file.
    #[serde(deserialize_with = "infinite_if_null")]
    pub grad_norm: f64,
    /// Number of pairs in this step.
    pub pairs: usize,
    /// Number of supervised tokens in this step, in both wordings.
    pub supervised_tokens: usize,
    /// Wall-clock seconds of this step.
    pub seconds: f64,
    /// Factor of the loss in the backward pass, for runs in f16 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
    /// Number of steps so far that were skipped because their gradients overflowed, for runs in f16 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_steps: Option<usize>,
}

fn infinite_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// Reads a number or `null`. Unlike for a plain option, the key is required.
fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::deserialize(deserializer)
}

impl StepMetrics {
    /// Returns the finite values, by the name of their curve.
    pub(crate) fn scalars(&self) -> Vec<(&'static str, f64)> {
        numbers([
            ("loss/total", Some(self.loss)),
            ("loss/generation", Some(self.loss_generation)),
            ("loss/contrastive", self.loss_contrastive),
            ("contrastive/accuracy", self.contrastive_accuracy),
            ("contrastive/similarity_positive", Some(self.similarity_positive)),
            ("contrastive/similarity_negative", self.similarity_negative),
            ("optimizer/lr", Some(self.lr)),
            ("optimizer/grad_norm", Some(self.grad_norm)),
        ])
    }
}

/// Returns the finite values.
fn numbers<const N: usize>(values: [(&'static str, Option<f64>); N]) -> Vec<(&'static str, f64)> {
    let finite = |(name, value): (_, Option<f64>)| Some((name, value.filter(|value| value.is_finite())?));
    values.into_iter().filter_map(finite).collect()
}

/// Measurements of an evaluation of the held-out pairs. They are contrasted in groups of 32 pairs in file order. Columns of the
/// same task and target are masked, as in a step of preset `strict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationMetrics {
    /// Always `validation`.
    pub split: String,
    /// Number of optimizer steps before this evaluation.
    pub step: usize,
    /// Sum of the two wordings' mean token losses, over all held-out tokens. Infinite if it is not finite, which is `null` in the
    /// file.
    #[serde(deserialize_with = "infinite_if_null")]
    pub loss_generation: f64,
    /// Contrastive loss before scaling by lambda. None if no row has a negative.
    #[serde(deserialize_with = "number_or_null")]
    pub loss_contrastive: Option<f64>,
    /// Share of the rows with a negative whose positive ranks above every unmasked column. None if there is no such row.
    #[serde(deserialize_with = "number_or_null")]
    pub contrastive_accuracy: Option<f64>,
    /// Share of rows whose positive ranks above the hard negative, which is the other pair of the couple. A row whose hard negative
    /// has the same task and target does not count. None if no row counts.
    #[serde(deserialize_with = "number_or_null")]
    pub hard_negative_accuracy: Option<f64>,
    /// Mean cosine of the pairs' two wordings.
    pub similarity_positive: f64,
    /// Mean cosine of unmasked negatives. None if there are no such negatives.
    #[serde(deserialize_with = "number_or_null")]
    pub similarity_negative: Option<f64>,
    /// Number of held-out pairs.
    pub pairs: usize,
}

impl ValidationMetrics {
    /// Returns the finite values, by the name of their curve.
    pub(crate) fn scalars(&self) -> Vec<(&'static str, f64)> {
        numbers([
            ("validation/loss_generation", Some(self.loss_generation)),
            ("validation/loss_contrastive", self.loss_contrastive),
            ("validation/contrastive_accuracy", self.contrastive_accuracy),
            ("validation/hard_negative_accuracy", self.hard_negative_accuracy),
        ])
    }
}

/// Reads the steps and the evaluations of held-out pairs from a `metrics.jsonl`. An incomplete last line is skipped: a running or
/// killed process may leave one.
///
/// # Errors
/// The file cannot be read, or a line is invalid. The message names path and line.
pub fn read(path: &Path) -> Result<(Vec<StepMetrics>, Vec<ValidationMetrics>), TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let (mut steps, mut validations) = (Vec::new(), Vec::new());
    for (index, (line, kind)) in whole_lines(path, &text)?.into_iter().enumerate() {
        let parsed = match kind.split {
            None => serde_json::from_str(line).map(|metrics| steps.push(metrics)),
            Some(_) => serde_json::from_str(line).map(|metrics| validations.push(metrics)),
        };
        parsed.map_err(|error| TrainError::checkpoint(path, format!("line {}: {error}", index + 1)))?;
    }
    Ok((steps, validations))
}

/// Returns the lines of `text` with their kinds, without an incomplete last line.
fn whole_lines<'a>(path: &Path, text: &'a str) -> Result<Vec<(&'a str, Line)>, TrainError> {
    let count = text.lines().count();
    let mut lines = Vec::with_capacity(count);
    for (index, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(kind) => lines.push((line, kind)),
            Err(_) if index + 1 == count => break,
            Err(error) => return Err(TrainError::checkpoint(path, format!("line {}: {error}", index + 1))),
        }
    }
    Ok(lines)
}

/// The keys that distinguish the two kinds of line.
#[derive(Deserialize)]
struct Line {
    step: usize,
    split: Option<String>,
}

/// Checks that the file contains the first `step` steps of a run.
///
/// # Errors
/// The file cannot be read, or a step is missing. The message names the step.
pub(crate) fn check_reaches(path: &Path, step: usize) -> Result<(), TrainError> {
    reaching(path, step).map(|_| ())
}

/// Checks the file like [`check_reaches`] and returns its text.
fn reaching(path: &Path, step: usize) -> Result<String, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let lines = whole_lines(path, &text)?;
    let steps = lines.iter().filter(|(_, line)| line.split.is_none()).map(|(_, line)| line.step);
    let whole = steps.take(step).enumerate().take_while(|(expected, found)| expected == found).count();
    if whole < step {
        let message = format!(
            "contains steps 1 to {whole} of the {step} before the newest checkpoint; restore the file, or remove the checkpoints \
             of later steps, and --resume continues from an earlier one"
        );
        return Err(TrainError::checkpoint(path, message));
    }
    Ok(text)
}

/// A metrics file that is written line by line.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    pub(crate) fn create(path: &Path) -> Result<Self, TrainError> {
        Ok(MetricsFile { path: path.to_owned(), file: File::create(path).map_err(TrainError::io(path))? })
    }

    /// Opens the file of a run that resumes after `step` steps. Later lines, and an incomplete line of a killed run, are removed.
    ///
    /// # Errors
    /// See [`check_reaches`].
    pub(crate) fn resume(path: &Path, step: usize) -> Result<Self, TrainError> {
        let text = reaching(path, step)?;
        let mut kept = String::new();
        for (line, parsed) in whole_lines(path, &text)? {
            // The evaluation after a step precedes its checkpoint.
            if parsed.step < step || parsed.split.is_some() && parsed.step == step {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        coin_core::file::write_atomically(path, |writer| writer.write_all(kept.as_bytes()))?;
        let file = File::options().append(true).open(path).map_err(TrainError::io(path))?;
        Ok(MetricsFile { path: path.to_owned(), file })
    }

    /// Waits until the lines are on the disk.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::io(&self.path))
    }

    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<(), TrainError> {
        let text = serde_json::to_string(line)
            .map_err(|error| TrainError::Io { path: self.path.clone(), source: error.into() })?;
        writeln!(self.file, "{text}").map_err(TrainError::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_step_is_read_back_and_is_not_in_the_curve_of_norms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let skipped = StepMetrics {
            step: 0,
            epoch: 0.1,
            lr: 1e-4,
            loss: 2.0,
            loss_generation: 1.0,
            loss_contrastive: Some(0.5),
            loss_contrastive_scaled: 1.0,
            loss_terms: None,
            contrastive_accuracy: Some(1.0),
            similarity_positive: 0.9,
            similarity_negative: Some(0.1),
            grad_norm: f64::INFINITY,
            pairs: 4,
            supervised_tokens: 8,
            seconds: 0.1,
            loss_scale: Some(65536.0),
            skipped_steps: Some(1),
        };
        let mut file = MetricsFile::create(&path).unwrap();
        file.write(&skipped).unwrap();
        file.write(&StepMetrics { grad_norm: f64::NAN, ..skipped }).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\"grad_norm\":null").count(), 2, "{text}");
        assert_eq!(read(&path).unwrap().0, [skipped, skipped]);
        assert!(skipped.scalars().iter().all(|(tag, _)| *tag != "optimizer/grad_norm"));
        assert_eq!(StepMetrics { grad_norm: 1.0, ..skipped }.scalars().len(), 8);
        std::fs::write(&path, text.replacen("\"grad_norm\":null,", "", 1)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("grad_norm"));
    }
}
