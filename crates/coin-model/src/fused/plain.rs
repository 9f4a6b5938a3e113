//! The plain versions of the fused operations, made of burn operations.

use burn::tensor::activation::{log_softmax, silu, softmax};
use burn::tensor::{DType, Int, Tensor};

pub(crate) fn rms_norm(x: Tensor<3>, weight: Tensor<1>, epsilon: f64) -> Tensor<3> {
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let scale = (x.clone().square().mean_dim(2) + epsilon).sqrt();
    (x / scale).cast(dtype) * weight.unsqueeze()
}

pub(crate) fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    silu(gate) * up
}

pub(crate) fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    let half = x.dims()[3] / 2;
    let swapped = Tensor::cat(vec![x.clone().narrow(3, half, half), x.clone().narrow(3, 0, half)], 3);
    // As in transformers, the tables are f32 and the rotation is computed in x's dtype.
    let dtype = x.dtype();
    x * cos.cast(dtype) + swapped * sin.cast(dtype)
}

pub(crate) fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, bias: Tensor<4>) -> Tensor<3> {
    let [batch, heads, seq, head_dim] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    // The query heads of a group are stacked along the row axis, so that keys and values are not copied per head.
    let group = heads / kv_heads;
    let dtype = q.dtype();
    let q = (q * (head_dim as f64).powf(-0.5)).reshape([batch, kv_heads, group * seq, head_dim]);
    let scores = q.matmul(k.transpose()).cast(DType::F32).reshape([batch, heads, seq, keys]);
    let weights = softmax(scores + bias, 3).cast(dtype);
    let mixed = weights.reshape([batch, kv_heads, group * seq, keys]).matmul(v);
    mixed.reshape([batch, heads, seq, head_dim]).swap_dims(1, 2).reshape([batch, seq, heads * head_dim])
}

pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits.cast(DType::F32), 1).gather(1, targets.unsqueeze_dim(1)).neg().squeeze_dim::<1>(1)
}
