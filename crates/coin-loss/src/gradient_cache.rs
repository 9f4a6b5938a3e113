//! Gradient caching: the gradients of a large batch in the memory of a small one.

mod encoder;
mod error;
mod passes;
mod ranks;

use std::fmt::{Debug, Formatter};
use std::ops::Range;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

use crate::collective::{Collective, SingleProcess, sum_gradients};
use encoder::Closure;
use passes::{Passes, loss_shape};
use ranks::Ranks;

pub use encoder::{Encoded, Encoder, MicroBatch, Pass};
pub use error::GradientCacheError;

/// The default of [`GradientCache::with_tolerance`].
const TOLERANCE: f64 = 0.01;

/// Gradient caching: computes the gradients of the loss of a whole batch while the encoder holds the activations of one
/// micro-batch.
///
/// A contrastive loss needs all embeddings at once, so gradient accumulation, which sums losses of small batches, is
/// another loss with fewer negatives. Here the result is that of the whole batch:
///
/// 1. The first pass encodes one micro-batch after the other and keeps only the values of the embeddings.
/// 2. The loss of the whole batch is differentiated with respect to the embeddings.
/// 3. The second pass encodes each micro-batch again and propagates `sum(embedding * gradient)` through the encoder.
///    The parameter gradients are summed.
///
/// The price is one forward pass without gradients. A batch that fits into one micro-batch is encoded only once.
///
/// Source: Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup (GradCache).
///
/// **Randomness.** Both passes must compute the same embeddings. Every [`MicroBatch`] has a key for this purpose: seed
/// the device with it at the start of the encoder. Both passes use the model that the encoder is given, with dropout
/// on; do not call `valid()`. The passes are compared, and [`GradientCacheError::PassesDiffer`] reports a difference.
/// On the CPU the random numbers of burn 0.22.1 belong to the process, so ranks that are threads on the CPU need masks
/// of their own that depend on the key.
///
/// **State.** Layers that gather statistics in their forward pass, such as batch normalization, see every item twice
/// and one micro-batch at a time.
///
/// **Ranks.** With [`with_collective`](Self::with_collective) each rank encodes its own items, and every rank gets the
/// gradients of the batch of all ranks.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
/// use burn::optim::AdamWConfig;
/// use burn::tensor::activation::relu;
/// use burn::tensor::{Device, Distribution, Tensor};
/// use coin_loss::{Encoded, GradientCache, InfoNceConfig};
///
/// /// Embeds readings of two kinds of sensors.
/// #[derive(Module, Debug)]
/// struct Towers {
///     sound: Linear,
///     image: Linear,
///     dropout: Dropout,
/// }
///
/// let device = Device::flex().autodiff();
/// let model = Towers {
///     sound: LinearConfig::new(12, 8).init(&device),
///     image: LinearConfig::new(20, 8).init(&device),
///     dropout: DropoutConfig::new(0.1).init(),
/// };
/// // 64 recordings with their pictures, in a batch of which only 16 fit into memory.
/// let sounds = Tensor::<2>::random([64, 12], Distribution::Default, &device);
/// let images = Tensor::<2>::random([64, 20], Distribution::Default, &device);
/// let loss = InfoNceConfig::new().init_learnable(&device)?;
///
/// let step = 1; // Another seed for each step gives other dropout masks.
/// let mut cached = GradientCache::new(16, step).gradients(
///     &model,
///     64,
///     |model, part| {
///         device.seed(part.key);
///         let rows = |of: &Tensor<2>| of.clone().narrow(0, part.items.start, part.len());
///         let sound = model.dropout.forward(relu(model.sound.forward(rows(&sounds))));
///         let image = model.dropout.forward(relu(model.image.forward(rows(&images))));
///         Ok::<_, coin_loss::GradientCacheError>(Encoded::new([sound, image]))
///     },
///     |batch| {
///         let [sound, image] = batch.embeddings;
///         let output = loss.forward(sound, image, None);
///         Ok((output.loss.clone(), output))
///     },
/// )?;
/// assert!(cached.output.accuracy.clone().into_scalar::<f32>() <= 1.0);
///
/// let of_temperature = cached.loss_gradients(&loss);
/// let model = AdamWConfig::new().init().step(1e-3, model, cached.gradients);
/// let loss = AdamWConfig::new().init().step(1e-3, loss, of_temperature).clamped();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct GradientCache<'a> {
    micro_batch: usize,
    seed: u64,
    collective: &'a dyn Collective,
    local_loss: bool,
    measured_loss: bool,
    tolerance: Option<f64>,
}

