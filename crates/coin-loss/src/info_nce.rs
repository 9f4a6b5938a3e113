//! InfoNCE with in-batch negatives.

use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Device, Tensor};

use crate::batch::Part;
use crate::evaluation::Evaluated;
use crate::statistics::Statistics;
use crate::{Batch, Evaluation, InfoNceConfig, Loss, LossError, LossOutput, Similarity, plain, tiled};

impl InfoNceConfig {
    /// Builds the loss with a fixed temperature.
    ///
    /// # Errors
    /// [`LossError`] if a setting is out of range, or if [`Reduction::None`](crate::Reduction::None) is combined with [`Evaluation::Tiled`].
    pub fn init(&self) -> Result<InfoNce, LossError> {
        self.check()?;
        Ok(InfoNce::fixed(*self))
    }

    /// Builds the loss with a learnable temperature, which starts at `temperature`; see [`InfoNce`].
    ///
    /// # Errors
    /// As for [`init`](Self::init), and [`LossError::InitialTemperature`] if `temperature` is below `min_temperature`.
    pub fn init_learnable(&self, device: &Device) -> Result<InfoNce, LossError> {
        if self.temperature < self.min_temperature {
            return Err(LossError::InitialTemperature { start: self.temperature, least: self.min_temperature });
        }
        let log_scale = Tensor::from_data([-self.temperature.ln() as f32], (device, DType::F32));
        Ok(InfoNce { log_scale: Some(Param::from_tensor(log_scale)), ..self.init()? })
    }
}

/// InfoNCE: each anchor should be closer to its own positive than to the positives of other rows.
///
/// ```text
/// S_ij = sim(a_i, p_j) / temperature
/// R_i  = sum_j exp(S_ij) + sum_k w_ik exp(sim(a_i, h_ik) / temperature) + sum_m exp(sim(a_i, q_m) / temperature)
/// C_i  = sum_j exp(S_ji)                                                        over j that are not excluded
/// t_i  = (log R_i - S_ii + log C_i - S_ii) / 2       Direction::Symmetric
/// t_i  =  log R_i - S_ii                             Direction::AnchorToPositive
/// t_i  =  log (R_i + C_i) - S_ii                     Direction::Joint (the pair itself counts in both)
/// L    = mean, sum, or all of t_i
/// ```
///
/// a are the anchors, p the positives, h the hard negatives with weights w, q the shared negatives. With
/// [`contrast_anchors`](InfoNceConfig::contrast_anchors), R_i also has the other anchors, and with
/// [`contrast_positives`](InfoNceConfig::contrast_positives) the similarities of p_i to the other positives. [`Evaluation`] bounds the
/// memory for large batches.
///
/// Source: van den Oord et al. 2018; CoIN, Yan et al. 2024, equation 2. The symmetric form and the learnable temperature follow
/// CLIP (Radford et al. 2021).
///
/// Use it for pairs of views of the same item. [`SupCon`](crate::SupCon) handles more than two views per item, and
/// [`CoinLoss`](crate::CoinLoss) adds a generation loss. As the batch grows, the loss tends to
/// [`alignment`](crate::alignment()) plus [`uniformity`](crate::uniformity()) (Wang and Isola 2020).
///
/// **Temperature.** With [`init_learnable`](InfoNceConfig::init_learnable) the module has one parameter, the logarithm
/// of the inverse temperature, `[1]`, as in CLIP. `forward` clamps the temperature to its minimum but passes the gradient
/// as if it did not, so that the parameter can return to its range. Call [`clamped`](Self::clamped) after each optimizer
/// step to keep the parameter itself in range, as CLIP does.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Direction, InfoNceConfig, Batch};
/// let device = Device::flex().autodiff();
/// let query = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device).require_grad();
/// let answer = Tensor::<2>::from_floats([[0.9, 0.1], [0.2, 0.8]], &device);
/// let distractor = Tensor::<2>::from_floats([[0.7, 0.6], [0.5, 0.5]], &device);
/// let loss = InfoNceConfig::new().with_direction(Direction::AnchorToPositive).init_learnable(&device)?;
/// let output = loss.forward_batch(Batch::pairs(query.clone(), answer).with_hard_negative(distractor));
/// let gradients = output.loss.backward();
/// assert_eq!(query.grad(&gradients).map(|gradient| gradient.dims()), Some([2, 2]));
/// assert_eq!(output.accuracy.into_scalar::<f32>(), 1.0);
/// # Ok::<(), coin_loss::LossError>(())
/// ```
#[derive(Module, Debug)]
pub struct InfoNce {
    log_scale: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: InfoNceConfig,
}

/// The result of [`InfoNce::forward`], on the inputs' device; reading a value synchronizes. Only `loss` has a graph.
#[derive(Debug, Clone)]
pub struct InfoNceOutput {
    /// The loss in nats, `[1]`; `[n]` with [`Reduction::None`](crate::Reduction::None).
    pub loss: Tensor<1>,
    /// Each row's term, `[n]`, before weights. For a weighted sum with gradients use
    /// [`Batch::with_row_weights`], or [`Reduction::None`](crate::Reduction::None).
    pub per_row: Tensor<1>,
    /// Share of anchors with a negative, including hard ones, `[1]`. If it is 0, the loss is 0, and `accuracy` and
    /// `similarity_negative` are meaningless.
    pub contrasted: Tensor<1>,
    /// Share of the anchors with a negative whose positive ranks above all their negatives, including hard ones, `[1]`. A tie does
    /// not count. 0 if no anchor has a negative.
    pub accuracy: Tensor<1>,
    /// Mean similarity of the positive pairs, `[1]`.
    pub similarity_positive: Tensor<1>,
    /// Mean similarity of anchors and their negatives, hard ones included, `[1]`; 0 without negatives.
    pub similarity_negative: Tensor<1>,
}

