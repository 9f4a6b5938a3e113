//! Contrastive losses for [burn](https://burn.dev) tensors.
//!
//! - [`InfoNce`]: each anchor should be closer to its own positive than to the positives of other rows. Symmetric, one-sided or joint.
//! - [`SigLip`]: every pair of an anchor and a positive is classified by itself, without a softmax.
//! - [`SupCon`]: each row should be closer to all rows of its group than to the rest.
//! - [`CoSent`]: of two pairs, the one with the higher score should be the more similar. With [`PairSimilarity::Angle`] it is AnglE.
//! - [`Distillation`]: similarities follow a teacher's scores.
//! - [`Consistency`]: predictions for the same item should agree.
//! - [`Matryoshka`]: any of these at several widths of the embedding.
//! - [`CoinLoss`]: the objective of Contrastive Instruction Tuning, a generation loss plus a scaled InfoNCE.
//! - [`alignment()`] and [`uniformity()`]: how close positives are, and how evenly rows cover the sphere.
//! - [`Pooling`]: reduces a sequence of hidden states to one vector per row.
//!
//! All losses of a batch implement [`Loss`], and [`LossConfig`] chooses one by its name in a settings file. [`Batch`] adds hard and
//! shared negatives, masks, groups, weights and scores to the pairs, and a loss refuses what it does not use. [`Guide`] masks false
//! negatives. [`Evaluation`] bounds the memory of large batches, and [`GradientCache`] that of their encoder. [`collective`] gathers
//! negatives across devices and processes. In the repository, `docs/losses.md` helps to choose a loss, and `docs/switching.md` lists
//! the calls of other libraries with those of this crate.
//!
//! The crate works on tensors and burn's modules only: it contains no text handling, no model and no training loop. It enables none
//! of burn's backends.
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

/// The examples of the book's page about losses.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/losses.md")]
struct LossesPage;

/// The examples of the book's page for users of other libraries.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/switching.md")]
struct SwitchingPage;

/// The recipe for a custom loss.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/recipes.md")]
struct RecipesPage;

mod alignment;
mod batch;
mod coin;
pub mod collective;
mod consistency;
mod distillation;
mod error;
mod evaluation;
mod gradient_cache;
mod guide;
mod info_nce;
mod info_nce_config;
mod logits;
mod loss;
mod loss_config;
mod matryoshka;
mod plain;
mod pooling;
mod ranking;
mod settings;
mod siglip;
mod similarity;
mod statistics;
mod supcon;
mod tiled;

pub use alignment::{alignment, uniformity};
pub use batch::Batch;
pub use coin::{CoinLoss, CoinLossConfig, CoinOutput, ScalePolicy};
pub use consistency::{Consistency, ConsistencyConfig, Divergence};
pub use distillation::{Distillation, DistillationConfig, Distilled};
pub use error::LossError;
pub use evaluation::Evaluation;
pub use gradient_cache::{
    CachedGradients, Encoded, EncodedBatch, Encoder, GradientCache, GradientCacheError, MicroBatch, Pass,
};
pub use guide::{Guide, Margin};
pub use info_nce::{InfoNce, InfoNceOutput};
pub use info_nce_config::{Direction, Hardness, InfoNceConfig, Reduction};
pub use loss::{Loss, LossOutput};
pub use loss_config::LossConfig;
pub use matryoshka::Matryoshka;
pub use pooling::Pooling;
pub use ranking::{CoSent, CoSentConfig, PairSimilarity};
pub use siglip::{SigLip, SigLipConfig};
pub use similarity::Similarity;
pub use supcon::{SupCon, SupConConfig, SupConOutput};
