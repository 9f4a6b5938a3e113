//! Floating-point operations of a step, counted from the shapes: two for each multiplication of a matrix product, and
//! nothing for what is done element by element.
//!
//! The base is frozen, so no weight of it has a gradient, and what stands before the first adapter has none either.
//! Scores of keys that a query must not see are counted, although a fused kernel may leave them out; what is computed
//! twice to save memory is not.

use crate::options::Size;

/// One training step over `rows` rows of `seq` tokens with the head at `heads` positions.
///
/// - linear layers: forward, and the gradient of their input but for q, k and v of the first layer
/// - attention: two products forward, four backward
/// - adapters on q, k, v and o: two products forward, four backward, less one where no input gradient is needed
/// - head: forward, and the gradient of its input
pub fn of_training(size: &Size, rank: usize, rows: usize, seq: usize, heads: usize) -> f64 {
    let Size { width, layers, vocab, .. } = *size;
    let tokens = rows * seq;
    let linear = 2 * tokens * (2 * layers * per_layer(size) - 3 * width * width);
    let attention = 3 * layers * rows * attention(width, seq, seq);
    let adapters = 2 * tokens * rank * width * (6 * 4 * layers - 3);
    let head = 2 * 2 * heads * width * vocab;
    (linear + attention + adapters + head) as f64
}

/// Continuing `rows` prompts of `seq` tokens by `new` tokens, with a cache and the head at last positions only.
pub fn of_generation(size: &Size, rank: usize, rows: usize, seq: usize, new: usize) -> f64 {
    let Size { width, layers, vocab, .. } = *size;
    let per_token = 2 * layers * (per_layer(size) + 4 * 2 * rank * width);
    let prompt = seq * per_token + layers * attention(width, seq, seq);
    let others: usize = (1..new).map(|at| per_token + layers * attention(width, 1, seq + at)).sum();
    (rows * (prompt + others + new * 2 * width * vocab)) as f64
}

/// Weights of the linear matrices of a layer.
fn per_layer(size: &Size) -> usize {
    4 * size.width * size.width + 3 * size.width * size.ff
}

/// Scores, and the mixture of values, for one row in one layer, forward.
fn attention(width: usize, queries: usize, keys: usize) -> usize {
    2 * 2 * queries * keys * width
}
