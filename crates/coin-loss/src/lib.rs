//! Contrastive losses on [burn](https://burn.dev) tensors.
//!
//! - [`InfoNce`]: each anchor should be nearer to its own positive than to every other row's.
//! - [`CoinLoss`]: the objective of Contrastive Instruction Tuning, a generation loss plus a scaled InfoNCE.
//! - [`Pooling`]: one vector per row out of a sequence of hidden states.
//!
//! The crate knows tensors and nothing else: no text, no model, no training loop.
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

pub mod coin;
pub mod info_nce;
pub mod pooling;

pub use coin::{CoinLoss, CoinLossConfig, CoinOutput, ScalePolicy};
pub use info_nce::{InfoNce, InfoNceConfig, InfoNceOutput};
pub use pooling::Pooling;

/// A setting outside its domain.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// The temperature must be a positive, finite number.
    #[error("temperature must be positive and finite, got {0}")]
    Temperature(f64),
    /// The weight of the contrastive term must be non-negative and finite.
    #[error("lambda must be non-negative and finite, got {0}")]
    Lambda(f64),
    /// A pooling name that is not known.
    #[error("unknown pooling `{0}`, expected one of: last, average_all, average_first_last, max")]
    Pooling(String),
}
