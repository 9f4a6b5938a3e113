//! The error type of gradient caching.

use std::ops::Range;

use crate::collective::CollectiveError;

/// A failure of [`GradientCache`](crate::GradientCache). `items` are positions among the rank's own items.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GradientCacheError {
    /// A micro-batch must contain at least one item.
    #[error("a micro-batch must contain at least 1 item, got 0")]
    MicroBatch,
    /// The tolerance must be a number from 0.
    #[error("the tolerance between the two passes must be a number from 0, got {0}")]
    Tolerance(f64),
    /// The batch has no items, on any rank.
    #[error("the batch has no items")]
    Empty,
    /// The encoder returned another number of rows than the micro-batch has items.
    #[error("output {output} of items {items:?} has {got} rows, expected {expected}, one for each item")]
    Rows {
        /// The number of the output, from 0.
        output: usize,
        /// The items of the micro-batch.
        items: Range<usize>,
        /// The number of rows.
        got: usize,
        /// The number of items.
        expected: usize,
    },
    /// The width of an output is 0, or is not that of the previous micro-batches.
    #[error("output {output} of items {items:?} has {got} columns, expected {}", match .expected {
        Some(expected) => format!("{expected} as in the previous micro-batches"),
        None => "at least 1".to_owned(),
    })]
    Width {
        /// The number of the output, from 0.
        output: usize,
        /// The items of the micro-batch.
        items: Range<usize>,
        /// The width.
        got: usize,
        /// The width of the previous micro-batches. None for the first one.
        expected: Option<usize>,
    },
    /// A loss is not a single number, `[1]`.
    #[error("the {loss} has {got} elements, expected 1")]
    LossShape {
        /// The name of the loss.
        loss: &'static str,
        /// The number of its elements.
        got: usize,
    },
    /// A loss does not depend on any parameter.
    #[error(
        "the {0} does not belong to a graph, so it has no gradient: was it computed from a model outside of autodiff (`valid()`), \
         or from detached tensors?"
    )]
    NoGraph(&'static str),
    /// The first pass built a graph, which would be held until the second pass.
    #[error(
        "the encoder's outputs for items {items:?} belong to a graph in the first pass: compute them with the model that the \
         encoder is given, which has no gradients in this pass"
    )]
    FirstPassGraph {
        /// The items of the micro-batch.
        items: Range<usize>,
    },
    /// The second pass computed other embeddings than the first, so that the cached gradients do not belong to them.
    #[error(
        "output {output} of items {items:?} differs between the two passes by {difference:.3e}, where its largest value is \
         {largest:.3e}. Usually dropout has another mask in the second pass (seed the device with the micro-batch's key), or one \
         pass runs without dropout (`valid()`)"
    )]
    PassesDiffer {
        /// The number of the output, from 0.
        output: usize,
        /// The items of the micro-batch.
        items: Range<usize>,
        /// The largest absolute difference.
        difference: f32,
        /// The largest absolute value in the first pass.
        largest: f32,
    },
    /// An exchange between ranks failed.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// Values could not be read from the device.
    #[error("cannot read values from the device: {0}")]
    Device(String),
}
