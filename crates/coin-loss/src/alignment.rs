//! Alignment and uniformity (Wang and Isola 2020, section 4), the two goals that InfoNCE combines.
//!
//! ```text
//! alignment  = mean_i |u_i - v_i|^alpha
//! uniformity = log mean_{i < j} exp(-t |u_i - u_j|^2)
//! ```
//!
//! u and v are the rows scaled to unit length.

use burn::tensor::{Bool, Tensor};

use crate::logits::LEFT_OUT;
use crate::{Batch, Similarity};

/// Added to squared distances before taking a root, which is not differentiable at 0.
const DISTANCE_EPSILON: f64 = 1e-12;

/// Computes the mean distance between anchors and their positives, `[1]`, between 0 and `2^alpha`; smaller is better.
///
/// Use it as a loss together with [`uniformity`], or as a measure of what [`InfoNce`](crate::InfoNce) achieved. The paper
/// uses alpha = 2, which gives `2 - 2 cos`; other exponents take the root of `|u - v|^2 + 1e-12`.
///
/// # Shapes
/// - anchor, positive: `[n, d]`; computed in f32 whatever their dtype
///
/// # Panics
/// Panics if the batch is empty or the shapes differ.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let device = Device::flex();
/// let anchor = Tensor::<2>::from_floats([[3.0, 0.0], [0.0, 1.0]], &device);
/// let positive = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0]], &device);
/// // The first pair agrees, the second is at right angles: (0 + 2) / 2.
/// let value = coin_loss::alignment(anchor, positive, 2.0).into_scalar::<f32>();
/// assert!((value - 1.0).abs() < 1e-6);
/// ```
pub fn alignment(anchor: Tensor<2>, positive: Tensor<2>, alpha: f64) -> Tensor<1> {
    let batch = Batch::pairs(anchor, positive);
    let [anchor, positive] = batch.into_pairs().unwrap_or_else(|error| panic!("alignment: {error}"));
    let unit = |rows| Similarity::Cosine.prepare(rows);
    let squared = (unit(anchor) - unit(positive)).square().sum_dim(1);
    match alpha == 2.0 {
        true => squared.mean(),
        false => (squared + DISTANCE_EPSILON).powf_scalar(alpha / 2.0).mean(),
    }
}

