//! The pairwise sigmoid loss.

use burn::module::{Module, Param};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Bool, DType, Device, Int, Tensor};

use crate::batch::Part;
use crate::loss::forward;
use crate::settings::config;
use crate::statistics::Tally;
use crate::{Batch, LossError, LossOutput, Similarity};

config! {
    /// Settings of [`SigLip`].
    #[derive(Copy)]
    SigLipConfig {
        /// Factor of the similarities, the inverse of a temperature. Default 10 (the paper's initial value).
        scale / with_scale: f64 = 10.0,
        /// Added to every logit. Default -10 (the paper's initial value): at first nearly all pairs count as negatives, as they are.
        bias / with_bias: f64 = -10.0,
        /// Similarity of two rows. Default [`Similarity::Cosine`] (the paper's).
        similarity / with_similarity: Similarity = Similarity::Cosine,
    }
}

impl SigLipConfig {
    /// Builds the loss with a fixed scale and bias.
    ///
    /// # Errors
    /// [`LossError::Setting`] unless the scale is positive and both are finite.
    pub fn init(&self) -> Result<SigLip, LossError> {
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            let (setting, expected) = ("the scale", "a positive number");
            return Err(LossError::Setting { setting, got: self.scale.to_string(), expected });
        }
        LossError::check_at_least("the bias", self.bias, f64::MIN, "a finite number")?;
        Ok(SigLip { log_scale: None, bias: None, config: *self })
    }

    /// Builds the loss with a learnable scale and bias, which start at `scale` and `bias`. The parameter of the scale is its
    /// logarithm.
    ///
    /// # Errors
    /// As for [`init`](Self::init).
    pub fn init_learnable(&self, device: &Device) -> Result<SigLip, LossError> {
        let parameter =
            |value: f64| Some(Param::from_tensor(Tensor::<1>::from_data([value as f32], (device, DType::F32))));
        Ok(SigLip { log_scale: parameter(self.scale.ln()), bias: parameter(self.bias), ..self.init()? })
    }
}

/// Pairwise sigmoid loss (SigLIP, Zhai et al. 2023): every pair of an anchor and a positive is classified by itself.
///
/// ```text
/// x_ij = scale sim(a_i, p_j) + bias
/// t_i  = - log sigmoid(x_ii) - sum_{j != i} log sigmoid(-x_ij)       over j that are not excluded
/// L    = mean of t_i
/// ```
///
/// There is no softmax, so the terms of some rows ([`Batch::with_rows`]) add up to the loss of the whole batch: a rank computes its own
/// rows, or any chunk of them, without the others' sums.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Batch, SigLipConfig};
/// let device = Device::flex();
/// let image = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
/// let loss = SigLipConfig::new().init_learnable(&device)?;
/// let output = loss.forward(Batch::pairs(image.clone(), image));
/// // log 2 for the positive at x = 0, and almost nothing for the negative at x = -10.
/// assert!((output.loss.into_scalar::<f32>() - 2f32.ln()).abs() < 1e-3);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Module, Debug)]
pub struct SigLip {
    log_scale: Option<Param<Tensor<1>>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: SigLipConfig,
}

impl SigLip {
    /// Returns the current scale and bias, `[1]` each, outside any graph.
    pub fn scale_and_bias(&self, device: &Device) -> [Tensor<1>; 2] {
        [self.scale(device), self.bias(device)].map(Tensor::without_autodiff)
    }

    fn scale(&self, device: &Device) -> Tensor<1> {
        match &self.log_scale {
            Some(value) => value.val().exp(),
            None => Tensor::from_data([self.config.scale as f32], (device, DType::F32)),
        }
    }

    fn bias(&self, device: &Device) -> Tensor<1> {
        match &self.bias {
            Some(value) => value.val(),
            None => Tensor::from_data([self.config.bias as f32], (device, DType::F32)),
        }
    }

    fn checked(&self, batch: Batch) -> Result<LossOutput, LossError> {
        let used = [Part::Excluded, Part::Groups, Part::RowWeights, Part::Rows];
        let [n, _] = batch.check("SigLIP", 2..=2, &used, &[])?;
        let rows = batch.own_rows();
        let device = batch.anchor().device();
        let anchor = self.config.similarity.prepare(batch.anchor().clone().narrow(0, rows.start, rows.len()));
        let positive = self.config.similarity.prepare(batch.positive().clone());
        let scale = self.scale(&device);
        let scaled = anchor.matmul(positive.transpose()) * scale.clone().unsqueeze::<2>();
        let left_out = batch.left_out(rows.start, rows.len());
        let (tally, _) = Tally::new(scaled.clone().without_autodiff(), rows.start, left_out.clone(), &[]);

        let logits = scaled + self.bias(&device).unsqueeze::<2>();
        let own = Tensor::<1, Int>::arange(rows.start as i64..rows.end as i64, &device).unsqueeze_dim::<2>(1);
        let own: Tensor<2, Bool> = own.equal(Tensor::<1, Int>::arange(0..n as i64, &device).unsqueeze_dim::<2>(0));
        let sign = own.float().cast(DType::F32) * 2.0 - 1.0;
        let terms = log_sigmoid(logits * sign);
        let terms = match left_out {
            Some(out) => terms.mask_fill(out, 0.0),
            None => terms,
        };
        let terms = terms.sum_dim(1).neg().squeeze_dim::<1>(1);
        let per_row = terms.clone();
        let terms = match batch.row_weights {
            Some(weights) => terms * weights.without_autodiff().cast(DType::F32).narrow(0, rows.start, rows.len()),
            None => terms,
        };
        let statistics = tally.finish(rows.len(), scale.without_autodiff());
        Ok(LossOutput::new(terms.mean()).with_per_row(per_row).with_contrast(statistics))
    }
}

forward!(SigLip, "siglip", direction: |loss| loss.config.similarity == Similarity::Cosine);