/// The whole batch, as the loss sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EncodedBatch<const N: usize> {
    /// The embeddings of all items, `[items, d_i]` each, in rank order. They are leaves of a graph that ends here. On
    /// several ranks they are f32.
    pub embeddings: [Tensor<2>; N],
    /// The sum of the extra losses of all micro-batches and ranks. Its gradient is propagated apart from the loss of
    /// the batch.
    pub extra_loss: f64,
    /// The rows of this rank; all rows on a single rank.
    pub own: Range<usize>,
}

/// The result of [`GradientCache::gradients`].
pub struct CachedGradients<O> {
    /// The gradients of the model's parameters, of the loss of the batch plus all extra losses. They are the same on
    /// all ranks.
    pub gradients: GradientsParams,
    /// The sum of the extra losses of all micro-batches and ranks.
    pub extra_loss: f64,
    /// What the closure of the loss returned besides the loss.
    pub output: O,
    of_loss: Option<Gradients>,
}

impl<'a> GradientCache<'a> {
    /// Encodes at most `micro_batch` items at a time. `seed` determines the keys of the micro-batches
    /// ([`MicroBatch::key`]): pass another one in every step, such as the number of the step, and the same one on all
    /// ranks.
    pub fn new(micro_batch: usize, seed: u64) -> Self {
        GradientCache {
            micro_batch,
            seed,
            collective: &SingleProcess,
            local_loss: false,
            measured_loss: false,
            tolerance: Some(TOLERANCE),
        }
    }

    /// Sets the ranks. Each encodes its own items, whose number may differ between ranks or be 0. The loss sees the
    /// embeddings of all ranks, in rank order. All ranks make the same calls with the same models, and get the same
    /// gradients. A rank that fails must drop its collective, so that the others do not wait for it.
    pub fn with_collective(mut self, collective: &'a dyn Collective) -> Self {
        self.collective = collective;
        self
    }

    /// States that the loss of each rank is a share of the loss of the batch, such as the rows [`EncodedBatch::own`]
    /// against all columns. The loss of the batch is then the sum over ranks, and gradients with respect to embeddings
    /// are summed over ranks before each rank propagates those of its rows. The default is that every rank computes the
    /// whole loss.
    ///
    /// It saves computation where the loss is expensive: each rank computes n x n / ranks similarities instead of n x
    /// n. The gradients of a learnable temperature are then a share too: sum them with
    /// [`sum_gradients`](crate::collective::sum_gradients).
    ///
    /// Source: `local_loss` with `gather_with_grad` of OpenCLIP.
    pub fn with_local_loss(mut self) -> Self {
        self.local_loss = true;
        self
    }

    /// Minimizes the extra losses only. The loss of the batch is measured: its closure gets embeddings outside of any
    /// graph, and its loss is ignored. There is only one pass.
    pub fn with_measured_loss(mut self) -> Self {
        self.measured_loss = true;
        self
    }

    /// Sets the largest difference of embeddings between the two passes, relative to the largest magnitude within an
    /// output of the micro-batch. Default 0.01 (this crate's choice): differences by other kernels in reduced precision
    /// stay below it, and those by dropout exceed it. `None` does not compare.
    pub fn with_tolerance(mut self, tolerance: impl Into<Option<f64>>) -> Self {
        self.tolerance = tolerance.into();
        self
    }

    /// Computes the gradients of a batch of `items` items, or of which this rank has `items`.
    ///
    /// `encode` turns the items of a micro-batch into N embeddings each, and runs twice for each micro-batch. It must
    /// use the model that it is given, which has no gradients in the first pass. Several models can be one: a tuple of
    /// modules is a module.
    ///
    /// `loss` returns the loss of the whole batch, `[1]`, and anything else that the caller needs. It runs once. It may
    /// have learnable parameters of its own; see [`CachedGradients::loss_gradients`].
    ///
    /// # Errors
    /// [`GradientCacheError`] if a setting or the batch is invalid, if an output has another shape than expected, if
    /// the two passes differ, or if a rank is gone. Errors of the closures are returned as they are.
    pub fn gradients<M, O, E, const N: usize>(
        &self,
        model: &M,
        items: usize,
        encode: impl FnMut(&M, &MicroBatch) -> Result<Encoded<N>, E>,
        loss: impl FnOnce(EncodedBatch<N>) -> Result<(Tensor<1>, O), E>,
    ) -> Result<CachedGradients<O>, E>
    where
        M: Module,
        E: From<GradientCacheError>,
    {
        self.gradients_with(model, items, &mut Closure(encode), loss)
    }

