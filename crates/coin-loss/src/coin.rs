//! The objective of Contrastive Instruction Tuning.

use burn::tensor::{Bool, Tensor};

use crate::{Evaluation, InfoNce, InfoNceConfig, InfoNceOutput, LossError, PairBatch};

/// Scaling of the contrastive term before it is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScalePolicy {
    /// Multiplies by `lambda`, then caps at the generation loss with a factor outside the graph (the released program's
    /// policy, and the default).
    #[default]
    DetachedCap,
    /// Multiplies by `lambda` without a cap.
    Fixed,
    /// Does not scale the term.
    None,
}

/// Settings of [`CoinLoss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoinLossConfig {
    /// Temperature of the contrastive term. Default 0.05 (the paper's).
    pub temperature: f64,
    /// Weight of the contrastive term. Default 1000 (the paper's).
    pub lambda: f64,
    /// Scaling of the contrastive term. Default [`ScalePolicy::DetachedCap`] (the released program's).
    pub scale: ScalePolicy,
    /// Evaluation of the contrastive term. Default [`Evaluation::Auto`] (this crate's choice).
    pub evaluation: Evaluation,
}

impl CoinLossConfig {
    /// Returns the paper's settings.
    pub fn new() -> Self {
        CoinLossConfig {
            temperature: 0.05,
            lambda: 1000.0,
            scale: ScalePolicy::DetachedCap,
            evaluation: Evaluation::Auto,
        }
    }

    /// Sets the temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Sets the weight of the contrastive term.
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = lambda;
        self
    }

    /// Sets the scale policy.
    pub fn with_scale(mut self, scale: ScalePolicy) -> Self {
        self.scale = scale;
        self
    }

    /// Sets the evaluation of the contrastive term.
    pub fn with_evaluation(mut self, evaluation: Evaluation) -> Self {
        self.evaluation = evaluation;
        self
    }

    /// Builds the loss.
    ///
    /// # Errors
    /// [`LossError::Tile`], [`LossError::Temperature`] or [`LossError::Lambda`] if that setting is out of range.
    pub fn init(&self) -> Result<CoinLoss, LossError> {
        // Up to this limit the product with any contrastive loss fits into f32.
        if !(0.0..=1e15).contains(&self.lambda) {
            return Err(LossError::Lambda(self.lambda));
        }
        let contrastive = InfoNceConfig::new().with_temperature(self.temperature).with_evaluation(self.evaluation);
        contrastive.check()?;
        Ok(CoinLoss { contrastive, lambda: self.lambda, scale: self.scale })
    }
}

impl Default for CoinLossConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// The objective of Contrastive Instruction Tuning (Yan et al. 2024, section 3.3, and the released program).
///
/// ```text
/// C = lambda * L_ctr
/// C = C * min(lambda, sg(L_gen) / sg(C))   if C > L_gen          sg = stop-gradient
/// L = L_gen + C
/// ```
///
/// `L_ctr` is the [`InfoNce`] loss between the hidden states of two wordings of the same instances. The cap keeps the
/// value of the contrastive term from exceeding that of the generation term.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::CoinLossConfig;
/// let device = Device::flex();
/// let generation = Tensor::<1>::from_floats([0.5], &device);
/// let original = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
/// let paraphrase = Tensor::<2>::from_floats([[0.0, 1.0], [1.0, 0.0]], &device);
/// let output = CoinLossConfig::new().init()?.forward(generation, original, paraphrase, None);
/// // Each wording is closest to the wrong one, yet the term is capped at the generation loss.
/// assert!((output.loss.into_scalar::<f32>() - 1.0).abs() < 1e-6);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoinLoss {
    contrastive: InfoNceConfig,
    lambda: f64,
    scale: ScalePolicy,
}

/// The result of [`CoinLoss::forward`].
#[derive(Debug, Clone)]
pub struct CoinOutput {
    /// The sum to minimize, `[1]`, in nats.
    pub loss: Tensor<1>,
    /// The generation loss that was passed in, `[1]`.
    pub generation: Tensor<1>,
    /// The scaled contrastive term, as added to the sum, `[1]`.
    pub scaled: Tensor<1>,
    /// The contrastive term before scaling, with its statistics.
    pub contrastive: InfoNceOutput,
}

