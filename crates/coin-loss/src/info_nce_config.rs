//! Settings of InfoNCE.

use serde::{Deserialize, Serialize};

use crate::settings::config;
use crate::{Evaluation, LossError, Similarity};

/// The direction of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Anchors select their positives and positives their anchors; the mean of both (the paper's, and the default).
    #[default]
    Symmetric,
    /// Anchors select their positives, as a query selects its document.
    AnchorToPositive,
    /// One softmax per pair over both: the anchor's positives and the positive's anchors. With
    /// [`contrast_anchors`](InfoNceConfig::contrast_anchors) and [`contrast_positives`](InfoNceConfig::contrast_positives) it is the
    /// improved contrastive loss of GTE (Li et al. 2023). As in the paper, both sides have the pair itself, so the loss of a perfect
    /// model is log 2.
    Joint,
}

/// The negatives whose logits grow with their similarity; see [`InfoNceConfig::hardness`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hardness {
    /// The other positives of the batch, and shared negatives.
    InBatch,
    /// The anchor's own hard negatives.
    Hard,
    /// All of them (the default).
    #[default]
    All,
}

/// Reduction of the rows' terms to the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their mean (the paper's, and the default).
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// No reduction: one term per row. Always uses the plain evaluation.
    None,
}

config! {
    /// Settings of [`InfoNce`](crate::InfoNce).
    #[derive(Copy)]
    InfoNceConfig {
        /// Divides the similarities. Default 0.05 (the paper's).
        temperature / with_temperature: f64 = 0.05,
        /// Minimum of a learnable temperature. Default 0.01 (CLIP's: a scale of at most 100).
        min_temperature / with_min_temperature: f64 = 0.01,
        /// Similarity of two rows. Default [`Similarity::Cosine`] (the paper's).
        similarity / with_similarity: Similarity = Similarity::Cosine,
        /// Direction of the comparison. Default [`Direction::Symmetric`] (the paper's).
        direction / with_direction: Direction = Direction::Symmetric,
        /// True to contrast each anchor with the other anchors too. Always uses the plain evaluation. Default false.
        contrast_anchors / with_contrast_anchors: bool = false,
        /// True to contrast each positive with the other positives too. Always uses the plain evaluation. Default false.
        contrast_positives / with_contrast_positives: bool = false,
        /// Weight of each hard negative; in-batch negatives have weight 1. The logarithm of the weight is added to the logit,
        /// and 0 drops hard negatives. Default 1 (this crate's choice).
        hard_negative_weight / with_hard_negative_weight: f64 = 1.0,
        /// Strength of hardness weighting: `hardness * sg(sim)` is added to a negative's logit, where sg is stop-gradient, so that
        /// harder negatives count more (Lan et al. 2025). Always uses the plain evaluation unless it is 0. Default 0.
        hardness / with_hardness: f64 = 0.0,
        /// The negatives that it applies to. Default [`Hardness::All`].
        hardness_of / with_hardness_of: Hardness = Hardness::All,
        /// Reduction of the rows' terms. Default [`Reduction::Mean`] (the paper's).
        reduction / with_reduction: Reduction = Reduction::Mean,
        /// Evaluation of the similarity matrix. Default [`Evaluation::Auto`] (this crate's choice).
        evaluation / with_evaluation: Evaluation = Evaluation::Auto,
    }
}

impl InfoNceConfig {
    pub(crate) fn check(&self) -> Result<(), LossError> {
        LossError::check_temperature(self.temperature)?;
        LossError::check_temperature(self.min_temperature)?;
        LossError::check_at_least(
            "the weight of hard negatives",
            self.hard_negative_weight,
            0.0,
            "a finite number that is not negative",
        )?;
        LossError::check_at_least("the hardness", self.hardness, 0.0, "a finite number that is not negative")?;
        match self.evaluation {
            Evaluation::Tiled(0) => Err(LossError::Tile),
            Evaluation::Tiled(_) if self.reduction == Reduction::None => Err(LossError::TiledRows),
            Evaluation::Tiled(_) if !self.can_be_tiled() => Err(LossError::Setting {
                setting: "evaluation",
                got: "tiled".to_owned(),
                expected: "`auto` or `plain` with hardness, and where anchors are contrasted with anchors, positives with positives, or jointly",
            }),
            _ => Ok(()),
        }
    }

    /// True if the tiled evaluation knows these settings.
    pub(crate) fn can_be_tiled(&self) -> bool {
        self.reduction != Reduction::None
            && self.direction != Direction::Joint
            && self.hardness == 0.0
            && !self.contrast_anchors
            && !self.contrast_positives
    }
}
