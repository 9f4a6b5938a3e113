//! The objective of Contrastive Instruction Tuning.

use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::settings::config;
use crate::{Batch, Evaluation, InfoNce, InfoNceConfig, InfoNceOutput, LossError, Reduction};

/// Scaling of the contrastive term before it is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

config! {
    /// Settings of [`CoinLoss`].
    #[derive(Copy)]
    CoinLossConfig {
        /// Settings of the contrastive term. Default: those of [`InfoNceConfig`].
        contrastive / with_contrastive: InfoNceConfig = InfoNceConfig::new(),
        /// Weight of the contrastive term. Default 1000 (the paper's).
        lambda / with_lambda: f64 = 1000.0,
        /// Scaling of the contrastive term. Default [`ScalePolicy::DetachedCap`] (the released program's).
        scale / with_scale: ScalePolicy = ScalePolicy::DetachedCap,
    }
}

impl CoinLossConfig {
    /// Sets the temperature of the contrastive term.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.contrastive.temperature = temperature;
        self
    }

    /// Sets the evaluation of the contrastive term.
    pub fn with_evaluation(mut self, evaluation: Evaluation) -> Self {
        self.contrastive.evaluation = evaluation;
        self
    }

    /// Builds the loss with a fixed temperature.
    ///
    /// # Errors
    /// [`LossError`] if a setting is out of range, or if the contrastive term is not reduced.
    pub fn init(&self) -> Result<CoinLoss, LossError> {
        self.with(self.contrastive.init()?)
    }

    /// Builds the loss with a learnable temperature; see [`InfoNceConfig::init_learnable`].
    ///
    /// # Errors
    /// As for [`init`](Self::init), and [`LossError::InitialTemperature`].
    pub fn init_learnable(&self, device: &Device) -> Result<CoinLoss, LossError> {
        self.with(self.contrastive.init_learnable(device)?)
    }

    fn with(&self, contrastive: InfoNce) -> Result<CoinLoss, LossError> {
        // Up to this limit the product with any contrastive loss fits into f32.
        if !(0.0..=1e15).contains(&self.lambda) {
            return Err(LossError::Lambda(self.lambda));
        }
        if self.contrastive.reduction == Reduction::None {
            return Err(LossError::Setting {
                setting: "reduction",
                got: "none".to_owned(),
                expected: "`mean` or `sum`, since the term is added to one number",
            });
        }
        Ok(CoinLoss { contrastive, lambda: self.lambda, scale: self.scale })
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
/// value of the contrastive term from exceeding that of the generation term. A generation loss below 0 counts as 0, so that the
/// factor never turns the gradient around.
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
#[derive(Module, Debug)]
pub struct CoinLoss {
    contrastive: InfoNce,
    #[module(skip)]
    lambda: f64,
    #[module(skip)]
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
        let batch = Batch::pairs(original, paraphrase);
        let batch = match excluded {
            Some(excluded) => batch.with_excluded(excluded),
            None => batch,
        };
        self.forward_batch(generation, batch)
    }

    /// Like [`forward`](Self::forward), with hard negatives, groups and row weights. The anchors are the original
    /// wordings.
    pub fn forward_batch(&self, generation: Tensor<1>, batch: Batch) -> CoinOutput {
        self.output(generation, self.contrastive.forward_batch(batch))
    }

    /// Like [`forward_batch`](Self::forward_batch), with the checks of [`InfoNce::try_forward`].
    ///
    /// # Errors
    /// See [`InfoNce::try_forward`].
    pub fn try_forward(&self, generation: Tensor<1>, batch: Batch) -> Result<CoinOutput, LossError> {
        Ok(self.output(generation, self.contrastive.try_forward(batch)?))
    }

    fn output(&self, generation: Tensor<1>, contrastive: InfoNceOutput) -> CoinOutput {
        let scaled = self.scale(generation.clone(), contrastive.loss.clone());
        CoinOutput { loss: generation.clone() + scaled.clone(), generation, scaled, contrastive }
    }

    /// Returns the contrastive term.
    pub fn contrastive(&self) -> &InfoNce {
        &self.contrastive
    }

    /// Scales the contrastive term for the sum. Both losses are `[1]`.
    pub fn scale(&self, generation: Tensor<1>, contrastive: Tensor<1>) -> Tensor<1> {
        match self.scale {
            ScalePolicy::None => contrastive,
            ScalePolicy::Fixed => contrastive * self.lambda,
            ScalePolicy::DetachedCap => {
                let term = contrastive * self.lambda;
                let (value, limit) = (term.clone().detach(), generation.detach().clamp_min(0.0));
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
        // A generation loss below zero leaves no room for the term, and does not turn its gradient around.
        assert_eq!(capped(-1.0, 0.02, 1000.0), (0.0, 0.0));
        // A contrastive loss of zero.
        assert_eq!(capped(0.5, 0.0, 1000.0).0, 0.0);
    }

    #[test]
    fn lambda_and_temperature_out_of_range_are_refused() {
        assert!(matches!(CoinLossConfig::new().with_lambda(-1.0).init(), Err(LossError::Lambda(_))));
        assert!(matches!(CoinLossConfig::new().with_temperature(0.0).init(), Err(LossError::Temperature(_))));
    }
}
