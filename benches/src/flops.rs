//! Floating-point operations, counted from the shapes: two for each multiplication of a matrix product, none for
//! elementwise work.
//!
//! The count is what a workload needs, not what a program does. Values that a program computes twice to save memory count
//! once. Scores of masked keys count, although a fused kernel may skip them. The base is frozen, so its weights do not
//! have gradients, and neither does anything before the first adapter.

use crate::decoder::Size;

/// Contrastive loss of `batch` pairs of `width` numbers: the similarities forward, and two products of the same size
/// backward.
pub fn of_loss(batch: usize, width: usize) -> f64 {
    3.0 * product(batch, width, batch)
}

/// Frozen square matrix with an adapter on `rows` rows: the matrix forward, and backward to the input; the adapter's two
/// products forward, and four backward.
pub fn of_lora_linear(rows: usize, width: usize, rank: usize) -> f64 {
    2.0 * product(rows, width, width) + 6.0 * product(rows, width, rank)
}

/// Attention of `seq` queries over as many keys, with a total width of `width` over all heads: two products forward, four
/// backward.
pub fn of_attention(rows: usize, seq: usize, width: usize) -> f64 {
    6.0 * rows as f64 * product(seq, width, seq)
}

/// One training step on `rows` rows of `seq` tokens, the last `supervised` of which are supervised.
///
/// - linear layers: forward, and the input gradient, except for q, k and v of the first layer
/// - attention, and adapters on q, k, v and o, minus one product for each adapter that does not need an input gradient
/// - the last layer, except its k and v: only at positions that predict a supervised token, and at the last token
/// - head, at positions that predict a supervised token: forward, and the input gradient
pub fn of_training(size: &Size, rank: usize, rows: usize, seq: usize, supervised: usize) -> f64 {
    let Size { width, layers, vocab, .. } = *size;
    assert!(layers > 1 && supervised < seq, "a decoder of several layers, and rows with a prompt");
    let (tokens, wanted) = (rows * seq, supervised + 1);
    let linear = 2 * tokens * (2 * layers * size.per_layer() - 3 * width * width);
    let adapters = 2 * tokens * rank * width * (6 * 4 * layers - 3);
    let attention = layers as f64 * of_attention(rows, seq, width);
    let unneeded = 2 * rows * (seq - wanted) * (2 * (size.per_layer() - 2 * width * width) + 6 * 2 * rank * width);
    let unseen = 6.0 * rows as f64 * product(seq - wanted, width, seq);
    let head = 2.0 * product(rows * supervised, width, vocab);
    (linear + adapters - unneeded) as f64 + attention - unseen + head
}

/// Generation of `new` tokens after `rows` prompts of `seq` tokens, with a cache, and the head at the last position only.
pub fn of_generation(size: &Size, rank: usize, rows: usize, seq: usize, new: usize) -> f64 {
    rows as f64 * (of_tokens(size, rank, 0, seq) + of_continuation(size, rank, seq, new))
}

/// Generation of `new` tokens after `seq` tokens that are already in the cache.
pub fn of_continuation(size: &Size, rank: usize, seq: usize, new: usize) -> f64 {
    let others: f64 = (1..new).map(|at| of_tokens(size, rank, seq + at - 1, seq + at)).sum();
    others + new as f64 * product(1, size.width, size.vocab)
}

/// The decoder without head on the tokens `first..end` of a row; earlier tokens are in the cache. The last layer computes
/// keys and values for all of these tokens, and everything else for the last one only.
pub fn of_tokens(size: &Size, rank: usize, first: usize, end: usize) -> f64 {
    let Size { width, layers, .. } = *size;
    let adapter = 2 * rank * width;
    let layer = |queries: usize| {
        let of_queries = queries * (size.per_layer() - 2 * width * width + 2 * adapter);
        let of_keys = (end - first) * 2 * (width * width + adapter);
        2.0 * (of_queries + of_keys) as f64 + 2.0 * product(queries, width, end)
    };
    (layers - 1) as f64 * layer(end - first) + layer(1)
}

