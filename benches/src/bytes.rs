//! Bytes that work must move between memory and processor, counted from the shapes, in f32: what each pass, forward and
//! backward, reads and writes once. What stays between is left out, as a program may keep it in caches or not make it
//! at all: so these are the bytes of the best program, and a program that moves more has a smaller share of the peak.

use crate::decoder::Size;

const F32: f64 = 4.0;

/// The contrastive loss: both inputs are read in each pass, and both gradients are written.
pub fn of_loss(batch: usize, width: usize) -> f64 {
    F32 * 6.0 * (batch * width) as f64
}

/// A frozen square matrix with an adapter: in each pass matrix, adapter and input are read; the output is written and
/// its gradient read; the gradients of input and adapter are written.
pub fn of_lora_linear(rows: usize, width: usize, rank: usize) -> f64 {
    F32 * (2 * width * width + 3 * 2 * width * rank + 5 * rows * width) as f64
}

/// Attention: in each pass q, k and v are read; the output is written and its gradient read; three gradients are
/// written.
pub fn of_attention(rows: usize, seq: usize, width: usize) -> f64 {
    F32 * (11 * rows * seq * width) as f64
}

/// A training step: the matrices of the layers and the head are read in each pass. Adapters and activations are left
/// out.
pub fn of_training(size: &Size) -> f64 {
    2.0 * weights(size)
}

/// Continuing prompts: the matrices are read for each of the `new` tokens, for all rows at once.
pub fn of_generation(size: &Size, new: usize) -> f64 {
    new as f64 * weights(size)
}

/// The matrices of the layers, and the head.
fn weights(size: &Size) -> f64 {
    F32 * (size.layers * size.per_layer() + size.width * size.vocab) as f64
}
