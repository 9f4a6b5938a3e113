//! Pooling of a sequence of hidden states to one vector per row.
//!
//! CoIN (Yan et al. 2024, section 3) pools at the last token. The released program has three more poolings, which include
//! padding. Here every pooling uses real tokens only.

use std::fmt;

use burn::tensor::{Bool, Int, Tensor};
use serde::{Deserialize, Serialize};

/// Reduction of a row's hidden states to one vector. A settings file names it `last`, `average_all`, `average_first_last`
/// or `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The last real token (the paper's choice, and the default).
    #[default]
    Last,
    /// The mean over real tokens.
    AverageAll,
    /// The mean of the first and the last real token. (The released program averages the whole batch into one vector,
    /// which makes its contrastive loss zero.)
    AverageFirstLast,
    /// The maximum of each feature over real tokens.
    Max,
}

impl Pooling {
    /// Pools `hidden` over its sequence.
    ///
    /// # Shapes
    /// - hidden: `[batch, seq, d_model]`
    /// - mask: `[batch, seq]`, true at real tokens; padding may be on either side
    /// - output: `[batch, d_model]`
    ///
    /// A row without real tokens pools to its first position (`Last`), the mean of its first and last position
    /// (`AverageFirstLast`), zero (`AverageAll`) or -1e30 (`Max`). Callers should reject such rows.
    ///
    /// ```
    /// use burn::tensor::{Bool, Device, Tensor};
    /// use coin_loss::Pooling;
    /// let device = Device::flex();
    /// let hidden = Tensor::<3>::from_floats([[[9.0], [1.0], [3.0]]], &device);
    /// let mask = Tensor::<2, Bool>::from_data([[false, true, true]], &device);
    /// assert_eq!(Pooling::AverageAll.forward(hidden, mask).into_scalar::<f32>(), 2.0);
    /// ```
    pub fn forward(self, hidden: Tensor<3>, mask: Tensor<2, Bool>) -> Tensor<2> {
        match self {
            Pooling::Last => at(hidden, last_position(mask)),
            Pooling::AverageFirstLast => {
                let first = at(hidden.clone(), first_position(mask.clone()));
                (first + at(hidden, last_position(mask))) / 2.0
            }
            Pooling::AverageAll => {
                let weight = mask.float();
                let count = weight.clone().sum_dim(1).clamp_min(1.0);
                (hidden * weight.unsqueeze_dim(2)).sum_dim(1).squeeze_dim::<2>(1) / count
            }
            Pooling::Max => {
                let padding = mask.bool_not().unsqueeze_dim::<3>(2).expand(hidden.dims());
                hidden.mask_fill(padding, -1e30).max_dim(1).squeeze_dim::<2>(1)
            }
        }
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pooling::Last => "last",
            Pooling::AverageAll => "average_all",
            Pooling::AverageFirstLast => "average_first_last",
            Pooling::Max => "max",
        })
    }
}

/// The position of each row's last true entry, `[batch, 1]`.
fn last_position(mask: Tensor<2, Bool>) -> Tensor<2, Int> {
    let [_, seq] = mask.dims();
    let positions = Tensor::<1, Int>::arange(0..seq as i64, &mask.device()).unsqueeze::<2>();
    (mask.int() * positions).max_dim(1)
}

/// The position of each row's first true entry, `[batch, 1]`.
fn first_position(mask: Tensor<2, Bool>) -> Tensor<2, Int> {
    let [_, seq] = mask.dims();
    // The first real token is the one farthest from the end.
    let from_end = Tensor::<1, Int>::arange(0..seq as i64, &mask.device()).flip([0]).unsqueeze::<2>();
    (mask.int() * from_end).max_dim(1).neg() + (seq as i64 - 1)
}

/// The vector at one position per row: `[batch, seq, d_model]`, `[batch, 1]` -> `[batch, d_model]`.
fn at(hidden: Tensor<3>, position: Tensor<2, Int>) -> Tensor<2> {
    let [batch, _, d_model] = hidden.dims();
    let index = position.unsqueeze_dim::<3>(2).expand([batch, 1, d_model]);
    hidden.gather(1, index).squeeze_dim::<2>(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    fn case() -> (Tensor<3>, Tensor<2, Bool>) {
        let device = Device::flex();
        let hidden = Tensor::from_floats(
            [[[7.0, 7.0], [1.0, 4.0], [3.0, 2.0]], [[5.0, -1.0], [-2.0, 0.0], [9.0, 9.0]]],
            &device,
        );
        // Left padding in the first row, right padding in the second.
        let mask = Tensor::from_data([[false, true, true], [true, true, false]], &device);
        (hidden, mask)
    }

    fn check(pooling: Pooling, expected: [[f32; 2]; 2]) {
        let (hidden, mask) = case();
        pooling
            .forward(hidden, mask)
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::default());
    }

    #[test]
    fn padding_is_never_pooled() {
        check(Pooling::Last, [[3.0, 2.0], [-2.0, 0.0]]);
        check(Pooling::AverageAll, [[2.0, 3.0], [1.5, -0.5]]);
        check(Pooling::AverageFirstLast, [[2.0, 3.0], [1.5, -0.5]]);
        check(Pooling::Max, [[3.0, 4.0], [5.0, 0.0]]);
    }

    #[test]
    fn names_round_trip() {
        for name in ["last", "average_all", "average_first_last", "max"] {
            let pooling: Pooling = serde_json::from_value(name.into()).unwrap();
            assert_eq!(pooling.to_string(), name);
            assert_eq!(serde_json::to_value(pooling).unwrap(), name);
        }
        let error = serde_json::from_value::<Pooling>("mean".into()).unwrap_err();
        assert!(error.to_string().contains("`mean`"));
    }
}