/// Measures how evenly rows cover the sphere, `[1]`, between `-4 t` and 0; smaller is better.
///
/// The paper uses t = 2. The result is 0 for fewer than two rows. The full n x n matrix is held in memory. As in the
/// paper's experiments, apply it to anchors and to positives, and average the two.
///
/// # Shapes
/// - rows: `[n, d]`; computed in f32 whatever their dtype
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// let device = Device::flex();
/// let opposite = Tensor::<2>::from_floats([[2.0, 0.0], [-1.0, 0.0]], &device);
/// // One pair at squared distance 4: log exp(-2 * 4).
/// let value = coin_loss::uniformity(opposite, 2.0).into_scalar::<f32>();
/// assert!((value + 8.0).abs() < 1e-5);
/// ```
pub fn uniformity(rows: Tensor<2>, t: f64) -> Tensor<1> {
    let [n, _] = rows.dims();
    if n < 2 {
        return (rows * 0.0).sum();
    }
    let rows = Similarity::Cosine.prepare(rows);
    let squares = rows.clone().square().sum_dim(1);
    let products = rows.clone().matmul(rows.transpose());
    let distances = squares.clone() + squares.transpose() - products * 2.0;
    let own = Tensor::<2, Bool>::diag_mask([n, n], 0, &distances.device()).bool_not();
    let logits = (distances * -t).mask_fill(own, LEFT_OUT).reshape([n * n]);
    let maximum = logits.clone().without_autodiff().max();
    // Each pair occurs twice in the matrix.
    ((logits - maximum.clone()).exp().sum() / (n * (n - 1)) as f64).log() + maximum
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use proptest::prelude::*;

    /// The gradient of `of` at `rows`, by central differences.
    fn differences(rows: &[f32], of: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let exact: Vec<f64> = rows.iter().copied().map(f64::from).collect();
        let moved = |at: usize, by: f64| {
            let mut rows = exact.clone();
            rows[at] += by;
            of(&rows)
        };
        (0..rows.len()).map(|at| (moved(at, 1e-5) - moved(at, -1e-5)) / 2e-5).collect()
    }

    fn unit(row: &[f64]) -> Vec<f64> {
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter().map(|x| x / norm).collect()
    }

    fn squared(x: &[f64], y: &[f64]) -> f64 {
        unit(x).iter().zip(unit(y)).map(|(x, y)| (x - y) * (x - y)).sum()
    }

    fn check(rows: &[f32], ours: impl Fn(Tensor<2>) -> Tensor<1>, formula: impl Fn(&[f64]) -> f64) {
        let device = Device::flex().autodiff();
        let leaf = Tensor::<1>::from_floats(rows, &device).reshape([rows.len() / 3, 3]).require_grad();
        let value = ours(leaf.clone());
        let exact: Vec<f64> = rows.iter().copied().map(f64::from).collect();
        assert!((f64::from(value.clone().into_scalar::<f32>()) - formula(&exact)).abs() < 1e-5);
        let gradient = leaf.grad(&value.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        for (ours, expected) in gradient.into_iter().zip(differences(rows, formula)) {
            assert!((f64::from(ours) - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{ours} {expected}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn values_and_gradients_match_formulas(rows in proptest::collection::vec(0.2f32..2.0, 12), alpha in 1.0f64..3.0) {
            let other = [0.5f32, -1.0, 0.3, 1.0, 1.0, -0.2, 0.1, -0.4, 0.9, -1.0, 0.7, 0.0];
            let row = |rows: &[f64], at: usize| rows[at * 3..at * 3 + 3].to_vec();
            for alpha in [2.0, alpha] {
                let positive = |anchor: &Tensor<2>| Tensor::<1>::from_floats(other, &anchor.device()).reshape([4, 3]);
                let fixed: Vec<f64> = other.iter().copied().map(f64::from).collect();
                check(
                    &rows,
                    |leaf| alignment(leaf.clone(), positive(&leaf), alpha),
                    |rows| (0..4).map(|i| squared(&row(rows, i), &row(&fixed, i)).powf(alpha / 2.0)).sum::<f64>() / 4.0,
                );
            }
            check(&rows, |leaf| uniformity(leaf, 2.0), |rows| {
                let pairs = (0..4).flat_map(|i| (0..i).map(move |j| (i, j)));
                (pairs.map(|(i, j)| (-2.0 * squared(&row(rows, i), &row(rows, j))).exp()).sum::<f64>() / 6.0).ln()
            });
        }
    }

    #[test]
    fn equal_zero_and_single_rows_are_defined() {
        let device = Device::flex().autodiff();
        let rows = Tensor::<2>::zeros([3, 2], &device).require_grad();
        for value in [
            alignment(rows.clone(), rows.clone(), 2.0),
            uniformity(rows.clone(), 2.0),
            uniformity(rows.clone().narrow(0, 0, 1), 2.0),
        ] {
            assert_eq!(value.clone().into_scalar::<f32>(), 0.0);
            let gradient = rows.grad(&value.backward()).unwrap();
            assert_eq!(gradient.abs().sum().into_scalar::<f32>(), 0.0);
        }
        // With an odd exponent at distance 0 the epsilon under the root keeps the gradient finite.
        let value = alignment(rows.clone(), rows.clone(), 1.0);
        assert!(value.clone().into_scalar::<f32>() < 1e-5);
        assert!(rows.grad(&value.backward()).unwrap().abs().sum().into_scalar::<f32>().is_finite());
    }
}
