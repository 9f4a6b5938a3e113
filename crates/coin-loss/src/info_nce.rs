//! InfoNCE with in-batch negatives (van den Oord et al. 2018; CoIN, Yan et al. 2024, equation 2; CLIP, Radford et al.
//! 2021, for the symmetric form and the learnable temperature).
//!
//! ```text
//! S_ij = sim(a_i, p_j) / temperature
//! r_i  = log( sum_j exp(S_ij) + w sum_k exp(sim(a_i, h_ik) / temperature) )     over j that are not left out
//! c_i  = log   sum_j exp(S_ji)
//! t_i  = (r_i - S_ii + c_i - S_ii) / 2          Direction::Symmetric
//! t_i  =  r_i - S_ii                            Direction::AnchorToPositive
//! L    = mean, sum, or all of t_i
//! ```
//!
//! a are the anchors, p the positives, h the hard negatives with weight w. [`Evaluation`] says how
//! the same value is computed for large batches.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, DType, Device, Tensor};

use crate::statistics::{LEFT_OUT, Statistics, Tally, own};
use crate::{Evaluation, LossError, PairBatch, Similarity, tiled};

/// What a row is told apart from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Anchors find their positives, and positives their anchors; the mean of both (the paper's, and the default).
    #[default]
    Symmetric,
    /// Anchors find their positives (a query and its documents).
    AnchorToPositive,
}

/// How the rows' terms become the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean (the paper's, and the default).
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Each for itself; always evaluated in the plain form.
    None,
}

/// Settings of [`InfoNce`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoNceConfig {
    /// Divides the similarities. Default 0.05 (the paper's).
    pub temperature: f64,
    /// The least a learnable temperature becomes. Default 0.01 (CLIP's: a scale of at most 100).
    pub min_temperature: f64,
    /// Similarity of two rows. Default [`Similarity::Cosine`] (the paper's).
    pub similarity: Similarity,
    /// Default [`Direction::Symmetric`] (the paper's).
    pub direction: Direction,
    /// Weight of each hard negative beside the in-batch ones, whose weight is 1; its logarithm is added to the logit.
    /// 0 leaves hard negatives out. Default 1 (ours).
    pub hard_negative_weight: f64,
    /// Default [`Reduction::Mean`] (the paper's).
    pub reduction: Reduction,
    /// Default [`Evaluation::Auto`] (ours).
    pub evaluation: Evaluation,
}

impl InfoNceConfig {
    /// The paper's settings.
    pub fn new() -> Self {
        InfoNceConfig {
            temperature: 0.05,
            min_temperature: 0.01,
            similarity: Similarity::Cosine,
            direction: Direction::Symmetric,
            hard_negative_weight: 1.0,
            reduction: Reduction::Mean,
            evaluation: Evaluation::Auto,
        }
    }

    /// Sets the temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Sets the least a learnable temperature becomes.
    pub fn with_min_temperature(mut self, temperature: f64) -> Self {
        self.min_temperature = temperature;
        self
    }

    /// Sets the similarity.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// Sets the direction.
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Sets the weight of hard negatives.
    pub fn with_hard_negative_weight(mut self, weight: f64) -> Self {
        self.hard_negative_weight = weight;
        self
    }

    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Sets how the loss is evaluated.
    pub fn with_evaluation(mut self, evaluation: Evaluation) -> Self {
        self.evaluation = evaluation;
        self
    }

    /// The loss with these settings and a fixed temperature.
    ///
    /// # Errors
    /// [`LossError`] if a setting is outside its domain, or if rows are asked for one by one of the tiled form.
    pub fn init(&self) -> Result<InfoNce, LossError> {
        self.check()?;
        Ok(InfoNce::fixed(*self))
    }

    /// The loss with a temperature that is learned, starting from the one set; see [`InfoNce`].
    ///
    /// # Errors
    /// As [`init`](Self::init), and [`LossError::InitialTemperature`] if it starts below the least.
    pub fn init_learnable(&self, device: &Device) -> Result<InfoNce, LossError> {
        if self.temperature < self.min_temperature {
            return Err(LossError::InitialTemperature { start: self.temperature, least: self.min_temperature });
        }
        let log_scale = Tensor::from_data([-self.temperature.ln() as f32], (device, DType::F32));
        Ok(InfoNce { log_scale: Some(Param::from_tensor(log_scale)), ..self.init()? })
    }

