//! Evaluation of the similarity matrix.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::statistics::Statistics;

/// Trade-off between memory and time in [`InfoNce`](crate::InfoNce), for n pairs of width d.
///
/// All variants give the same loss and the same gradients, up to rounding.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use coin_loss::{Evaluation, InfoNceConfig};
/// let device = Device::flex();
/// let rows = || Tensor::<2>::random([40, 8], Distribution::Default, &device);
/// let (anchor, positive) = (rows(), rows());
/// let loss = |evaluation| InfoNceConfig::new().with_evaluation(evaluation).init().map(|loss| {
///     loss.forward(anchor.clone(), positive.clone(), None).loss.into_scalar::<f32>()
/// });
/// assert!((loss(Evaluation::Plain)? - loss(Evaluation::Tiled(16))?).abs() < 1e-5);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evaluation {
    /// Plain up to 512 pairs, tiled above (the default). Up to 4096 pairs (64 MiB) the tiles are kept for the gradients
    /// instead of being computed twice. [`Reduction::None`](crate::Reduction::None) is always plain.
    #[default]
    Auto,
    /// Computes the n x n matrix in an ordinary graph. With gradients, this keeps about seven matrices of that size.
    Plain,
    /// Processes this many anchors at a time, at least 1; the last block may be smaller. Memory in addition to the inputs
    /// and their gradients: two to three times n x d, plus about four times n x tile (on the CPU, per core, for up to
    /// four cores). If an input is part of a graph, `forward` also computes the gradients, and the similarities are
    /// computed twice.
    Tiled(usize),
}

/// The result of either evaluation.
pub(crate) struct Evaluated {
    pub(crate) loss: Tensor<1>,
    pub(crate) per_row: Tensor<1>,
    pub(crate) statistics: Statistics,
}
