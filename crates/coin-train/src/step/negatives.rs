//! Masks of pairs that are not negatives of each other.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use coin_data::tokenize::PairRow;

/// True if column j is another pair of the same task and target as row i, and therefore not a negative.
pub(crate) fn same_answer(pairs: &[&PairRow], i: usize, j: usize) -> bool {
    i != j && pairs[i].task == pairs[j].task && pairs[i].target == pairs[j].target
}

/// Builds a square mask from a predicate.
pub(crate) fn mask(n: usize, device: &Device, excluded: impl Fn(usize, usize) -> bool) -> Tensor<2, Bool> {
    let values: Vec<bool> = (0..n * n).map(|at| excluded(at / n, at % n)).collect();
    Tensor::from_data(TensorData::new(values, [n, n]), device)
}
