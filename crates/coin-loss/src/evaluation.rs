//! How the matrix of similarities is evaluated.

/// Memory against time in [`InfoNce`](crate::InfoNce), for n pairs of width d.
///
/// All give the same loss and the same gradients, up to rounding.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Evaluation {
    /// Plain up to 512 pairs, tiled beyond (the default). Up to 4096 pairs, 64 MiB, the tiles are kept for the
    /// gradients instead of being computed twice. [`Reduction::None`](crate::Reduction::None) is always plain.
    #[default]
    Auto,
    /// The n x n matrix as an ordinary graph: about seven matrices of that size with gradients.
    Plain,
    /// So many anchors at a time, at least 1; the last block may be smaller. Memory beyond inputs and their gradients:
    /// two to three times n x d, and about four times n x tile, on the CPU for each core up to four. The gradients are
    /// computed within `forward` where an input is part of a graph, in which case the similarities are computed twice.
    Tiled(usize),
}
