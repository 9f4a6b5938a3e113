//! Measurements of runs during training.

use super::cells::none;
use crate::curve::Curve;
use crate::table::Table;

/// The last step of every run.
pub(crate) fn last_steps(curves: &[Curve]) -> Table {
    let columns = [
        "run",
        "step",
        "generation (nats per token)",
        "contrastive (nats)",
        "ranked first (%)",
        "cosine positive",
        "cosine negative",
    ];
    let show = |value: Option<f64>, factor: f64, decimals: usize| {
        value.map_or(none(), |value| format!("{:.decimals$}", value * factor))
    };
    let row = |curve: &Curve| {
        let last = curve.points.last()?;
        Some(vec![
            curve.run.clone(),
            last.step.to_string(),
            format!("{:.3}", last.loss_generation),
            show(last.loss_contrastive, 1.0, 3),
            show(last.accuracy, 100.0, 1),
            show(last.similarity_positive, 1.0, 3),
            show(last.similarity_negative, 1.0, 3),
        ])
    };
    Table { columns: columns.map(str::to_owned).to_vec(), rows: curves.iter().filter_map(row).collect() }
}
