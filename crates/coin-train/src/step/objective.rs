//! Losses and gradients of a step, for any split of its effective batch over ranks and micro-batches.

use std::cell::RefCell;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use coin_data::tokenize::PairRow;
use coin_loss::collective::{Collective, SingleProcess, sum_gradients};
use coin_loss::{CoinLoss, Encoded, Encoder, GradientCache, MicroBatch, Pass, Pooling};
use coin_model::{CheckpointTape, Llama, pool};

use super::negatives::{mask, same_answer};
use super::pair_states::{backward, forward, supervised};
use super::share::{Share, least_padding};
use super::term::{Compared, Term};
use super::values::{StepValues, scalar};
use crate::TrainError;
use crate::all_reduce::all_reduce_values;
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
    /// Losses that are added.
    pub terms: Vec<Term>,
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
                let excluded = |i, j| same_answer(&share.pairs, i, j) || self.apart(i, j);
                self.of_share(model, &share, Some(excluded))
            }
        }?;
        Ok((scale_gradients(model, gradients, 1.0 / self.loss_scale), values))
    }

    /// True if two rows are in different contrastive batches.
    fn apart(&self, i: usize, j: usize) -> bool {
        let size = self.contrastive_batch.max(1);
        i / size != j / size
    }

    /// Computes the losses and the gradients of a batch, of which this rank has a share. Under `cit` the contrastive term is
    /// measured only. `excluded` tells which columns a row is not contrasted with.
    fn of_share(
        &self,
        model: &Llama,
        share: &Share,
        excluded: Option<impl Fn(usize, usize) -> bool>,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        // Dropout is keyed by row, so the passes need no comparison. In half precision they may use different kernels.
        let cache = GradientCache::new(share.micro, self.seed).with_collective(share.collective).with_tolerance(None);
        let of_states = || self.terms.iter().filter(|term| term.compared != Compared::Answers);
        // Without a term over the whole batch there is nothing to cache.
        let cache = match self.kind == Objective::Coin || of_states().next().is_some() {
            true => cache,
            false => cache.with_measured_loss(),
        };
        let answers = RefCell::new(0.0);
        let mut encoder = PairEncoder { objective: self, share, tokens: supervised(&share.pairs), answers: &answers };
        let cached = cache.gradients_with(model, share.own.len(), &mut encoder, |batch| {
            let [original, paraphrase] = batch.embeddings;
            // The extra loss is the generation loss and the terms that compare answers.
            let [answers] = all_reduce_values([*answers.borrow()], share.collective, &model.device())?;
            let generation = batch.extra_loss - answers;
            let excluded = excluded.map(|excluded| mask(share.pairs.len(), &original.device(), excluded));
            let limit = Tensor::<1>::from_floats([generation as f32], &original.device());
            let states = [original.clone(), paraphrase.clone()];
            let output = self.loss.forward(limit, original, paraphrase, excluded.clone());
            let added = of_states()
                .map(|term| term.of_states(states.clone(), excluded.as_ref()))
                .reduce(|sum, term| Ok(sum? + term?))
                .transpose()?;
            let terms = answers + added.as_ref().map_or(0.0, scalar);
            let values = StepValues::new(self.kind, generation, terms, &output);
            let minimized = match (self.kind, added) {
                (Objective::Coin, Some(added)) => output.scaled + added,
                (Objective::Cit, Some(added)) => added,
                (_, None) => output.scaled,
            };
            Ok((minimized, values))
        })?;
        Ok((cached.gradients, cached.output))
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
            let excluded = (self.contrastive_batch < size).then_some(|i, j| self.apart(i, j));
            let micro_batch = Share::new(&share.pairs[places], (0..size).collect(), share.micro, step, &SingleProcess);
            let (gradients, of_micro_batch) = self.of_share(model, &micro_batch, excluded)?;
            sum.accumulate(model, gradients);
            for (value, of_micro_batch) in values.iter_mut().zip(of_micro_batch.summands()) {
                *value += of_micro_batch;
            }
        }
        let values = StepValues::mean(all_reduce_values(values, share.collective, &model.device())?, count);
        let gradients = sum_gradients(model, sum.grads(), share.collective)?;
        Ok((scale_gradients(model, gradients, 1.0 / count as f64), values))
    }
}

/// Both wordings of pairs as embeddings, with the generation loss as the extra loss.
struct PairEncoder<'a> {
    objective: &'a StepObjective,
    share: &'a Share<'a>,
    /// Numbers of supervised tokens in the originals and in the paraphrases of the whole batch.
    tokens: (f64, f64),
    /// The sum of the terms that compare answers, over this rank's micro-batches.
    answers: &'a RefCell<f64>,
}

impl Encoder<Llama, 2> for PairEncoder<'_> {
    type Tape = Option<CheckpointTape>;
    type Error = TrainError;

    fn encode(
        &mut self,
        model: &Llama,
        micro_batch: &MicroBatch,
    ) -> Result<(Encoded<2>, Option<CheckpointTape>), TrainError> {
        let PairEncoder { objective, share, tokens, answers } = self;
        let first = share.own.start;
        let places = first + micro_batch.items.start..first + micro_batch.items.end;
        let dropout = Some((objective.seed, share.step, &share.numbers[places.clone()]));
        let checkpointing = objective.gradient_checkpointing && micro_batch.pass == Pass::Gradients;
        let states = forward(model, &share.pairs[places], objective.pooling, dropout, checkpointing, &objective.terms)?;
        let mut loss = states.generation(*tokens);
        if let Some(of_answers) = states.answers {
            // A mean over the originals' tokens in the whole batch.
            let of_answers = of_answers / tokens.0;
            *answers.borrow_mut() += scalar(&of_answers);
            loss = loss + of_answers;
        }
        Ok((Encoded::new([states.original, states.paraphrase]).with_extra_loss(loss), states.tape))
    }

    fn backward(
        &mut self,
        model: &Llama,
        loss: Tensor<1>,
        tape: Option<CheckpointTape>,
    ) -> Result<GradientsParams, TrainError> {
        Ok(backward(loss * self.objective.loss_scale, tape, model))
    }

    /// Dropout is keyed by row with or without autodiff, so the first pass needs none.
    fn model_for_values(&self, model: &Llama) -> Llama {
        model.valid()
    }
}
