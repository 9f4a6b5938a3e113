//! Fused operations of the decoder for the CPU backend.
//!
//! Each replaces several burn operations and has its own backward pass. Fusing writes less memory, uses every core, and
//! keeps nothing for the backward pass that can be recomputed.
//!
//! Each function also has a plain version made of burn operations. The plain version runs on every other backend and
//! dtype, and the tests compare the fused version with it.

mod autodiff;
mod cpu;
mod exp;
mod kernels;
mod outputs;
mod plain;
mod product;

use std::sync::Arc;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Device, Int, Tensor};

/// A dropout mask over the values of a matrix, and the factor that kept values are multiplied by.
#[derive(Debug, Clone)]
pub struct Kept {
    /// 1 where a value is kept, 0 where it is dropped, in the order of the matrix.
    pub(crate) flags: Arc<Vec<u8>>,
    /// `1 / (1 - probability)`
    pub(crate) factor: f32,
}

/// The fused operations, on f32 matrices. The functions of this module document what each computes.
#[backend_extension(Flex, Autodiff)]
pub trait Fused: Backend {
    /// x `[rows, width]`, weight `[width]` -> `[rows, width]`
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self>;

    /// gate, up and the output have the same shape.
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;

    /// x `[batch, seq, heads, head_dim]`, tables `[batch or 1, seq, 1, head_dim]`
    fn rotate(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self>;

    /// q `[batch, heads, seq, head_dim]`, k and v `[batch, kv_heads, keys, head_dim]`, bias `[batch or 1, 1, seq, keys]` ->
    /// `[batch, seq, heads * head_dim]`
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// x `[rows, d_in]`, weight `[d_in, d_out]` -> `[rows, d_out]`
    fn frozen_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// x `[rows, d_in]`, weight `[d_in, d_out]`, a `[d_in, rank]`, b `[rank, d_out]` -> `[rows, d_out]`
    fn lora_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        kept: Option<Kept>,
        scale: f32,
    ) -> FloatTensor<Self>;

    /// logits `[rows, vocab]`, targets `[rows]` -> `[rows]`
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

/// True if the tensor is f32 on the CPU backend, where the operations are fused.
pub fn runs_fused<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().inner() == Device::flex()
}

/// Root-mean-square normalization over the last axis, times `weight`: `[batch, seq, width]` -> the same shape.
pub(crate) fn rms_norm(x: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
    if !(runs_fused(&x) && weight.dtype() == DType::F32) {
        return plain::rms_norm(x, weight, epsilon);
    }
    let dims @ [batch, seq, width] = x.dims();
    let x: Tensor<2> = x.reshape([batch * seq, width]);
    let y = <Dispatch as Fused>::rms_norm(x.into_dispatch(), weight.into_dispatch(), epsilon as f32);
    Tensor::<2>::from_dispatch(y).reshape(dims)
}

/// `silu(gate) * up`.
pub(crate) fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    if !runs_fused(&gate) {
        return plain::swiglu(gate, up);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::swiglu(gate.into_dispatch(), up.into_dispatch()))
}

/// Applies a rotary embedding: rotates pairs that take one value from each half of a head.
///
/// # Shapes
/// - x, output: `[batch, seq, heads, head_dim]`
/// - cos, sin: `[batch or 1, seq, 1, head_dim]`, the first half of `sin` negated
pub(crate) fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    if !runs_fused(&x) {
        return plain::rotate(x, cos, sin);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::rotate(x.into_dispatch(), cos.into_dispatch(), sin.into_dispatch()))
}

/// Attention. Scores are divided by `sqrt(head_dim)` before the bias is added; softmax is computed in f32.
///
/// # Shapes
/// - q: `[batch, heads, seq, head_dim]`
/// - k, v: `[batch, kv_heads, keys, head_dim]`; `heads / kv_heads` query heads share a key head
/// - bias: `[batch or 1, 1, seq, keys]`, f32
/// - output: `[batch, seq, heads * head_dim]`
pub fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, bias: Tensor<4>) -> Tensor<3> {
    if !runs_fused(&q) {
        return plain::attend(q, k, v, bias);
    }
    let [q, k, v, bias] = [q, k, v, bias].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Fused>::attend(q, k, v, bias))
}

/// `x W`, `[rows, d_in]` -> `[rows, d_out]`; fused if the matrix does not need a gradient.
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    if !(runs_fused(&x) && weight.dtype() == DType::F32) || weight.is_tracked() {
        return x.matmul(weight);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::frozen_linear(x.into_dispatch(), weight.into_dispatch()))
}

/// `x W + scale * dropout(x) A B`, `[rows, d_in]` -> `[rows, d_out]`, for a matrix that does not need a gradient and
/// tensors that run fused. [`LoraLinear::forward`](crate::LoraLinear::forward) has the plain version.
pub(crate) fn lora_linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    [a, b]: [Tensor<2>; 2],
    kept: Option<Kept>,
    scale: f64,
) -> Tensor<2> {
    let [x, weight, a, b] = [x, weight, a, b].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Fused>::lora_linear(x, weight, a, b, kept, scale as f32))
}

/// The negative log-probability of each row's target: logits `[rows, vocab]`, targets `[rows]` -> `[rows]`, f32.
///
/// # Panics
/// On the CPU backend, if a target is `vocab` or greater.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    if !runs_fused(&logits) {
        return plain::cross_entropy(logits, targets);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::cross_entropy(logits.into_dispatch(), targets.into_dispatch()))
}

#[cfg(test)]
mod tests;