    /// Like [`gradients`](Self::gradients), with an [`Encoder`] that has a backward pass of its own.
    ///
    /// # Errors
    /// See [`gradients`](Self::gradients).
    pub fn gradients_with<M, C, O, const N: usize>(
        &self,
        model: &M,
        items: usize,
        encoder: &mut C,
        loss: impl FnOnce(EncodedBatch<N>) -> Result<(Tensor<1>, O), C::Error>,
    ) -> Result<CachedGradients<O>, C::Error>
    where
        M: Module,
        C: Encoder<M, N>,
    {
        self.check()?;
        let device = model.devices().into_iter().next().unwrap_or_default().inner();
        let ranks = Ranks::new(self.collective, items, device)?;
        let own = ranks.own();
        let mut passes = Passes::new(model, encoder, self.tolerance);
        let micro_batches = |pass| {
            let parts = (0..items).step_by(self.micro_batch).map(|first| first..items.min(first + self.micro_batch));
            let offset = own.start;
            parts.map(move |items| MicroBatch::new(items, offset, self.seed, pass)).collect::<Vec<_>>()
        };
        let once = self.measured_loss || items <= self.micro_batch;
        match (self.measured_loss, once) {
            (true, _) => passes.only_extra(micro_batches(Pass::Gradients))?,
            (false, true) => passes.kept(micro_batches(Pass::Gradients))?,
            (false, false) => passes.first(micro_batches(Pass::Values))?,
        }
        let (embeddings, extra_loss) = passes.values()?;
        let (embeddings, extra_loss) = ranks.gather(embeddings, extra_loss)?;
        if self.measured_loss {
            let (_, output) = loss(EncodedBatch { embeddings, extra_loss, own })?;
            let gradients = self.sum(model, passes.gradients())?;
            return Ok(CachedGradients { gradients, extra_loss, output, of_loss: None });
        }
        let leaves = embeddings.map(|rows| Tensor::from_inner(rows).require_grad());
        let batch = EncodedBatch { embeddings: leaves.clone(), extra_loss, own: own.clone() };
        let (loss, output) = loss(batch)?;
        loss_shape("loss of the batch", &loss)?;
        if !loss.is_tracked() {
            return Err(GradientCacheError::NoGraph("loss of the batch").into());
        }
        let mut of_loss = loss.backward();
        drop(loss);
        let mut of_rows = leaves.each_ref().map(|rows| rows.grad_remove(&mut of_loss));
        if self.local_loss {
            of_rows = ranks.sum(of_rows, &leaves)?;
        }
        drop(leaves);
        match once {
            true => passes.propagate_kept(&of_rows)?,
            false => passes.second(micro_batches(Pass::Gradients), &of_rows)?,
        }
        let gradients = self.sum(model, passes.gradients())?;
        Ok(CachedGradients { gradients, extra_loss, output, of_loss: Some(of_loss) })
    }

    fn check(&self) -> Result<(), GradientCacheError> {
        match self.tolerance {
            _ if self.micro_batch == 0 => Err(GradientCacheError::MicroBatch),
            Some(tolerance) if tolerance.is_nan() || tolerance < 0.0 => Err(GradientCacheError::Tolerance(tolerance)),
            _ => Ok(()),
        }
    }

    fn sum<M: Module>(&self, model: &M, gradients: GradientsParams) -> Result<GradientsParams, GradientCacheError> {
        Ok(sum_gradients(model, gradients, self.collective)?)
    }
}

impl<O> CachedGradients<O> {
    /// Takes the gradients of the loss's own parameters, such as a learnable temperature. They are complete on every
    /// rank, and must not be summed, unless the loss is [local](GradientCache::with_local_loss). Empty for a measured
    /// loss.
    pub fn loss_gradients<L: Module>(&mut self, loss: &L) -> GradientsParams {
        match &mut self.of_loss {
            Some(gradients) => GradientsParams::from_module(gradients, loss),
            None => GradientsParams::new(),
        }
    }
}

impl<O: Debug> Debug for CachedGradients<O> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let CachedGradients { gradients, extra_loss, output, of_loss: _ } = self;
        let mut debug = formatter.debug_struct("CachedGradients");
        debug.field("gradients", gradients).field("extra_loss", extra_loss).field("output", output);
        debug.finish_non_exhaustive()
    }
}
