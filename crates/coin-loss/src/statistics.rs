//! Statistics of positives and negatives: share of rows with a negative, accuracy and mean similarities.

use burn::tensor::{Bool, DType, Device, Tensor};

use crate::logits::{LEFT_OUT, NegativeLogits};

/// The statistics of [`InfoNceOutput`](crate::InfoNceOutput), `[1]` each.
pub(crate) struct Statistics {
    pub(crate) contrasted: Tensor<1>,
    pub(crate) accuracy: Tensor<1>,
    pub(crate) similarity_positive: Tensor<1>,
    pub(crate) similarity_negative: Tensor<1>,
}

/// Sums over rows, `[1]` each, for the statistics of [`InfoNceOutput`](crate::InfoNceOutput).
pub(crate) struct Tally {
    positive: Tensor<1>,
    negative: Tensor<1>,
    negatives: Tensor<1>,
    /// Number of rows with a negative.
    contrasted: Tensor<1>,
    /// Number of these rows whose positive ranks first.
    right: Tensor<1>,
}

impl Tally {
    /// Computes the sums of a block of rows, and the block with its excluded entries filled.
    ///
    /// - block: `[count, n]`, similarities times the scale, outside any graph; row 0 is row `first` of the batch
    /// - left_out: the same shape
    /// - more: negatives that are not in the batch
    pub(crate) fn new(
        block: Tensor<2>,
        first: usize,
        left_out: Option<Tensor<2, Bool>>,
        more: &[&NegativeLogits],
    ) -> (Self, Tensor<2>) {
        let [count, n] = block.dims();
        let device = block.device();
        let own = own(&block, first);
        let positive = own.clone().sum();
        let all = ((n - 1) * count) as f64;
        let (mut negative, mut negatives, block) = match left_out {
            None => (block.clone().sum(), Tensor::from_floats([all as f32], &device), block),
            Some(out) => (
                block.clone().mask_fill(out.clone(), 0.0).sum(),
                out.clone().float().sum_dim(1).sum().neg() + all,
                block.mask_fill(out, LEFT_OUT),
            ),
        };
        negative = negative - positive.clone();
        let mut best = best_negative(&block, first);
        for more in more {
            let logits = more.logits.clone().without_autodiff();
            let all = logits.shape().num_elements() as f64;
            let (sum, count, logits) = match &more.masked {
                None => (logits.clone().sum(), None, logits),
                Some(masked) => (
                    logits.clone().mask_fill(masked.clone(), 0.0).sum(),
                    Some(masked.clone().float().cast(DType::F32).sum()),
                    logits.mask_fill(masked.clone(), LEFT_OUT),
                ),
            };
            negative = negative + sum;
            negatives = match count {
                None => negatives + all,
                Some(masked) => negatives - masked + all,
            };
            best = best.max_pair(logits.max_dim(1));
        }
        // In a row without a negative, the rank of the positive is meaningless.
        let has_negative = best.clone().greater_elem(LEFT_OUT);
        let right = own.greater(best).bool_and(has_negative.clone()).float().sum();
        let contrasted = has_negative.float().sum();
        (Tally { positive, negative, negatives, contrasted, right }, block)
    }

    /// The sums over zero rows.
    pub(crate) fn empty(device: &Device) -> Self {
        let zero = Tensor::zeros([1], (device, DType::F32));
        Tally {
            positive: zero.clone(),
            negative: zero.clone(),
            negatives: zero.clone(),
            contrasted: zero.clone(),
            right: zero,
        }
    }

    /// Adds two tallies.
    pub(crate) fn plus(self, other: Self) -> Self {
        Tally {
            positive: self.positive + other.positive,
            negative: self.negative + other.negative,
            negatives: self.negatives + other.negatives,
            contrasted: self.contrasted + other.contrasted,
            right: self.right + other.right,
        }
    }

    /// Returns the statistics of `n` rows.
    pub(crate) fn finish(self, n: usize, scale: Tensor<1>) -> Statistics {
        let n = n as f64;
        // Without negatives the sum is a rounding error, not 0.
        let none = self.negatives.clone().equal_elem(0.0);
        let negative = self.negative / self.negatives.clamp_min(1.0) / scale.clone();
        Statistics {
            contrasted: self.contrasted.clone() / n,
            accuracy: self.right / self.contrasted.clamp_min(1.0),
            similarity_positive: self.positive / n / scale,
            similarity_negative: negative.mask_fill(none, 0.0),
        }
    }
}

/// The positives' entries of a block, `[count, 1]`.
pub(crate) fn own(block: &Tensor<2>, first: usize) -> Tensor<2> {
    let [count, _] = block.dims();
    let square = block.clone().narrow(1, first, count);
    let off = Tensor::<2, Bool>::diag_mask([count, count], 0, &block.device());
    square.mask_fill(off, 0.0).sum_dim(1)
}

/// The largest entry of each row, except the positive's, `[count, 1]`.
fn best_negative(block: &Tensor<2>, first: usize) -> Tensor<2> {
    let [count, n] = block.dims();
    let diagonal = Tensor::<2, Bool>::diag_mask([count, count], 0, &block.device()).bool_not();
    let mut best = block.clone().narrow(1, first, count).mask_fill(diagonal, LEFT_OUT).max_dim(1);
    if first > 0 {
        best = best.max_pair(block.clone().narrow(1, 0, first).max_dim(1));
    }
    let behind = n - first - count;
    if behind > 0 {
        best = best.max_pair(block.clone().narrow(1, first + count, behind).max_dim(1));
    }
    best
}
