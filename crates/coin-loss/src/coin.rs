//! The objective of Contrastive Instruction Tuning (Yan et al. 2024, section 3.3, and the released program).
//!
//! ```text
//! C = lambda * L_ctr
//! C = C * min(lambda, sg(L_gen) / sg(C))   if C > L_gen          sg = stop-gradient
//! L = L_gen + C
//! ```
//!
//! `L_ctr` is the [`InfoNce`] of the hidden states of two wordings of the same instance. The cap keeps the
//! contrastive term from outweighing the generation term in value.

use burn::tensor::{Bool, Tensor};

use crate::{Evaluation, InfoNce, InfoNceConfig, InfoNceOutput, LossError, PairBatch};

/// How the contrastive term is scaled before it is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScalePolicy {
    /// `lambda`, then capped at the generation loss by a factor outside the graph (the released program's; default).
    #[default]
    DetachedCap,
    /// `lambda` and nothing else.
    Fixed,
    /// Not scaled at all.
    None,
}

/// Settings of [`CoinLoss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoinLossConfig {
    /// Temperature of the contrastive term. Default 0.05 (the paper's).
    pub temperature: f64,
    /// Weight of the contrastive term. Default 1000 (the paper's).
    pub lambda: f64,
    /// How the term is scaled. Default [`ScalePolicy::DetachedCap`] (the released program's).
    pub scale: ScalePolicy,
    /// How the contrastive term is evaluated. Default [`Evaluation::Auto`] (ours).
    pub evaluation: Evaluation,
}

impl CoinLossConfig {
    /// The paper's settings.
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

    /// Sets how the contrastive term is evaluated.
    pub fn with_evaluation(mut self, evaluation: Evaluation) -> Self {
        self.evaluation = evaluation;
        self
    }

    /// The loss with these settings.
    ///
    /// # Errors
    /// [`LossError::Tile`], [`LossError::Temperature`] or [`LossError::Lambda`] if one is outside its domain.
    pub fn init(&self) -> Result<CoinLoss, LossError> {
        // Within this its product with any contrastive loss is an f32.
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

/// The objective of Contrastive Instruction Tuning; see the [module page](self).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::CoinLossConfig;
/// let device = Device::flex();
/// let generation = Tensor::<1>::from_floats([0.5], &device);
/// let original = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
/// let paraphrase = Tensor::<2>::from_floats([[0.0, 1.0], [1.0, 0.0]], &device);
/// let output = CoinLossConfig::new().init()?.forward(generation, original, paraphrase, None);
/// // The two wordings are as wrong as can be, yet the term is capped at the generation loss.
/// assert!((output.loss.into_scalar::<f32>() - 1.0).abs() < 1e-6);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoinLoss {
    contrastive: InfoNceConfig,
    lambda: f64,
    scale: ScalePolicy,
}

/// What [`CoinLoss::forward`] returns.
#[derive(Debug, Clone)]
pub struct CoinOutput {
    /// The sum that is minimised, `[1]`, in nats.
    pub loss: Tensor<1>,
    /// The generation loss as given, `[1]`.
    pub generation: Tensor<1>,
    /// The contrastive term as it enters the sum, `[1]`.
    pub scaled: Tensor<1>,
    /// The contrastive term before scaling, with its statistics.
    pub contrastive: InfoNceOutput,
}

impl CoinLoss {
    /// The objective of a batch.
    ///
    /// # Shapes
    /// - generation: `[1]`, the sum of the two wordings' mean token losses, in nats
    /// - original, paraphrase: `[pairs, d_model]`, pooled hidden states
    /// - excluded: `[pairs, pairs]`, true where a column is no negative of a row
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

    /// The same with hard negatives, groups and row weights; anchors are the original wordings.
    pub fn forward_batch(&self, generation: Tensor<1>, batch: PairBatch) -> CoinOutput {
        let contrastive = InfoNce::fixed(self.contrastive).forward_batch(batch);
        let scaled = self.scale(generation.clone(), contrastive.loss.clone());
        CoinOutput { loss: generation.clone() + scaled.clone(), generation, scaled, contrastive }
    }

    /// The contrastive term as it enters the sum, from the two losses, both `[1]`.
    pub fn scale(&self, generation: Tensor<1>, contrastive: Tensor<1>) -> Tensor<1> {
        match self.scale {
            ScalePolicy::None => contrastive,
            ScalePolicy::Fixed => contrastive * self.lambda,
            ScalePolicy::DetachedCap => {
                let term = contrastive * self.lambda;
                let (value, limit) = (term.clone().detach(), generation.detach());
                let within = value.clone().lower_equal(limit.clone());
                // Where the term is within the limit the quotient is not used; the floor keeps it finite there.
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
    fn the_cap_by_hand() {
        // 1000 * 0.02 = 20 > 0.5: factor min(1000, 0.025) = 0.025; value 0.5, gradient 1000 * 0.025 = 25.
        let (value, gradient) = capped(0.5, 0.02, 1000.0);
        assert!((value - 0.5).abs() < 1e-6 && (gradient - 25.0).abs() < 1e-4);
        // 1000 * 0.0001 = 0.1 <= 0.5: untouched.
        let (value, gradient) = capped(0.5, 0.0001, 1000.0);
        assert!((value - 0.1).abs() < 1e-6 && (gradient - 1000.0).abs() < 1e-3);
        // lambda below the quotient: 0.1 * 6 = 0.6 > 0.5: factor min(0.1, 0.8333) = 0.1.
        let (value, gradient) = capped(0.5, 6.0, 0.1);
        assert!((value - 0.06).abs() < 1e-6 && (gradient - 0.01).abs() < 1e-6);
        // Nothing to contrast.
        assert_eq!(capped(0.5, 0.0, 1000.0).0, 0.0);
    }

    #[test]
    fn lambda_must_be_a_weight() {
        assert!(matches!(CoinLossConfig::new().with_lambda(-1.0).init(), Err(LossError::Lambda(_))));
        assert!(matches!(CoinLossConfig::new().with_temperature(0.0).init(), Err(LossError::Temperature(_))));
    }
}