impl InfoNce {
    /// Builds the loss with a fixed temperature from settings that were checked.
    pub(crate) fn fixed(config: InfoNceConfig) -> Self {
        InfoNce { log_scale: None, config }
    }

    /// Contrasts every anchor with every positive.
    ///
    /// # Shapes
    /// - anchor, positive: `[n, d]`; row i of one belongs to row i of the other
    /// - excluded: `[n, n]`, true where column j is not a negative of row i (a false negative: same task, same answer);
    ///   the diagonal is ignored
    ///
    /// Everything is computed in f32, whatever the dtype of the inputs. With `n = 1`, or with every negative excluded,
    /// the loss and its gradients are 0.
    ///
    /// # Panics
    /// Panics if the shapes differ or the batch is empty.
    pub fn forward(&self, anchor: Tensor<2>, positive: Tensor<2>, excluded: Option<Tensor<2, Bool>>) -> InfoNceOutput {
        let batch = Batch::pairs(anchor, positive);
        self.forward_batch(match excluded {
            Some(excluded) => batch.with_excluded(excluded),
            None => batch,
        })
    }

    /// Like [`forward`](Self::forward), with negatives, masks, groups and weights; see [`Batch`].
    ///
    /// # Panics
    /// Panics with the message of [`LossError`] where [`try_forward`](Self::try_forward) would return one for a shape. Values are not
    /// looked at: a NaN gives a NaN, and a zero row has cosine 0 to every row.
    pub fn forward_batch(&self, batch: Batch) -> InfoNceOutput {
        self.checked(batch).unwrap_or_else(|error| panic!("InfoNCE: {error}"))
    }

    /// Like [`forward_batch`](Self::forward_batch), and looks at the values too, for which it reads from the device.
    ///
    /// # Errors
    /// [`LossError`] names an argument of the wrong shape, one that the loss would ignore, and the first row that is not finite or,
    /// with cosines, zero.
    pub fn try_forward(&self, batch: Batch) -> Result<InfoNceOutput, LossError> {
        self.check(&batch)?;
        batch.check_values(self.config.similarity == Similarity::Cosine)?;
        self.checked(batch)
    }

    fn check(&self, batch: &Batch) -> Result<[usize; 2], LossError> {
        let used = [
            Part::HardNegatives,
            Part::SharedNegatives,
            Part::Excluded,
            Part::ExcludedWithin,
            Part::Groups,
            Part::RowWeights,
            Part::Rows,
        ];
        batch.check("InfoNCE", 2..=2, &used, &[])
    }

    fn checked(&self, mut batch: Batch) -> Result<InfoNceOutput, LossError> {
        let [n, d] = self.check(&batch)?;
        if self.config.hard_negative_weight == 0.0 {
            (batch.hard_negatives, batch.hard_excluded, batch.hard_weights) = (None, None, None);
        }
        let scale = self.scale(&batch.anchor().device());
        let tile = match self.config.evaluation {
            _ if !self.config.can_be_tiled() => None,
            Evaluation::Auto => (n > tiled::PLAIN_ROWS).then(|| tiled::default_tile(n, d)),
            Evaluation::Plain => None,
            Evaluation::Tiled(tile) => Some(tile),
        };
        let Evaluated { loss, per_row, statistics } = match tile {
            None => plain::evaluate(&self.config, &batch, scale),
            Some(tile) => {
                let keep = self.config.evaluation == Evaluation::Auto;
                tiled::evaluate(&self.config, &batch, &scale, tile, keep)
            }
        };
        let Statistics { contrasted, accuracy, similarity_positive, similarity_negative } = statistics;
        Ok(InfoNceOutput { loss, per_row, contrasted, accuracy, similarity_positive, similarity_negative })
    }

    /// Returns the settings.
    pub fn config(&self) -> &InfoNceConfig {
        &self.config
    }

    /// Returns the current temperature, `[1]`, outside any graph.
    pub fn temperature(&self, device: &Device) -> Tensor<1> {
        self.scale(device).without_autodiff().recip()
    }

    /// Clamps the parameter of a learnable temperature to its range. Call it after an optimizer step.
    pub fn clamped(mut self) -> Self {
        let limit = self.max_log_scale();
        self.log_scale = self.log_scale.map(|log_scale| {
            log_scale.map(|value| {
                let clamped = value.clone().without_autodiff().clamp_max(limit);
                if value.is_autodiff() { clamped.autodiff().set_require_grad(value.is_require_grad()) } else { clamped }
            })
        });
        self
    }

    fn max_log_scale(&self) -> f64 {
        -self.config.min_temperature.ln()
    }

    /// The inverse temperature, `[1]`.
    fn scale(&self, device: &Device) -> Tensor<1> {
        match &self.log_scale {
            None => Tensor::from_data([self.config.temperature.recip() as f32], (device, DType::F32)),
            Some(log_scale) => {
                let value = log_scale.val();
                let inner = value.clone().without_autodiff();
                let excess = inner.clone() - inner.clamp_max(self.max_log_scale());
                (value - excess).exp()
            }
        }
    }
}

impl Loss for InfoNce {
    fn name(&self) -> &'static str {
        "info_nce"
    }

    fn evaluate(&self, batch: Batch) -> Result<LossOutput, LossError> {
        Ok(self.checked(batch)?.into())
    }
}

impl From<InfoNceOutput> for LossOutput {
    fn from(output: InfoNceOutput) -> Self {
        let InfoNceOutput { loss, per_row, contrasted, accuracy, similarity_positive, similarity_negative } = output;
        let statistics = Statistics { contrasted, accuracy, similarity_positive, similarity_negative };
        LossOutput::new(loss).with_per_row(per_row).with_contrast(statistics)
    }
}
