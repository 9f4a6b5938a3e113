//! Bytes that a workload must move between memory and processor, counted from the shapes, in f32.
//!
//! Each pass, forward and backward, reads its inputs and writes its outputs once. Intermediate values are not counted,
//! because a program may keep them in caches or avoid them. These are therefore the bytes of an ideal program; a program
//! that moves more reaches a smaller share of the peak.

use crate::decoder::Size;

const F32: f64 = 4.0;

/// Contrastive loss: both inputs are read in each pass, and both gradients are written.
pub fn of_loss(batch: usize, width: usize) -> f64 {
    F32 * 6.0 * (batch * width) as f64
}

/// Frozen square matrix with an adapter: each pass reads the matrix, the adapter and the input. The output is written and
/// its gradient read; the gradients of the input and the adapter are written.
pub fn of_lora_linear(rows: usize, width: usize, rank: usize) -> f64 {
    F32 * (2 * width * width + 3 * 2 * width * rank + 5 * rows * width) as f64
}

/// Attention: each pass reads q, k and v. The output is written and its gradient read; three gradients are written.
pub fn of_attention(rows: usize, seq: usize, width: usize) -> f64 {
    F32 * (11 * rows * seq * width) as f64
}

/// Training step: each pass reads the matrices of the layers and the head. Adapters and activations are not counted.
pub fn of_training(size: &Size) -> f64 {
    2.0 * weights(size)
}

/// Generation: the matrices are read once per new token, for all rows together.
pub fn of_generation(size: &Size, new: usize) -> f64 {
    new as f64 * weights(size)
}

/// Bytes of the layers' matrices and the head.
fn weights(size: &Size) -> f64 {
    F32 * (size.layers * size.per_layer() + size.width * size.vocab) as f64
}
