//! Losses and gradients of a step, for any split of its effective batch over ranks and micro-batches.

use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Bool, Device, Tensor};
use coin_data::tokenize::PairRow;
use coin_loss::collective::{Collective, SingleProcess};
use coin_loss::{CoinLoss, CoinOutput, Pooling};
use coin_model::{Llama, pool};

use super::negatives::{mask, same_answer};
use super::pair_states::{PairStates, backward, forward, supervised};
use super::share::{Share, least_padding};
use super::values::{StepValues, scalar};
use crate::TrainError;
use crate::all_reduce::all_reduce_gradients;
use crate::config::{Objective, TrainPreset};
use crate::optimizer::scale_gradients;

/// The losses of a step and their settings.
#[derive(Debug, Clone)]
pub struct StepObjective {
    /// The loss to minimize.
    pub kind: Objective,
    /// The details of the method.
    pub preset: TrainPreset,
    /// The contrastive objective.
    pub loss: CoinLoss,
    /// Number of consecutive pairs of the effective batch that are contrasted with each other. All pairs are contrasted if the
    /// number is at least the size of the effective batch.
    pub contrastive_batch: usize,
    /// Reduction of a row's hidden states to one vector.
    pub pooling: Pooling,
    /// Seed of the dropout masks.
    pub seed: u64,
    /// True to recompute activations in the backward pass.
    pub gradient_checkpointing: bool,
    /// Factor of the loss in the backward pass. The resulting gradients are divided by it.
    pub loss_scale: f64,
}

impl StepObjective {
    /// Computes the gradients and the values of one optimizer step over `pairs`, with at most `micro` pairs at a time.
    ///
    /// On the CPU it runs in rayon's pool. Do not call it from threads of that pool for models that share adapters, because such a
    /// thread may pick up work of another step while burn holds a graph.
    ///
    /// # Errors
    /// A row is empty.
    pub fn step(
        &self,
        model: &Llama,
        pairs: &[&PairRow],
        micro: usize,
        step: u64,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        self.step_of_rank(model, pairs, micro, step, &SingleProcess)
    }

    /// Computes a step like [`step`](Self::step), divided among the ranks of `collective`. All ranks pass the whole effective batch
    /// and get the same gradients and values.
    ///
    /// # Errors
    /// A row is empty, or a rank is gone.
    pub fn step_of_rank(
        &self,
        model: &Llama,
        pairs: &[&PairRow],
        micro: usize,
        step: u64,
        collective: &dyn Collective,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        let compute = || self.compute(model, pairs, micro, step, collective);
        match collective.world_size() {
            1 => pool::alone(&model.device(), compute),
            // Ranks wait for each other, which threads of a pool must not do.
            _ => compute(),
        }
    }

    fn compute(
        &self,
        model: &Llama,
        pairs: &[&PairRow],
        micro: usize,
        step: u64,
        collective: &dyn Collective,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        let world_size = collective.world_size();
        let as_given = || (0..pairs.len()).collect();
        let (gradients, values) = match self.preset {
            TrainPreset::Paper => self.per_micro_batch(model, &Share::new(pairs, as_given(), micro, step, collective)),
            TrainPreset::Strict => {
                // A batch that fits into one micro-batch is divided among the ranks too, by couples.
                let micro = micro.min(pairs.len().div_ceil(2).div_ceil(world_size) * 2);
                let order = match self.contrastive_batch >= pairs.len() {
                    true => least_padding(pairs, micro, world_size),
                    // Contrastive batches are consecutive pairs, so the order matters.
                    false => as_given(),
                };
                let share = Share::new(pairs, order, micro, step, collective);
                match share.full <= micro {
                    true => self.whole(model, &share, Some(self.excluded(&share.pairs, &model.device()))),
                    false => self.cached(model, &share),
                }
            }
        }?;
        let gradients = scale_gradients(model, gradients, 1.0 / self.loss_scale);
        Ok((all_reduce_gradients(model, gradients, collective)?, values))
    }

    /// Runs the pairs at `places` of `share` through the model.
    fn forward(
        &self,
        model: &Llama,
        share: &Share,
        places: Range<usize>,
        gradient_checkpointing: bool,
    ) -> Result<PairStates, TrainError> {
        let dropout = Some((self.seed, share.step, &share.numbers[places.clone()]));
        forward(model, &share.pairs[places], self.pooling, dropout, gradient_checkpointing)
    }

    /// Builds the mask of columns that a row is not contrasted with under preset `strict`: those with the same answer, and those of
    /// another contrastive batch.
    fn excluded(&self, pairs: &[&PairRow], device: &Device) -> Tensor<2, Bool> {
        mask(pairs.len(), device, |i, j| same_answer(pairs, i, j) || self.apart(i, j))
    }

    /// True if two rows are in different contrastive batches.
    fn apart(&self, i: usize, j: usize) -> bool {
        let size = self.contrastive_batch.max(1);
        i / size != j / size
    }

