//! The values of a step, and their means over micro-batches.

use burn::tensor::Tensor;
use coin_loss::CoinOutput;

use crate::config::Objective;

/// The values of a step, read back from the device.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepValues {
    /// What was minimised.
    pub loss: f64,
    /// The generation loss.
    pub generation: f64,
    /// The contrastive loss before scaling; 0 where no row has a negative.
    pub contrastive: f64,
    /// What of it entered the sum.
    pub scaled: f64,
    /// Share of rows with a negative: an unmasked column beside their own.
    pub contrasted: f64,
    /// Share of these rows whose positive ranks above every unmasked column; none where there is no such row.
    pub accuracy: Option<f64>,
    /// Mean cosine of positives.
    pub similarity_positive: f64,
    /// Mean cosine of unmasked negatives; none where there is none.
    pub similarity_negative: Option<f64>,
}

impl StepValues {
    pub(super) const COUNT: usize = 8;

    pub(super) fn new(kind: Objective, generation: f64, output: &CoinOutput) -> Self {
        let scaled = if kind == Objective::Coin { scalar(&output.scaled) } else { 0.0 };
        let contrastive = &output.contrastive;
        let contrasted = scalar(&contrastive.contrasted);
        let of_negatives = |value: &Tensor<1>| (contrasted > 0.0).then(|| scalar(value));
        StepValues {
            loss: generation + scaled,
            generation,
            contrastive: scalar(&contrastive.loss),
            scaled,
            contrasted,
            accuracy: of_negatives(&contrastive.accuracy),
            similarity_positive: scalar(&contrastive.similarity_positive),
            similarity_negative: of_negatives(&contrastive.similarity_negative),
        }
    }

    /// Summands from which [`mean`](Self::mean) computes the mean of several micro-batches. What is measured on rows with a
    /// negative is weighted by their share, so that a micro-batch without them has no part in it.
    pub(super) fn summands(self) -> [f64; Self::COUNT] {
        let StepValues { loss, generation, contrastive, scaled, contrasted, similarity_positive, .. } = self;
        let weighted = |value: Option<f64>| value.map_or(0.0, |value| value * contrasted);
        let (accuracy, similarity_negative) = (weighted(self.accuracy), weighted(self.similarity_negative));
        [loss, generation, contrastive, scaled, contrasted, accuracy, similarity_positive, similarity_negative]
    }

    /// The mean of `count` micro-batches from the sums of their summands.
    pub(super) fn mean(sums: [f64; Self::COUNT], count: usize) -> Self {
        let [loss, generation, contrastive, scaled, contrasted, accuracy, similarity_positive, similarity_negative] =
            sums;
        let count = count as f64;
        StepValues {
            loss: loss / count,
            generation: generation / count,
            contrastive: contrastive / count,
            scaled: scaled / count,
            contrasted: contrasted / count,
            accuracy: ratio(accuracy, contrasted),
            similarity_positive: similarity_positive / count,
            similarity_negative: ratio(similarity_negative, contrasted),
        }
    }
}

/// The value of `[1]`.
pub(crate) fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

/// `sum` over `weight`; none where nothing was weighed.
pub(crate) fn ratio(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_batch_without_negatives_has_no_part_in_their_means() {
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
