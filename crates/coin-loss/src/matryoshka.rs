//! Losses at several widths of an embedding.

use burn::tensor::Tensor;

use crate::{Batch, Loss, LossError, LossOutput};

/// Matryoshka representation learning (Kusupati et al. 2022): the loss of the first `dim` features, summed over several widths, so
/// that an embedding can be cut to any of them.
///
/// It wraps any loss of embeddings. The statistics are those of the widest.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Batch, InfoNceConfig, Loss, Matryoshka};
/// let device = Device::flex();
/// let rows = Tensor::<2>::from_floats([[1.0, 0.0, 0.5, 0.0], [0.0, 1.0, 0.0, 0.5]], &device);
/// let loss = Matryoshka::new(InfoNceConfig::new().init()?, &[4, 2], &[1.0, 0.5])?;
/// let output = loss.evaluate(Batch::pairs(rows.clone(), rows))?;
/// assert!(output.loss.into_scalar::<f32>() < 1e-6);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Matryoshka<L> {
    loss: L,
    /// Width and weight, widest first.
    widths: Vec<(usize, f64)>,
}

impl<L: Loss> Matryoshka<L> {
    /// Wraps `loss` for the widths `dims` with their weights.
    ///
    /// # Errors
    /// [`LossError::Setting`] if there is no width, if there are not as many weights as widths, or if a width is 0, stands twice, or
    /// has a weight that is negative or not finite.
    pub fn new(loss: L, dims: &[usize], weights: &[f64]) -> Result<Self, LossError> {
        let refuse = |setting, got: String, expected| Err(LossError::Setting { setting, got, expected });
        if dims.is_empty() || dims.len() != weights.len() {
            let got = format!("{} with {} weights", dims.len(), weights.len());
            return refuse("the number of widths", got, "at least one, with a weight for each");
        }
        let mut widths: Vec<(usize, f64)> = dims.iter().copied().zip(weights.iter().copied()).collect();
        widths.sort_by_key(|&(dim, _)| std::cmp::Reverse(dim));
        if widths.iter().any(|&(dim, _)| dim == 0) || widths.windows(2).any(|two| two[0].0 == two[1].0) {
            return refuse("the list of widths", format!("{dims:?}"), "different numbers of at least 1");
        }
        for &weight in weights {
            LossError::check_at_least("the weight of a width", weight, 0.0, "a finite number that is not negative")?;
        }
        Ok(Matryoshka { loss, widths })
    }
}

impl<L: Loss> Loss for Matryoshka<L> {
    fn name(&self) -> &'static str {
        "matryoshka"
    }

    fn evaluate(&self, batch: Batch) -> Result<LossOutput, LossError> {
        let width = batch.views.first().map_or(0, |view| view.dims()[1]);
        let (widest, _) = self.widths[0];
        if widest > width {
            let rows = batch.views.first().map_or(0, |view| view.dims()[0]);
            let expected = format!("[n, d] with d at least {widest}, the widest of the loss");
            return Err(LossError::Shape { argument: "the anchors", got: vec![rows, width], expected });
        }
        let mut sum: Option<LossOutput> = None;
        for &(dim, weight) in &self.widths {
            let output = self.loss.evaluate(batch.truncated(dim))?;
            sum = Some(match sum {
                None => LossOutput {
                    loss: output.loss * weight,
                    per_row: output.per_row.map(|per_row| per_row * weight),
                    statistics: output.statistics,
                },
                Some(sum) => LossOutput {
                    loss: sum.loss + output.loss * weight,
                    per_row: sum.per_row.zip(output.per_row).map(|(sum, per_row)| sum + per_row * weight),
                    statistics: sum.statistics,
                },
            });
        }
        Ok(sum.expect("there is at least one width"))
    }
}

impl Batch {
    /// The batch with the first `dim` features of every row.
    fn truncated(&self, dim: usize) -> Self {
        let matrix = |rows: &Tensor<2>| rows.clone().narrow(1, 0, dim);
        Batch {
            views: self.views.iter().map(matrix).collect(),
            hard_negatives: self.hard_negatives.clone().map(|rows| rows.narrow(2, 0, dim)),
            shared_negatives: self.shared_negatives.as_ref().map(matrix),
            ..self.clone()
        }
    }
}
