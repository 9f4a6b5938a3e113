//! Consistency of predicted distributions.

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::batch::Part;
use crate::loss::forward;
use crate::settings::config;
use crate::{Batch, LossError, LossOutput};

/// A measure of how far distributions are from each other, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// `(KL(p | q) + KL(q | p)) / 2`, the mean over all pairs of views (R-Drop, Liang et al. 2021; the default).
    #[default]
    SymmetricKl,
    /// The mean of `KL(p_v | m)` over the views, where m is the mean of all. At most `log views`, so a single wrong row cannot
    /// dominate.
    JensenShannon,
    /// `KL(p | q)` from the first view to each other, with the first as a constant: the others follow it.
    KlFromFirst,
}

config! {
    /// Settings of [`Consistency`].
    #[derive(Copy)]
    ConsistencyConfig {
        /// The divergence. Default [`Divergence::SymmetricKl`].
        divergence / with_divergence: Divergence = Divergence::SymmetricKl,
        /// Divides the logits. Default 1.
        temperature / with_temperature: f64 = 1.0,
    }
}

impl ConsistencyConfig {
    /// Builds the loss.
    ///
    /// # Errors
    /// [`LossError::Temperature`] unless the temperature is between 1e-20 and 1e20.
    pub fn init(&self) -> Result<Consistency, LossError> {
        LossError::check_temperature(self.temperature)?;
        Ok(Consistency { config: *self })
    }
}

/// Consistency of two or more predictions for the same item: two wordings of a prompt, two draws of dropout.
///
/// The views of the batch are logits, `[n, classes]`. Row weights are supported; the mean divides by n.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Batch, ConsistencyConfig, Divergence};
/// let device = Device::flex();
/// let sure = Tensor::<2>::from_floats([[20.0, 0.0]], &device);
/// let other = Tensor::<2>::from_floats([[0.0, 20.0]], &device);
/// let loss = ConsistencyConfig::new().with_divergence(Divergence::JensenShannon).init()?;
/// assert_eq!(loss.forward(Batch::pairs(sure.clone(), sure.clone())).loss.into_scalar::<f32>(), 0.0);
/// // Two predictions that exclude each other: log 2.
/// let apart = loss.forward(Batch::pairs(sure, other)).loss.into_scalar::<f32>();
/// assert!((apart - 2f32.ln()).abs() < 1e-5);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Consistency {
    config: ConsistencyConfig,
}

impl Consistency {
    fn checked(&self, batch: Batch) -> Result<LossOutput, LossError> {
        batch.check("consistency", 2..=usize::MAX, &[Part::RowWeights], &[])?;
        let log_shares: Vec<Tensor<2>> = batch
            .views
            .iter()
            .map(|logits| log_softmax(logits.clone().cast(DType::F32) / self.config.temperature, 1))
            .collect();
        let kl = |p: &Tensor<2>, q: &Tensor<2>| (p.clone().exp() * (p.clone() - q.clone())).sum_dim(1);
        let divergences: Vec<Tensor<2>> = match self.config.divergence {
            Divergence::SymmetricKl => {
                let pairs = (0..log_shares.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
                pairs.map(|(i, j)| (&log_shares[i], &log_shares[j])).map(|(p, q)| (kl(p, q) + kl(q, p)) / 2.0).collect()
            }
            Divergence::JensenShannon => {
                let count = log_shares.len() as f64;
                // The logarithm of the mean, relative to the largest share, so that a share of 0 gives no NaN.
                let largest = log_shares.iter().cloned().reduce(Tensor::max_pair).expect("two views at least");
                let largest = largest.without_autodiff();
                let shares = log_shares.iter().map(|log_share| (log_share.clone() - largest.clone()).exp());
                let mean = shares.reduce(|sum, share| sum + share).expect("two views at least") / count;
                let mean = mean.log() + largest;
                log_shares.iter().map(|p| kl(p, &mean)).collect()
            }
            Divergence::KlFromFirst => {
                let first = log_shares[0].clone().detach();
                log_shares[1..].iter().map(|q| kl(&first, q)).collect()
            }
        };
        let count = divergences.len() as f64;
        let sum = divergences.into_iter().reduce(|sum, one| sum + one).expect("two views at least");
        let per_row = (sum / count).squeeze_dim::<1>(1);
        let terms = match batch.row_weights {
            Some(weights) => per_row.clone() * weights.without_autodiff().cast(DType::F32),
            None => per_row.clone(),
        };
        Ok(LossOutput::new(terms.mean()).with_per_row(per_row))
    }
}

forward!(Consistency, "consistency", direction: |_| false);
