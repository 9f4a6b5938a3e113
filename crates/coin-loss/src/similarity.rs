//! Similarity of two rows.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// Added to squared norms before the root, so that a zero vector has similarity 0 to every row instead of NaN.
pub(crate) const NORM_EPSILON: f64 = 1e-12;

/// The similarity of two rows.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{InfoNceConfig, Similarity};
/// let device = Device::flex();
/// let rows = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
/// let of = |similarity| InfoNceConfig::new().with_similarity(similarity).init().map(|loss| {
///     loss.forward(rows.clone(), rows.clone(), None).similarity_positive.into_scalar::<f32>()
/// });
/// assert!((of(Similarity::Cosine)? - 1.0).abs() < 1e-6);
/// assert_eq!(of(Similarity::Dot)?, 25.0);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Similarity {
    /// `x . y / sqrt((|x|^2 + 1e-12) (|y|^2 + 1e-12))`, between -1 and 1; 0 if either row is zero (the default).
    #[default]
    Cosine,
    /// `x . y`. The products divided by the temperature must stay below 1e30.
    Dot,
}

impl Similarity {
    /// Transforms rows so that their dot product is the similarity, f32, `[n, d]`.
    pub(crate) fn prepare(self, rows: Tensor<2>) -> Tensor<2> {
        self.prepare_with_length(rows).0
    }

    /// [`prepare`](Self::prepare) for hard negatives, `[n, k, d]`.
    pub(crate) fn prepare_hard(self, rows: Tensor<3>) -> Tensor<3> {
        let [n, k, d] = rows.dims();
        self.prepare(rows.reshape([n * k, d])).reshape([n, k, d])
    }

    /// Like [`prepare`](Self::prepare), and returns the divisors of the rows, `[n, 1]`, if they were normalized.
    ///
    /// Rows whose largest magnitude exceeds 1 are first divided by it, so that their squares stay within f32's range. The
    /// result does not depend on this factor, so it is a constant for gradients.
    pub(crate) fn prepare_with_length(self, rows: Tensor<2>) -> (Tensor<2>, Option<Tensor<2>>) {
        let rows = rows.cast(DType::F32);
        match self {
            Similarity::Cosine => {
                let values = rows.clone().without_autodiff();
                let shrink = values.clone().max_dim(1).max_pair(values.min_dim(1).neg()).clamp_min(1.0);
                let rows = rows / shrink.clone();
                let epsilon = (shrink.clone().recip() * NORM_EPSILON.sqrt()).square();
                let norm = (rows.clone().square().sum_dim(1) + epsilon).sqrt();
                (rows / norm.clone(), Some(norm * shrink))
            }
            Similarity::Dot => (rows, None),
        }
    }

    /// Computes the gradient of the original rows from that of the prepared rows, `[n, d]`, and their lengths.
    ///
    /// With u = x / sqrt(|x|^2 + eps) the exact derivative is `(I - u u^T) / sqrt(|x|^2 + eps)`.
    pub(crate) fn pull_back(prepared: Tensor<2>, length: Option<Tensor<2>>, gradient: Tensor<2>) -> Tensor<2> {
        match length {
            Some(length) => {
                let along = (prepared.clone() * gradient.clone()).sum_dim(1);
                (gradient - prepared * along) / length
            }
            None => gradient,
        }
    }
}

/// `[n, d]`, `[n, k, d]` -> `[n, k]`, both prepared.
pub(crate) fn hard_similarity(anchor: Tensor<2>, hard: Tensor<3>) -> Tensor<2> {
    hard.matmul(anchor.unsqueeze_dim::<3>(2)).squeeze_dim::<2>(2)
}