impl CoinLoss {
    /// Computes the objective of a batch.
    ///
    /// # Shapes
    /// - generation: `[1]`, the sum of the two wordings' mean token losses, in nats
    /// - original, paraphrase: `[pairs, d_model]`, pooled hidden states
    /// - excluded: `[pairs, pairs]`, true where a column is not a negative of a row
    pub fn forward(
        &self,
        generation: Tensor<1>,
        original: Tensor<2>,
        paraphrase: Tensor<2>,
        excluded: Option<Tensor<2, Bool>>,
    ) -> CoinOutput {
        let batch = PairBatch::new(original, paraphrase);
        let batch = match excluded {
            Some(excluded) => batch.with_excluded(excluded),
            None => batch,
        };
        self.forward_batch(generation, batch)
    }

    /// Like [`forward`](Self::forward), with hard negatives, groups and row weights. The anchors are the original
    /// wordings.
    pub fn forward_batch(&self, generation: Tensor<1>, batch: PairBatch) -> CoinOutput {
        let contrastive = InfoNce::fixed(self.contrastive).forward_batch(batch);
        let scaled = self.scale(generation.clone(), contrastive.loss.clone());
        CoinOutput { loss: generation.clone() + scaled.clone(), generation, scaled, contrastive }
    }

    /// Scales the contrastive term for the sum. Both losses are `[1]`.
    pub fn scale(&self, generation: Tensor<1>, contrastive: Tensor<1>) -> Tensor<1> {
        match self.scale {
            ScalePolicy::None => contrastive,
            ScalePolicy::Fixed => contrastive * self.lambda,
            ScalePolicy::DetachedCap => {
                let term = contrastive * self.lambda;
                let (value, limit) = (term.clone().detach(), generation.detach());
                let within = value.clone().lower_equal(limit.clone());
                // The quotient is unused where the term is within the limit; the floor keeps it finite there.
                let factor = (limit / value.clamp_min(1e-30)).clamp_max(self.lambda).mask_fill(within, 1.0);
                term * factor
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn capped(generation: f32, contrastive: f32, lambda: f64) -> (f32, f32) {
        let device = Device::flex().autodiff();
        let generation = Tensor::<1>::from_floats([generation], &device).require_grad();
        let contrastive = Tensor::<1>::from_floats([contrastive], &device).require_grad();
        let loss = CoinLossConfig::new().with_lambda(lambda).init().unwrap();
        let scaled = loss.scale(generation.clone(), contrastive.clone());
        let value = scaled.clone().into_scalar::<f32>();
        let gradients = scaled.backward();
        assert!(generation.grad(&gradients).is_none(), "the cap must not push on the generation loss");
        (value, contrastive.grad(&gradients).unwrap().into_scalar::<f32>())
    }

    #[test]
    fn the_cap_matches_hand_computed_values() {
        // 1000 * 0.02 = 20 > 0.5: factor min(1000, 0.025) = 0.025; value 0.5, gradient 1000 * 0.025 = 25.
        let (value, gradient) = capped(0.5, 0.02, 1000.0);
        assert!((value - 0.5).abs() < 1e-6 && (gradient - 25.0).abs() < 1e-4);
        // 1000 * 0.0001 = 0.1 <= 0.5: unchanged.
        let (value, gradient) = capped(0.5, 0.0001, 1000.0);
        assert!((value - 0.1).abs() < 1e-6 && (gradient - 1000.0).abs() < 1e-3);
        // lambda below the quotient: 0.1 * 6 = 0.6 > 0.5: factor min(0.1, 0.8333) = 0.1.
        let (value, gradient) = capped(0.5, 6.0, 0.1);
        assert!((value - 0.06).abs() < 1e-6 && (gradient - 0.01).abs() < 1e-6);
        // A contrastive loss of zero.
        assert_eq!(capped(0.5, 0.0, 1000.0).0, 0.0);
    }

    #[test]
    fn lambda_and_temperature_out_of_range_are_refused() {
        assert!(matches!(CoinLossConfig::new().with_lambda(-1.0).init(), Err(LossError::Lambda(_))));
        assert!(matches!(CoinLossConfig::new().with_temperature(0.0).init(), Err(LossError::Temperature(_))));
    }
}
