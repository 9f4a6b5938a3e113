//! Learning curves: the values that a run measured during training.

/// The learning curve of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The run's name. The curve has the color of the run with this name in the summary.
    pub run: String,
    /// The points in step order.
    pub points: Vec<CurvePoint>,
    /// Evaluations on held-out pairs, in step order. May be empty.
    pub held_out: Vec<HeldOutPoint>,
}

/// The values of one optimizer step, measured on its batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The step, from 0.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Contrastive loss before weighting, in nats. None if the run does not have this loss or the step has no negatives.
    pub loss_contrastive: Option<f64>,
    /// Share of pairs whose positive ranks first.
    pub accuracy: Option<f64>,
    /// Mean cosine of positives.
    pub similarity_positive: Option<f64>,
    /// Mean cosine of negatives.
    pub similarity_negative: Option<f64>,
}

/// One evaluation on held-out pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutPoint {
    /// Number of optimizer steps completed before the evaluation.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Share of pairs whose positive ranks first. None if no pair has a negative.
    pub accuracy: Option<f64>,
}
