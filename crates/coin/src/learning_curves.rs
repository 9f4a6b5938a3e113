//! The learning curves of training runs, from their `metrics.jsonl` to the report.

use std::path::Path;

use anyhow::{Context, Result};
use coin_eval::Summary;
use coin_eval::report::{Curve, CurvePoint, HeldOutPoint};
use coin_train::{TrainError, metrics};

pub use coin_train::metrics::METRICS;

/// The curves of the run in `folder`, called `name`.
///
/// # Errors
/// The folder has no readable `metrics.jsonl`.
pub fn read(folder: &Path, name: &str) -> Result<Curve, TrainError> {
    let (steps, validations) = metrics::read(&folder.join(METRICS))?;
    let point = |step: &metrics::StepMetrics| CurvePoint {
        step: step.step as u64,
        loss_generation: step.loss_generation,
        loss_contrastive: step.loss_contrastive,
        accuracy: step.contrastive_accuracy,
        similarity_positive: Some(step.similarity_positive),
        similarity_negative: step.similarity_negative,
    };
    let held_out = |metrics: &metrics::ValidationMetrics| HeldOutPoint {
        step: metrics.step as u64,
        loss_generation: metrics.loss_generation,
        accuracy: metrics.contrastive_accuracy,
    };
    Ok(Curve {
        run: name.to_owned(),
        points: steps.iter().map(point).collect(),
        held_out: validations.iter().map(held_out).collect(),
    })
}

/// A summary of no evaluation, for a report of curves alone, with the resolved settings of the run in `folder`.
///
/// # Errors
/// The folder has no readable `config.resolved.toml`.
pub fn settings_only(folder: &Path) -> Result<Summary> {
    let path = folder.join("config.resolved.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let settings: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
    let settings = serde_json::to_value(settings)?.as_object().cloned().unwrap_or_default();
    Ok(Summary::new(settings, Vec::new()))
}