    /// Computes a step in one pass: each rank's share is one micro-batch.
    fn whole(
        &self,
        model: &Llama,
        share: &Share,
        excluded: Option<Tensor<2, Bool>>,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        let device = model.device();
        let states = match share.own.is_empty() {
            true => None,
            false => Some(self.forward(model, share, share.own.clone(), self.gradient_checkpointing)?),
        };
        let tokens = supervised(&share.pairs);
        let of_own = states.as_ref().map(|states| states.generation(tokens));
        let [generation] = share.all_reduce([of_own.as_ref().map_or(0.0, scalar)], &device)?;
        let rows = states.as_ref().map(|states| [states.original.clone(), states.paraphrase.clone()]);
        let rows = share.all_gather(rows, model.config().hidden_size, &device)?;
        let output = self.contrast(generation, rows, excluded);
        let values = StepValues::new(self.kind, generation, &output);
        let gradients = match (of_own, states) {
            (Some(of_own), Some(states)) => {
                let minimized = if self.kind == Objective::Coin { of_own + output.scaled } else { of_own };
                backward(minimized * self.loss_scale, states.tape, model)
            }
            _ => GradientsParams::new(),
        };
        Ok((gradients, values))
    }

    /// Computes a step with one objective per micro-batch. Gradients and values are averaged.
    fn per_micro_batch(&self, model: &Llama, share: &Share) -> Result<(GradientsParams, StepValues), TrainError> {
        let mut sum = GradientsAccumulator::new();
        let mut values = [0.0; StepValues::COUNT];
        let count = share.pairs.len().div_ceil(share.micro);
        for places in share.micro_batches() {
            // A different step number for each micro-batch makes their dropout masks different.
            let step = share.step * count as u64 + (places.start / share.micro) as u64;
            let size = places.len();
            let excluded =
                (self.contrastive_batch < size).then(|| mask(size, &model.device(), |i, j| self.apart(i, j)));
            let micro_batch = Share::new(&share.pairs[places], (0..size).collect(), share.micro, step, &SingleProcess);
            let (gradients, of_micro_batch) = self.whole(model, &micro_batch, excluded)?;
            sum.accumulate(model, gradients);
            for (value, of_micro_batch) in values.iter_mut().zip(of_micro_batch.summands()) {
                *value += of_micro_batch;
            }
        }
        let values = StepValues::mean(share.all_reduce(values, &model.device())?, count);
        Ok((scale_gradients(model, sum.grads(), 1.0 / count as f64), values))
    }

    /// Computes a step in two passes: the contrastive gradient of the effective batch is cached at the pooled rows. Under `cit` there
    /// is nothing to cache, so there is only the second pass.
    fn cached(&self, model: &Llama, share: &Share) -> Result<(GradientsParams, StepValues), TrainError> {
        let tokens = supervised(&share.pairs);
        let d_model = model.config().hidden_size;
        let contrast = |seen: Pooled, device: &Device, leaf: bool| {
            let [generation] = share.all_reduce([seen.generation], device)?;
            let own = (!seen.originals.is_empty())
                .then(|| [Tensor::cat(seen.originals, 0), Tensor::cat(seen.paraphrases, 0)]);
            let mut rows = share.all_gather(own, d_model, &device.clone().inner())?;
            if leaf {
                rows = rows.map(|rows| Tensor::from_inner(rows).require_grad());
            }
            let output = self.contrast(generation, rows.clone(), Some(self.excluded(&share.pairs, &rows[0].device())));
            Ok::<_, TrainError>((StepValues::new(self.kind, generation, &output), output, rows))
        };
        let mut seen = Pooled::default();
        let mut cached = None;
        if self.kind == Objective::Coin {
            let plain = model.valid();
            for places in share.micro_batches() {
                seen.push(&self.forward(&plain, share, places, false)?, tokens);
            }
            let (values, output, [original, paraphrase]) = contrast(std::mem::take(&mut seen), &model.device(), true)?;
            let gradients = output.scaled.backward();
            cached = Some((values, original.grad(&gradients).zip(paraphrase.grad(&gradients))));
        }
        let mut sum = GradientsAccumulator::new();
        for places in share.micro_batches() {
            let states = self.forward(model, share, places.clone(), self.gradient_checkpointing)?;
            if self.kind == Objective::Cit {
                seen.push(&states, tokens);
            }
            let mut loss = states.generation(tokens);
            if let Some((_, Some((original, paraphrase)))) = &cached {
                let part = |rows: &Tensor<2>| Tensor::from_inner(rows.clone().narrow(0, places.start, places.len()));
                loss = loss + (states.original * part(original)).sum() + (states.paraphrase * part(paraphrase)).sum();
            }
            sum.accumulate(model, backward(loss * self.loss_scale, states.tape, model));
        }
        let values = match cached {
            Some((values, _)) => values,
            None => contrast(seen, &model.device(), false)?.0,
        };
        Ok((sum.grads(), values))
    }

    /// Computes the objective of pooled rows of the whole effective batch.
    fn contrast(&self, generation: f64, rows: [Tensor<2>; 2], excluded: Option<Tensor<2, Bool>>) -> CoinOutput {
        let [original, paraphrase] = rows;
        let generation = Tensor::<1>::from_floats([generation as f32], &original.device());
        self.loss.forward(generation, original, paraphrase, excluded)
    }
}

/// Pooled rows and generation loss of several micro-batches, outside any graph.
#[derive(Default)]
struct Pooled {
    originals: Vec<Tensor<2>>,
    paraphrases: Vec<Tensor<2>>,
    generation: f64,
}

impl Pooled {
    fn push(&mut self, states: &PairStates, tokens: (f64, f64)) {
        let plain = |rows: &Tensor<2>| match rows.device().is_autodiff() {
            true => rows.clone().inner(),
            false => rows.clone(),
        };
        self.originals.push(plain(&states.original));
        self.paraphrases.push(plain(&states.paraphrase));
        self.generation += scalar(&states.generation(tokens));
    }
}
