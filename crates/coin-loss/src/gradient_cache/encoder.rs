//! Encoders, and what goes into and out of them.

use std::ops::Range;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::error::GradientCacheError;

/// The pass for which an encoder runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Only the values of the outputs are used. The model has no gradients.
    Values,
    /// The outputs are propagated back. With one micro-batch there is only this pass.
    Gradients,
}

/// Some items of the batch, which an encoder turns into embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MicroBatch {
    /// The positions of the items among this rank's items. On a single rank, those in the batch.
    pub items: Range<usize>,
    /// The position of the rank's first item in the whole batch; 0 on a single rank.
    pub offset: usize,
    /// A random number, the same in both passes, for everything random in the encoder: seed the device with it
    /// (`device.seed(key)`) or derive masks from it. It depends on the seed of
    /// [`GradientCache::new`](crate::GradientCache::new) and on the position of the first item in the whole batch.
    pub key: u64,
    /// The pass.
    pub pass: Pass,
}

impl MicroBatch {
    pub(super) fn new(items: Range<usize>, offset: usize, seed: u64, pass: Pass) -> Self {
        let key = mixed(mixed(seed).wrapping_add((offset + items.start) as u64));
        MicroBatch { items, offset, key, pass }
    }

    /// Returns the number of items.
    #[allow(clippy::len_without_is_empty)] // It is never empty.
    pub fn len(&self) -> usize {
        self.items.len()
    }
}

/// The finalizer of SplitMix64 (Steele et al. 2014): neighboring numbers give unrelated keys.
fn mixed(number: u64) -> u64 {
    let x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The outputs of an encoder for a micro-batch: N embeddings of each item.
#[derive(Debug, Clone)]
pub struct Encoded<const N: usize> {
    pub(super) embeddings: [Tensor<2>; N],
    pub(super) extra_loss: Option<Tensor<1>>,
}

impl<const N: usize> Encoded<N> {
    /// Takes the embeddings, `[items, d_i]` each. Row i of each belongs to item i of the micro-batch. Reshape several
    /// rows of an item, such as its hard negatives, into one.
    pub fn new(embeddings: [Tensor<2>; N]) -> Self {
        Encoded { embeddings, extra_loss: None }
    }

    /// Adds a loss of this micro-batch, `[1]`, such as its part of a generation loss. Those of all micro-batches and
    /// ranks are added to the loss of the batch; for a mean, divide by the number of items in the whole batch.
    pub fn with_extra_loss(mut self, loss: Tensor<1>) -> Self {
        self.extra_loss = Some(loss);
        self
    }
}

/// An encoder of micro-batches, for [`GradientCache::gradients_with`](crate::GradientCache::gradients_with). Implement
/// it for what a closure cannot express: another backward pass, such as gradient checkpointing, or a cheaper first
/// pass.
pub trait Encoder<M: Module, const N: usize> {
    /// What [`backward`](Self::backward) needs from the forward pass.
    type Tape;
    /// The error of both passes.
    type Error: From<GradientCacheError>;

    /// Returns the embeddings of a micro-batch. Both passes must give the same values, so everything random must depend
    /// on [`MicroBatch::key`] or on the items.
    ///
    /// # Errors
    /// Whatever prevents the forward pass. [`GradientCache`](crate::GradientCache) returns it as it is.
    fn encode(&mut self, model: &M, micro_batch: &MicroBatch) -> Result<(Encoded<N>, Self::Tape), Self::Error>;

    /// Returns the gradients of the model's parameters, given the loss to propagate, `[1]`.
    ///
    /// # Errors
    /// Whatever prevents the backward pass.
    fn backward(&mut self, model: &M, loss: Tensor<1>, _tape: Self::Tape) -> Result<GradientsParams, Self::Error> {
        Ok(GradientsParams::from_grads(loss.backward(), model))
    }

    /// Returns the model of [`Pass::Values`]. By default it is `model` with gradients switched off, which leaves
    /// dropout on.
    ///
    /// `model.valid()` is cheaper with some encoders. It is right only if they take their dropout from keys, whether or
    /// not the model is on an autodiff device. [`Dropout`](burn::nn::Dropout) does not.
    fn model_for_values(&self, model: &M) -> M {
        // A copy of a parameter that has no value yet shares its settings with the original, gradients included.
        model.visit(&mut Initialize);
        model.clone().set_require_grad(false)
    }
}

/// Gives every parameter its initial value.
struct Initialize;

impl ModuleVisitor for Initialize {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let _ = param.val();
    }
}

/// A closure as an encoder.
pub(super) struct Closure<F>(pub(super) F);

impl<M, F, E, const N: usize> Encoder<M, N> for Closure<F>
where
    M: Module,
    F: FnMut(&M, &MicroBatch) -> Result<Encoded<N>, E>,
    E: From<GradientCacheError>,
{
    type Tape = ();
    type Error = E;

    fn encode(&mut self, model: &M, micro_batch: &MicroBatch) -> Result<(Encoded<N>, ()), E> {
        Ok(((self.0)(model, micro_batch)?, ()))
    }
}
