//! False negatives found by a guide model.

use burn::tensor::{Bool, Tensor};

use crate::statistics::own;
use crate::{Batch, LossError, Similarity};

/// How much less similar than its positive a negative must be to count, in the guide's cosines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// `sim > sim of the positive - margin` is a false negative.
    Absolute(f64),
    /// `sim > sim of the positive - margin |sim of the positive|` is a false negative.
    Relative(f64),
}

/// The embeddings of a guide model for the items of a batch, without a graph.
///
/// GISTEmbed (Solatorio 2024): what the guide finds more similar to an anchor than the anchor's own positive is not used as a
/// negative. With [`contrast_anchors`](crate::InfoNceConfig::contrast_anchors),
/// [`contrast_positives`](crate::InfoNceConfig::contrast_positives) and [`Direction::AnchorToPositive`](crate::Direction) the loss is
/// GISTEmbed's.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Batch, Guide, InfoNceConfig, Margin};
/// let device = Device::flex();
/// let rows = Tensor::<2>::from_floats([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], &device);
/// // The guide finds that the first two items mean the same.
/// let seen = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], &device);
/// let guide = Guide { anchor: seen.clone(), positive: seen, hard_negatives: None, shared_negatives: None };
/// let batch = Batch::pairs(rows.clone(), rows).with_guide(&guide, Margin::Absolute(0.05))?;
/// let output = InfoNceConfig::new().init()?.forward_batch(batch);
/// assert!(output.loss.into_scalar::<f32>() < 1e-5);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Guide {
    /// The anchors, `[n, g]`; g is the guide's width.
    pub anchor: Tensor<2>,
    /// The positives, `[n, g]`.
    pub positive: Tensor<2>,
    /// The hard negatives, `[n, k, g]`, if the batch has any.
    pub hard_negatives: Option<Tensor<3>>,
    /// The shared negatives, `[m, g]`, if the batch has any.
    pub shared_negatives: Option<Tensor<2>>,
}

impl Batch {
    /// Excludes every negative that `guide` finds at least as similar to its anchor as the positive, less `margin`. It replaces the
    /// masks that the batch had.
    ///
    /// # Errors
    /// [`LossError::Shape`] if the guide has other numbers of rows than the batch, and [`LossError::Missing`] if it lacks the batch's
    /// hard or shared negatives.
    pub fn with_guide(mut self, guide: &Guide, margin: Margin) -> Result<Self, LossError> {
        let [n, _] = self.views.first().map_or([0, 0], |view| view.dims());
        let [anchor, positive] = Batch::pairs(guide.anchor.clone(), guide.positive.clone()).into_pairs()?;
        let [rows, _] = anchor.dims();
        if rows != n {
            let expected = format!("[n, g] with n = {n}, as the batch");
            return Err(LossError::Shape { argument: "the guide's anchors", got: anchor.dims().to_vec(), expected });
        }
        let unit = |rows: Tensor<2>| Similarity::Cosine.prepare(rows.without_autodiff());
        let (anchor, positive) = (unit(anchor), unit(positive));
        let product = anchor.clone().matmul(positive.clone().transpose());
        let limit = match margin {
            Margin::Absolute(margin) => own(&product, 0) - margin,
            Margin::Relative(margin) => own(&product, 0) - own(&product, 0).abs() * margin,
        };
        let false_negative = |similarity: Tensor<2>| -> Tensor<2, Bool> {
            let shape = similarity.dims();
            similarity.greater(limit.clone().expand(shape))
        };
        let within = |rows: &Tensor<2>| false_negative(rows.clone().matmul(rows.clone().transpose()));
        (self.excluded_anchors, self.excluded_positives) = (Some(within(&anchor)), Some(within(&positive)));
        if let Some(hard) = &self.hard_negatives {
            let [_, k, _] = hard.dims();
            let rows =
                guide.hard_negatives.clone().ok_or(missing("the guide's hard negatives", "Guide::hard_negatives"))?;
            let [count, of_guide, g] = rows.dims();
            if [count, of_guide] != [n, k] || g != anchor.dims()[1] {
                let expected = format!("[n, k, g] = [{n}, {k}, {}]", anchor.dims()[1]);
                let argument = "the guide's hard negatives";
                return Err(LossError::Shape { argument, got: vec![count, of_guide, g], expected });
            }
            let rows = Similarity::Cosine.prepare_hard(rows.without_autodiff());
            self.hard_excluded = Some(false_negative(crate::similarity::hard_similarity(anchor.clone(), rows)));
        }
        if let Some(shared) = &self.shared_negatives {
            let [m, _] = shared.dims();
            let rows = guide
                .shared_negatives
                .clone()
                .ok_or(missing("the guide's shared negatives", "Guide::shared_negatives"))?;
            if rows.dims() != [m, anchor.dims()[1]] {
                let expected = format!("[m, g] = [{m}, {}]", anchor.dims()[1]);
                let argument = "the guide's shared negatives";
                return Err(LossError::Shape { argument, got: rows.dims().to_vec(), expected });
            }
            self.shared_excluded = Some(false_negative(anchor.clone().matmul(unit(rows).transpose())));
        }
        self.excluded = Some(false_negative(product));
        Ok(self)
    }
}

fn missing(argument: &'static str, method: &'static str) -> LossError {
    LossError::Missing { loss: "the guide", argument, method }
}