    pub(crate) fn check(&self) -> Result<(), LossError> {
        LossError::check_temperature(self.temperature)?;
        LossError::check_temperature(self.min_temperature)?;
        if !(self.hard_negative_weight >= 0.0 && self.hard_negative_weight.is_finite()) {
            return Err(LossError::HardNegativeWeight(self.hard_negative_weight));
        }
        match self.evaluation {
            Evaluation::Tiled(0) => Err(LossError::Tile),
            Evaluation::Tiled(_) if self.reduction == Reduction::None => Err(LossError::TiledRows),
            _ => Ok(()),
        }
    }
}

impl Default for InfoNceConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// InfoNCE: each anchor should be nearer to its own positive than to every other row's. Formula and sources are on the
/// [module page](self).
///
/// For pairs of views of the same thing. [`SupCon`](crate::SupCon) is the form for more than two views of it,
/// [`CoinLoss`](crate::CoinLoss) adds a generation loss, and as the batch grows the loss tends to
/// [`alignment`](crate::alignment()) plus [`uniformity`](crate::uniformity()) (Wang and Isola 2020).
///
/// **Temperature.** With [`init_learnable`](InfoNceConfig::init_learnable) the module has one parameter, the logarithm
/// of the inverse temperature, `[1]`, as in CLIP. In `forward` the temperature is not let below its least, but the
/// gradient passes as though it were, so that the parameter can come back. [`clamped`](Self::clamped), called after
/// each optimizer step, is what CLIP does to keep the parameter itself in range.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::{Direction, InfoNceConfig, PairBatch};
/// let device = Device::flex().autodiff();
/// let query = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device).require_grad();
/// let answer = Tensor::<2>::from_floats([[0.9, 0.1], [0.2, 0.8]], &device);
/// let distractor = Tensor::<2>::from_floats([[0.7, 0.6], [0.5, 0.5]], &device);
/// let loss = InfoNceConfig::new().with_direction(Direction::AnchorToPositive).init_learnable(&device)?;
/// let output = loss.forward_batch(PairBatch::new(query.clone(), answer).with_hard_negative(distractor));
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

/// What [`InfoNce::forward`] returns, on the inputs' device; reading a value synchronizes. Only `loss` has a graph.
#[derive(Debug, Clone)]
pub struct InfoNceOutput {
    /// The loss in nats, `[1]`; `[n]` with [`Reduction::None`].
    pub loss: Tensor<1>,
    /// Each row's term, `[n]`, before weights. For a weighted sum with gradients use
    /// [`PairBatch::with_row_weights`], or [`Reduction::None`].
    pub per_row: Tensor<1>,
    /// Share of anchors that have a negative, hard ones included, `[1]`. Where it is 0 there was nothing to contrast: the loss
    /// is 0, and `accuracy` and `similarity_negative` say nothing.
    pub contrasted: Tensor<1>,
    /// Share of the anchors with a negative whose positive ranks above every negative of theirs, hard ones included, `[1]`;
    /// a tie is none. 0 where no anchor has a negative.
    pub accuracy: Tensor<1>,
    /// Mean similarity of the positive pairs, `[1]`.
    pub similarity_positive: Tensor<1>,
    /// Mean similarity of anchors and their negatives, hard ones included, `[1]`; 0 where there is none.
    pub similarity_negative: Tensor<1>,
}

/// What both evaluations find.
pub(crate) struct Evaluated {
    pub(crate) loss: Tensor<1>,
    pub(crate) per_row: Tensor<1>,
    pub(crate) statistics: Statistics,
}

impl InfoNce {
    /// With a fixed temperature, from settings that were checked.
    pub(crate) fn fixed(config: InfoNceConfig) -> Self {
        InfoNce { log_scale: None, config }
    }

    /// Contrasts every anchor with every positive.
    ///
    /// # Shapes
    /// - anchor, positive: `[n, d]`; row i of one belongs to row i of the other
    /// - excluded: `[n, n]`, true where column j is no negative of row i (a false negative: same task, same answer);
    ///   the diagonal is never excluded, whatever it says
    ///
    /// Everything is computed in f32 whatever the inputs' type. With `n = 1`, or with every negative excluded, the loss
    /// is 0 and so are its gradients.
    ///
    /// # Panics
    /// If the shapes disagree, or a batch is empty.
    pub fn forward(&self, anchor: Tensor<2>, positive: Tensor<2>, excluded: Option<Tensor<2, Bool>>) -> InfoNceOutput {
        let batch = PairBatch::new(anchor, positive);
        self.forward_batch(match excluded {
            Some(excluded) => batch.with_excluded(excluded),
            None => batch,
        })
    }

