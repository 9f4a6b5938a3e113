//! Logits of a softmax that are left out of it, or that do not come from the batch.

use burn::tensor::{Bool, DType, Tensor};

/// Value of an excluded logit: far below any other, but finite, so that the backward pass does not produce NaN.
pub(crate) const LEFT_OUT: f64 = -1e30;

/// Logits of negatives that are not in the batch, `[count, k]`, times the scale.
#[derive(Clone)]
pub(crate) struct NegativeLogits {
    pub(crate) logits: Tensor<2>,
    /// True where there is no negative.
    pub(crate) masked: Option<Tensor<2, Bool>>,
    /// The logarithm of all weights, or of each, `[count, k]`.
    weight: f64,
    weights: Option<Tensor<2>>,
    /// Added to the logits, `[count, k]`.
    penalty: Option<Tensor<2>>,
}

impl NegativeLogits {
    pub(crate) fn new(
        logits: Tensor<2>,
        masked: Option<Tensor<2, Bool>>,
        weight: f64,
        weights: Option<Tensor<2>>,
    ) -> Self {
        // The logarithm of a weight of 0 is not used, since its negative is masked.
        let weights = weights.map(|weights| weights.without_autodiff().cast(DType::F32).clamp_min(1e-30).log());
        NegativeLogits { logits, masked, weight: weight.ln(), weights, penalty: None }
    }

    pub(crate) fn with_penalty(self, penalty: Option<Tensor<2>>) -> Self {
        NegativeLogits { penalty, ..self }
    }

    /// The logits as they enter the softmax: with the logarithms of their weights, and with masked entries filled.
    pub(crate) fn into_candidates(self) -> Tensor<2> {
        let logits = if self.weight == 0.0 { self.logits } else { self.logits + self.weight };
        let logits = match self.weights {
            Some(weights) => logits + weights,
            None => logits,
        };
        let logits = match self.penalty {
            Some(penalty) => logits + penalty,
            None => logits,
        };
        match self.masked {
            Some(masked) => logits.mask_fill(masked, LEFT_OUT),
            None => logits,
        }
    }
}
