//! Settings of InfoNCE.

use crate::{Evaluation, LossError, Similarity};

/// The direction of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Anchors select their positives and positives their anchors; the mean of both (the paper's, and the default).
    #[default]
    Symmetric,
    /// Anchors select their positives, as a query selects its document.
    AnchorToPositive,
}

/// Reduction of the rows' terms to the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean (the paper's, and the default).
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// No reduction: one term per row. Always uses the plain evaluation.
    None,
}

/// Settings of [`InfoNce`](crate::InfoNce).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoNceConfig {
    /// Divides the similarities. Default 0.05 (the paper's).
    pub temperature: f64,
    /// Minimum of a learnable temperature. Default 0.01 (CLIP's: a scale of at most 100).
    pub min_temperature: f64,
    /// Similarity of two rows. Default [`Similarity::Cosine`] (the paper's).
    pub similarity: Similarity,
    /// Direction of the comparison. Default [`Direction::Symmetric`] (the paper's).
    pub direction: Direction,
    /// Weight of each hard negative; in-batch negatives have weight 1. The logarithm of the weight is added to the logit,
    /// and 0 drops hard negatives. Default 1 (this crate's choice).
    pub hard_negative_weight: f64,
    /// Reduction of the rows' terms. Default [`Reduction::Mean`] (the paper's).
    pub reduction: Reduction,
    /// Evaluation of the similarity matrix. Default [`Evaluation::Auto`] (this crate's choice).
    pub evaluation: Evaluation,
}

impl InfoNceConfig {
    /// Returns the paper's settings.
    pub fn new() -> Self {
        InfoNceConfig {
            temperature: 0.05,
            min_temperature: 0.01,
            similarity: Similarity::Cosine,
            direction: Direction::Symmetric,
            hard_negative_weight: 1.0,
            reduction: Reduction::Mean,
            evaluation: Evaluation::Auto,
        }
    }

    /// Sets the temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Sets the minimum of a learnable temperature.
    pub fn with_min_temperature(mut self, temperature: f64) -> Self {
        self.min_temperature = temperature;
        self
    }

    /// Sets the similarity.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// Sets the direction.
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Sets the weight of hard negatives.
    pub fn with_hard_negative_weight(mut self, weight: f64) -> Self {
        self.hard_negative_weight = weight;
        self
    }

    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Sets the evaluation.
    pub fn with_evaluation(mut self, evaluation: Evaluation) -> Self {
        self.evaluation = evaluation;
        self
    }

    pub(crate) fn check(&self) -> Result<(), LossError> {
        LossError::check_temperature(self.temperature)?;
        LossError::check_temperature(self.min_temperature)?;
        if !(self.hard_negative_weight >= 0.0 && self.hard_negative_weight.is_finite()) {
            return Err(LossError::HardNegativeWeight(self.hard_negative_weight));
        }
        match self.evaluation {
            Evaluation::Tiled(0) => Err(LossError::Tile),
            Evaluation::Tiled(_) if self.reduction == Reduction::None => Err(LossError::TiledRows),
            _ => Ok(()),
        }
    }
}

impl Default for InfoNceConfig {
    fn default() -> Self {
        Self::new()
    }
}