    /// The same with hard negatives, groups and row weights; see [`PairBatch`].
    ///
    /// # Panics
    /// If the shapes disagree, or a batch is empty.
    pub fn forward_batch(&self, mut batch: PairBatch) -> InfoNceOutput {
        let [n, d] = batch.anchor.dims();
        assert_eq!([n, d], batch.positive.dims(), "anchors and positives differ in shape");
        if self.config.hard_negative_weight == 0.0 {
            batch.hard_negatives = None;
        }
        let scale = self.scale(&batch.anchor.device());
        let tile = match self.config.evaluation {
            _ if self.config.reduction == Reduction::None => None,
            Evaluation::Auto => (n > tiled::PLAIN_ROWS).then(|| tiled::default_tile(n, d)),
            Evaluation::Plain => None,
            Evaluation::Tiled(tile) => Some(tile),
        };
        let Evaluated { loss, per_row, statistics } = match tile {
            None => self.plain(&batch, scale),
            Some(tile) => {
                let keep = self.config.evaluation == Evaluation::Auto;
                tiled::evaluate(&self.config, &batch, &scale, tile, keep)
            }
        };
        let Statistics { contrasted, accuracy, similarity_positive, similarity_negative } = statistics;
        InfoNceOutput { loss, per_row, contrasted, accuracy, similarity_positive, similarity_negative }
    }

    /// The settings.
    pub fn config(&self) -> &InfoNceConfig {
        &self.config
    }

    /// The temperature in use, `[1]`, outside any graph.
    pub fn temperature(&self, device: &Device) -> Tensor<1> {
        self.scale(device).without_autodiff().recip()
    }

    /// With the parameter of a learnable temperature moved into its range, to be called after an optimizer step.
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

    /// The whole matrix at once, as an ordinary graph.
    fn plain(&self, batch: &PairBatch, scale: Tensor<1>) -> Evaluated {
        let InfoNceConfig { similarity, direction, .. } = self.config;
        let [n, _] = batch.anchor.dims();
        let anchor = similarity.prepare(batch.anchor.clone());
        let factor = scale.clone().unsqueeze::<2>();
        let hard = batch
            .hard_negatives
            .clone()
            .map(|hard| hard_similarity(anchor.clone(), prepare_hard(similarity, hard)) * factor.clone());
        let logits = anchor.matmul(similarity.prepare(batch.positive.clone()).transpose()) * factor;

        let left_out = batch.left_out(0, n);
        let block = logits.clone().without_autodiff();
        let of_hard = hard.clone().map(Tensor::without_autodiff);
        let (tally, _) = Tally::new(block, 0, left_out.clone(), of_hard.as_ref());

        let logits = match left_out {
            Some(out) => logits.mask_fill(out, LEFT_OUT),
            None => logits,
        };
        let columns = match direction {
            Direction::Symmetric => Some(own(&log_softmax(logits.clone().transpose(), 1), 0)),
            Direction::AnchorToPositive => None,
        };
        let candidates = match hard {
            Some(hard) => Tensor::cat(vec![logits, hard + self.config.hard_negative_weight.ln()], 1),
            None => logits,
        };
        let rows = own(&log_softmax(candidates, 1), 0);
        let terms = match columns {
            Some(columns) => (rows + columns) / -2.0,
            None => rows.neg(),
        }
        .squeeze_dim::<1>(1);
        let per_row = terms.clone().without_autodiff();
        let terms = match &batch.row_weights {
            Some(weights) => terms * weights.clone().without_autodiff().cast(DType::F32),
            None => terms,
        };
        let loss = match self.config.reduction {
            Reduction::Mean => terms.mean(),
            Reduction::Sum => terms.sum(),
            Reduction::None => terms,
        };
        Evaluated { loss, per_row, statistics: tally.finish(n, scale.without_autodiff()) }
    }
}

/// [`Similarity::prepare`] of hard negatives, `[n, k, d]`.
fn prepare_hard(similarity: Similarity, rows: Tensor<3>) -> Tensor<3> {
    let [n, k, d] = rows.dims();
    similarity.prepare(rows.reshape([n * k, d])).reshape([n, k, d])
}

/// `[n, d]`, `[n, k, d]` -> `[n, k]`, both prepared.
pub(crate) fn hard_similarity(anchor: Tensor<2>, hard: Tensor<3>) -> Tensor<2> {
    hard.matmul(anchor.unsqueeze_dim::<3>(2)).squeeze_dim::<2>(2)
}
