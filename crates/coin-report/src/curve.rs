//! Learning curves: what a run measured while it was trained.

/// What one run measured while it was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The run's name; the color is that of the run of this name in the summary.
    pub run: String,
    /// In the order of the steps.
    pub points: Vec<CurvePoint>,
    /// Evaluations on held-out pairs, in the order of the steps; may be empty.
    pub held_out: Vec<HeldOutPoint>,
}

/// What one optimizer step measured on its own batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The step, from 0.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Contrastive loss before its weight, in nats; none where the run has none, or the step no negative.
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
    /// Optimizer steps done before it.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Share of pairs whose positive ranks first; none where no pair has a negative.
    pub accuracy: Option<f64>,
}
