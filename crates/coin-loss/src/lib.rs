//! Contrastive losses for [burn](https://burn.dev) tensors.
//!
//! - [`InfoNce`]: each anchor should be closer to its own positive than to the positives of other rows.
//! - [`CoinLoss`]: the objective of Contrastive Instruction Tuning, a generation loss plus a scaled InfoNCE.
//! - [`SupCon`]: each row should be closer to all rows of its group than to the rest.
//! - [`alignment()`] and [`uniformity()`]: how close positives are, and how evenly rows cover the sphere.
//! - [`Pooling`]: reduces a sequence of hidden states to one vector per row.
//!
//! [`PairBatch`] adds hard negatives, groups of false negatives and row weights to the pairs. [`Evaluation`] bounds the
//! memory of large batches. [`collective`] gathers negatives across devices and processes. `docs/losses.md` in the
//! repository helps to choose a loss.
//!
//! The crate works on tensors only: it contains no text handling, no model and no training loop.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use coin_loss::InfoNceConfig;
//!
//! let device = Device::flex();
//! // Two views of three items, [items, features].
//! let anchor = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], &device);
//! let positive = Tensor::<2>::from_floats([[0.9, 0.1], [0.1, 0.9], [-0.8, 0.2]], &device);
//! let output = InfoNceConfig::new().with_temperature(0.05).init()?.forward(anchor, positive, None);
//! assert!(output.loss.into_scalar::<f32>() < 1e-3);
//! assert_eq!(output.accuracy.into_scalar::<f32>(), 1.0);
//! # Ok::<(), coin_loss::LossError>(())
//! ```

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod alignment;
mod batch;
pub mod coin;
pub mod collective;
mod evaluation;
pub mod info_nce;
mod info_nce_config;
pub mod pooling;
mod similarity;
mod statistics;
pub mod supcon;
mod tiled;

pub use alignment::{alignment, uniformity};
pub use batch::PairBatch;
pub use coin::{CoinLoss, CoinLossConfig, CoinOutput, ScalePolicy};
pub use evaluation::Evaluation;
pub use info_nce::{InfoNce, InfoNceOutput};
pub use info_nce_config::{Direction, InfoNceConfig, Reduction};
pub use pooling::Pooling;
pub use similarity::Similarity;
pub use supcon::{SupCon, SupConConfig, SupConOutput};

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// The temperature must be a positive number that f32 can divide by.
    #[error("temperature must be positive, between 1e-20 and 1e20, got {0}")]
    Temperature(f64),
    /// A learnable temperature must not start below its minimum.
    #[error("initial temperature {start} is below the minimum of the learnable temperature, {least}")]
    InitialTemperature {
        /// The initial temperature.
        start: f64,
        /// The minimum.
        least: f64,
    },
    /// The weight of hard negatives must be non-negative and finite.
    #[error("the weight of hard negatives must be non-negative and finite, got {0}")]
    HardNegativeWeight(f64),
    /// A tile must contain at least one row.
    #[error("tile size must be at least 1 row, got 0")]
    Tile,
    /// Tiled evaluation computes the gradient of the reduced loss only.
    #[error("tiled evaluation cannot return unreduced terms: use the mean or sum reduction, or the plain evaluation")]
    TiledRows,
    /// The weight of the contrastive term must be between 0 and 1e15.
    #[error("lambda must be from 0 to 1e15, got {0}")]
    Lambda(f64),
    /// An unknown pooling name.
    #[error("unknown pooling `{0}`, expected one of: last, average_all, average_first_last, max")]
    Pooling(String),
}

impl LossError {
    fn check_temperature(temperature: f64) -> Result<(), LossError> {
        match (1e-20..=1e20).contains(&temperature) {
            true => Ok(()),
            false => Err(LossError::Temperature(temperature)),
        }
    }
}
