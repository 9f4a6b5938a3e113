//! The values of a step, and their means over micro-batches.

use burn::tensor::Tensor;
use coin_loss::CoinOutput;

use crate::config::Objective;

/// The values of a step, read from the device.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepValues {
    /// The loss that was minimized.
    pub loss: f64,
    /// The generation loss.
    pub generation: f64,
    /// The contrastive loss before scaling; 0 if no row has a negative.
    pub contrastive: f64,
    /// The scaled contrastive loss in the sum.
    pub scaled: f64,
    /// The weighted sum of the added terms.
    pub terms: f64,
    /// Share of rows with a negative, that is, an unmasked column other than their own.
    pub contrasted: f64,
    /// Share of the rows with a negative whose positive ranks above every unmasked column. None if there is no such row.
    pub accuracy: Option<f64>,
    /// Mean cosine of positives.
    pub similarity_positive: f64,
    /// Mean cosine of unmasked negatives. None if there are no such negatives.
    pub similarity_negative: Option<f64>,
}

impl StepValues {
    pub(super) const COUNT: usize = 9;

    pub(super) fn new(kind: Objective, generation: f64, terms: f64, output: &CoinOutput) -> Self {
        let scaled = if kind == Objective::Coin { scalar(&output.scaled) } else { 0.0 };
        let contrastive = &output.contrastive;
        let contrasted = scalar(&contrastive.contrasted);
        let of_negatives = |value: &Tensor<1>| (contrasted > 0.0).then(|| scalar(value));
        StepValues {
            loss: generation + scaled + terms,
            generation,
            terms,
            contrastive: scalar(&contrastive.loss),
            scaled,
            contrasted,
            accuracy: of_negatives(&contrastive.accuracy),
            similarity_positive: scalar(&contrastive.similarity_positive),
            similarity_negative: of_negatives(&contrastive.similarity_negative),
        }
    }

    /// Returns the summands from which [`mean`](Self::mean) computes the mean of several micro-batches. Measurements of rows with a
    /// negative are weighted by the share of such rows, so that a micro-batch without them does not count.
    pub(super) fn summands(self) -> [f64; Self::COUNT] {
        let StepValues { loss, generation, contrastive, scaled, terms, contrasted, similarity_positive, .. } = self;
        let weighted = |value: Option<f64>| value.map_or(0.0, |value| value * contrasted);
        let (accuracy, similarity_negative) = (weighted(self.accuracy), weighted(self.similarity_negative));
        [loss, generation, contrastive, scaled, terms, contrasted, accuracy, similarity_positive, similarity_negative]
    }

    /// Computes the mean of `count` micro-batches from the sums of their summands.
    pub(super) fn mean(sums: [f64; Self::COUNT], count: usize) -> Self {
        let [
            loss,
            generation,
            contrastive,
            scaled,
            terms,
            contrasted,
            accuracy,
            similarity_positive,
            similarity_negative,
        ] = sums;
        let count = count as f64;
        StepValues {
            loss: loss / count,
            generation: generation / count,
            contrastive: contrastive / count,
            scaled: scaled / count,
            terms: terms / count,
            contrasted: contrasted / count,
            accuracy: ratio(accuracy, contrasted),
            similarity_positive: similarity_positive / count,
            similarity_negative: ratio(similarity_negative, contrasted),
        }
    }
}

/// Reads the value of a tensor `[1]`.
pub(crate) fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

/// Returns `sum / weight`, or `None` if the weight is 0.
pub(crate) fn ratio(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_batch_without_negatives_does_not_count_in_their_means() {
        let of = |contrasted, value| StepValues {
            contrasted,
            accuracy: value,
            similarity_negative: value,
            similarity_positive: 1.0,
            ..StepValues::default()
        };
        let mean = |parts: &[StepValues]| {
            let mut sums = [0.0; StepValues::COUNT];
            for part in parts {
                sums.iter_mut().zip(part.summands()).for_each(|(sum, value)| *sum += value);
            }
            StepValues::mean(sums, parts.len())
        };
        let (all, half, none) = (of(1.0, Some(0.25)), of(0.5, Some(1.0)), of(0.0, None));
        assert_eq!(mean(&[all, none]), of(0.5, Some(0.25)));
        assert_eq!(mean(&[all, half, none]), of(0.5, Some(0.5)));
        assert_eq!(mean(&[none, none]), none);
    }
}
