//! Losses of pairs that were scored for their similarity: CoSENT and AnglE.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::batch::Part;
use crate::logits::LEFT_OUT;
use crate::loss::forward;
use crate::settings::config;
use crate::{Batch, LossError, LossOutput, Similarity};

/// How similar the two views of an item are, for [`CoSent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairSimilarity {
    /// Their cosine (CoSENT).
    #[default]
    Cosine,
    /// Their angle as complex numbers (AnglE): with x = a + bi and y = c + di, the halves of the rows (of an odd number of features
    /// the last has no imaginary part),
    /// `|sum(a c + b d) + sum(b c - a d)| / (|x| |y|)`. Its gradient does not vanish where the cosine is near 1 or -1.
    Angle,
}

config! {
    /// Settings of [`CoSent`].
    #[derive(Copy)]
    CoSentConfig {
        /// Factor of the similarities. Default 20 (that of both papers' programs).
        scale / with_scale: f64 = 20.0,
        /// Similarity of the two views of an item. Default [`PairSimilarity::Cosine`].
        similarity / with_similarity: PairSimilarity = PairSimilarity::Cosine,
    }
}

impl CoSentConfig {
    /// Returns the settings of AnglE.
    pub fn angle() -> Self {
        Self::new().with_similarity(PairSimilarity::Angle)
    }

    /// Builds the loss.
    ///
    /// # Errors
    /// [`LossError::Setting`] unless the scale is positive and finite.
    pub fn init(&self) -> Result<CoSent, LossError> {
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            let (setting, expected) = ("the scale", "a positive number");
            return Err(LossError::Setting { setting, got: self.scale.to_string(), expected });
        }
        Ok(CoSent { config: *self })
    }
}

/// Ranking of scored pairs: of two items, the one with the higher score should be the more similar (CoSENT, Su 2022; with
/// [`PairSimilarity::Angle`] AnglE, Li and Li 2023).
///
/// ```text
/// s_i = scale sim(a_i, p_i)
/// L   = log( 1 + sum_{score_i < score_j} exp(s_i - s_j) )
/// ```
///
/// Only the order of the scores matters. Use it for pairs with graded similarity, such as those of STS.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Batch, CoSentConfig};
/// let device = Device::flex();
/// let anchor = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0]], &device);
/// let positive = Tensor::<2>::from_floats([[1.0, 0.1], [0.0, 1.0]], &device);
/// let batch = |scores: [f32; 2]| {
///     Batch::pairs(anchor.clone(), positive.clone()).with_scores(Tensor::from_floats(scores, &device))
/// };
/// let loss = CoSentConfig::new().init()?;
/// assert!(loss.forward(batch([5.0, 1.0])).loss.into_scalar::<f32>() < 1e-6);
/// assert!(loss.forward(batch([1.0, 5.0])).loss.into_scalar::<f32>() > 19.0);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoSent {
    config: CoSentConfig,
}

impl CoSent {
    fn checked(&self, batch: Batch) -> Result<LossOutput, LossError> {
        let [n, d] = batch.check("CoSENT", 2..=2, &[], &[Part::Scores])?;
        let unit = |rows: &Tensor<2>| Similarity::Cosine.prepare(rows.clone());
        let (anchor, positive) = (unit(batch.anchor()), unit(batch.positive()));
        let similarity = match self.config.similarity {
            PairSimilarity::Cosine => (anchor * positive).sum_dim(1),
            PairSimilarity::Angle => {
                let (real, imaginary) = (d.div_ceil(2), d / 2);
                let half = |rows: &Tensor<2>, at: usize| {
                    let part =
                        if at == 0 { rows.clone().narrow(1, 0, real) } else { rows.clone().narrow(1, real, imaginary) };
                    let missing = real - part.dims()[1];
                    if missing == 0 {
                        part
                    } else {
                        Tensor::cat(vec![part, Tensor::zeros([n, missing], &rows.device())], 1)
                    }
                };
                let cross = half(&anchor, 1) * half(&positive, 0) - half(&anchor, 0) * half(&positive, 1);
                ((anchor * positive).sum_dim(1) + cross.sum_dim(1)).abs()
            }
        };
        let scaled = similarity.clone() * self.config.scale;
        let scores = batch.scores.expect("checked above").without_autodiff().cast(DType::F32);
        let ordered = scores.clone().unsqueeze_dim::<2>(1).lower(scores.unsqueeze_dim::<2>(0));
        let differences = (scaled.clone() - scaled.transpose()).mask_fill(ordered.bool_not(), LEFT_OUT);
        // One more candidate at 0 is the 1 in the logarithm.
        let zero = Tensor::<1>::zeros([1], (&differences.device(), DType::F32));
        let all = Tensor::cat(vec![zero, differences.reshape([n * n])], 0);
        let maximum = all.clone().without_autodiff().max();
        let loss = (all - maximum.clone()).exp().sum().log() + maximum;
        Ok(LossOutput::new(loss).with_statistic("similarity_positive", similarity.mean()))
    }
}

forward!(CoSent, "cosent", direction: |_| true);