/// `[rows, inner] x [inner, columns]`
pub fn product(rows: usize, inner: usize, columns: usize) -> f64 {
    2.0 * rows as f64 * inner as f64 * columns as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::SIZES;

    /// The operations of several matrix products, each given as rows, inner, columns.
    fn sum(products: &[[usize; 3]]) -> f64 {
        products.iter().map(|&[rows, inner, columns]| (2 * rows * inner * columns) as f64).sum()
    }

    #[test]
    fn the_loss_has_three_products() {
        let (n, d) = (10, 7);
        let [similarities, of_anchors, of_positives] = [[n, d, n], [n, n, d], [n, n, d]];
        assert_eq!(of_loss(n, d), sum(&[similarities, of_anchors, of_positives]));
    }

    #[test]
    fn an_adapted_matrix_has_eight_products() {
        let (n, d, r) = (10, 7, 3);
        let forward = [[n, d, d], [n, d, r], [n, r, d]];
        // Gradients of the input through the matrix, of the product with A, of B, of A, and of the input through A.
        let backward = [[n, d, d], [n, d, r], [r, n, d], [d, n, r], [n, r, d]];
        assert_eq!(of_lora_linear(n, d, r), sum(&forward) + sum(&backward));
    }

    #[test]
    fn attention_has_six_products_for_each_head() {
        let (rows, heads, seq, head_dim) = (2, 3, 11, 5);
        let forward = [[seq, head_dim, seq], [seq, seq, head_dim]];
        let backward = [[seq, seq, head_dim], [seq, head_dim, seq], [seq, seq, head_dim], [seq, seq, head_dim]];
        let expected = (rows * heads) as f64 * (sum(&forward) + sum(&backward));
        assert_eq!(of_attention(rows, seq, heads * head_dim), expected);
    }

    #[test]
    fn a_training_step_is_the_sum_of_its_parts() {
        let size = &SIZES[0];
        let (rows, seq, supervised, rank) = (4, 16, 2, 16);
        let tokens = rows * seq;
        let feed_forward = sum(&[[tokens, size.width, size.ff]; 3]);
        let layer =
            4.0 * of_lora_linear(tokens, size.width, rank) + 2.0 * feed_forward + of_attention(rows, seq, size.width);
        // In the first layer neither the matrices nor the adapters of q, k and v need an input gradient.
        let unneeded = 3.0 * sum(&[[tokens, size.width, size.width], [tokens, size.width, rank]]);
        let head = 2.0 * sum(&[[rows * supervised, size.width, size.vocab]]);
        // 13 positions of a row are not queried in the last layer.
        let left_out = rows * 13;
        let queries = 2.0 * of_lora_linear(left_out, size.width, rank)
            + 2.0 * sum(&[[left_out, size.width, size.ff]; 3])
            + 6.0 * rows as f64 * sum(&[[13, size.width, seq]]);
        let expected = size.layers as f64 * layer - queries - unneeded + head;
        assert_eq!(of_training(size, rank, rows, seq, supervised), expected);
    }

    #[test]
    fn a_token_at_a_time_costs_less_than_a_square_of_scores() {
        let size = &SIZES[0];
        let alone: f64 = (0..10).map(|at| of_tokens(size, 16, at, at + 1)).sum();
        let whole = of_tokens(size, 16, 0, 10);
        let scores = |layers: usize, count: usize| (layers * 2 * 2 * size.width * count) as f64;
        // Processed together, nine tokens skip q, o, feed-forward and scores in the last layer.
        let queries = sum(&[[9, size.width, size.width]; 2])
            + sum(&[[9, size.width, size.ff]; 3])
            + 2.0 * sum(&[[9, size.width, 16], [9, 16, size.width]])
            + scores(1, 45);
        let others = size.layers - 1;
        assert_eq!(whole - alone, scores(others, 100) - scores(others, 55) - queries);
    }
}
