//! One optimiser step's losses and gradients, for any split of the effective batch into micro-batches.
//!
//! Both wordings of a pair run in one forward pass. The head and the cross entropy are computed at supervised
//! positions only.
//!
//! Under preset `strict` the losses are those of the whole effective batch, so that it may be split in any way: couples of
//! like length go together. With more than one micro-batch the
//! contrastive gradient is cached (Gao et al. 2021): a first pass without gradients pools every row and sums the token
//! losses, the contrastive term is differentiated with respect to the pooled rows, and a second pass feeds those
//! gradients back together with the generation loss. Dropout masks are keyed by row, so both passes see the same ones.
//! Under preset `paper` each micro-batch is an objective of its own, and the micro-batches are averaged.
//!
//! With several ranks (data parallel) every rank holds a contiguous share of the micro-batches. Pooled rows and token
//! losses are gathered, every rank evaluates the contrastive term of the whole effective batch and keeps the gradients of
//! its own rows, and the gradients of the adapters are added up over ranks.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use coin_data::tokenize::TokenRow;
use coin_loss::collective::{Alone, Collective};
use coin_loss::{CoinLoss, CoinOutput, Pooling};
use coin_model::RecomputeTape;
use coin_model::fused::cross_entropy;
use coin_model::pool;
use coin_model::{DropoutKey, Llama, TokenBatch};

pub use coin_data::tokenize::PairRow;

use crate::TrainError;
use crate::config::{Objective, Preset};
use crate::optimizer::{scale_gradients, sum_over_ranks};
use crate::share::{Share, least_padding, ratio};

/// The losses of a step and how they are taken.
#[derive(Debug, Clone)]
pub struct StepObjective {
    /// What is minimised.
    pub kind: Objective,
    /// Whose details are followed.
    pub preset: Preset,
    /// The contrastive objective.
    pub loss: CoinLoss,
    /// Pairs that are contrasted with each other, from the effective batch in order; at least its size for all.
    pub contrastive_batch: usize,
    /// How a row's hidden states become one vector.
    pub pooling: Pooling,
    /// Seed of the dropout masks.
    pub seed: u64,
    /// Whether activations are computed again in the backward pass.
    pub checkpointing: bool,
    /// What the loss is multiplied by before the backward pass; the gradients that come out are divided by it again.
    pub loss_scale: f64,
}

/// The values of a step, read back from the device.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepValues {
    /// What was minimised.
    pub loss: f64,
    /// The generation loss.
    pub generation: f64,
    /// The contrastive loss before scaling; 0 where no row has a negative.
    pub contrastive: f64,
    /// What of it entered the sum.
    pub scaled: f64,
    /// Share of rows with a negative: an unmasked column beside their own.
    pub contrasted: f64,
    /// Share of these rows whose positive ranks above every unmasked column; none where there is no such row.
    pub accuracy: Option<f64>,
    /// Mean cosine of positives.
    pub similarity_positive: f64,
    /// Mean cosine of unmasked negatives; none where there is none.
    pub similarity_negative: Option<f64>,
}

/// A forward pass over the pairs of one micro-batch.
pub(crate) struct PairStates {
    /// Pooled original wordings, `[pairs, d_model]`.
    pub original: Tensor<2>,
    /// Pooled paraphrases, `[pairs, d_model]`.
    pub paraphrase: Tensor<2>,
    /// Summed token losses of the originals, `[1]`.
    pub original_nats: Tensor<1>,
    /// Summed token losses of the paraphrases, `[1]`.
    pub paraphrase_nats: Tensor<1>,
    /// What the backward pass needs where the layers' activations were not kept.
    tape: Option<RecomputeTape>,
}

impl PairStates {
    /// The micro-batch's part of the generation loss of an effective batch with so many supervised tokens in its originals
    /// and in its paraphrases, `[1]`.
    pub(crate) fn generation(&self, (original, paraphrase): (f64, f64)) -> Tensor<1> {
        self.original_nats.clone() / original + self.paraphrase_nats.clone() / paraphrase
    }
}

/// Supervised tokens of the originals and of the paraphrases.
pub(crate) fn supervised(pairs: &[&PairRow]) -> (f64, f64) {
    let count = |tokens: fn(&PairRow) -> usize| pairs.iter().map(|pair| tokens(pair)).sum::<usize>() as f64;
    (count(|pair| pair.original.supervised()), count(|pair| pair.paraphrase.supervised()))
}

/// Whether column j is no negative of row i: same task and same target, and not the row's own.
pub(crate) fn same_answer(pairs: &[&PairRow], i: usize, j: usize) -> bool {
    i != j && pairs[i].task == pairs[j].task && pairs[i].target == pairs[j].target
}

/// A square mask from a predicate.
pub(crate) fn mask(n: usize, device: &Device, excluded: impl Fn(usize, usize) -> bool) -> Tensor<2, Bool> {
    let values: Vec<bool> = (0..n * n).map(|at| excluded(at / n, at % n)).collect();
    Tensor::from_data(TensorData::new(values, [n, n]), device)
}

/// Runs both wordings of `pairs` through the model at once.
///
/// `dropout` is (seed, step, number of each pair within the effective batch). With `checkpointing` the model must be on
/// an autodiff device.
pub(crate) fn forward(
    model: &Llama,
    pairs: &[&PairRow],
    pooling: Pooling,
    dropout: Option<(u64, u64, &[usize])>,
    checkpointing: bool,
) -> Result<PairStates, TrainError> {
    let device = model.device();
    let rows: Vec<&TokenRow> =
        pairs.iter().map(|pair| &pair.original).chain(pairs.iter().map(|pair| &pair.paraphrase)).collect();
    let ids: Vec<Vec<u32>> = rows.iter().map(|row| row.ids.clone()).collect();
    let batch = TokenBatch::left_padded(&ids, 0, 1, &device)?;
    let key = dropout.map(|(seed, step, pairs)| {
        let numbers = |wording: u64| pairs.iter().map(move |&pair| 2 * pair as u64 + wording);
        DropoutKey { seed, step, rows: numbers(0).chain(numbers(1)).collect() }
    });
    // Rows end where the batch does. What predicts a supervised token stands right before it, the last token is pooled.
    let wanted = match pooling {
        Pooling::Last => rows.iter().map(|row| row.supervised() + 1).max().unwrap_or(1),
        _ => batch.seq,
    };
    let (hidden, tape) = match checkpointing {
        true => {
            let (hidden, tape) = model.last_hidden_recomputed(&batch, wanted, key.as_ref());
            (hidden, Some(tape))
        }
        false => (model.last_hidden(&batch, wanted, None, key.as_ref()), None),
    };
    let [count, wanted, d_model] = hidden.dims();
    let first = batch.seq - wanted;
    let pooled = pooling.forward(hidden.clone().cast(DType::F32), batch.mask().narrow(1, first, wanted));

    // The position before a supervised token predicts it; the originals' come first.
    let (mut places, mut targets) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        for token in row.prompt..row.ids.len() {
            places.push((at * wanted + batch.spans[at].start + token - 1 - first) as i32);
            targets.push(row.ids[token] as i32);
        }
    }
    let split = supervised(pairs).0 as usize;
    let total = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [total]), &device);
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [total]), &device);
    let chosen = hidden.reshape([count * wanted, d_model]).select(0, places);
    let nats = cross_entropy(model.logits(chosen), targets);
    Ok(PairStates {
        original: pooled.clone().narrow(0, 0, pairs.len()),
        paraphrase: pooled.narrow(0, pairs.len(), pairs.len()),
        original_nats: nats.clone().narrow(0, 0, split).sum(),
        paraphrase_nats: nats.narrow(0, split, total - split).sum(),
        tape,
    })
}

/// The gradients of a loss of `states`.
fn backward(loss: Tensor<1>, tape: Option<RecomputeTape>, model: &Llama) -> GradientsParams {
    match tape {
        Some(tape) => tape.backward(model, loss.backward()),
        None => GradientsParams::from_grads(loss.backward(), model),
    }
}

/// The value of `[1]`.
pub(crate) fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

impl StepValues {
    const COUNT: usize = 8;

    fn new(kind: Objective, generation: f64, output: &CoinOutput) -> Self {
        let scaled = if kind == Objective::Coin { scalar(&output.scaled) } else { 0.0 };
        let contrastive = &output.contrastive;
        let contrasted = scalar(&contrastive.contrasted);
        let of_negatives = |value: &Tensor<1>| (contrasted > 0.0).then(|| scalar(value));
        StepValues {
            loss: generation + scaled,
            generation,
            contrastive: scalar(&contrastive.loss),
            scaled,
            contrasted,
            accuracy: of_negatives(&contrastive.accuracy),
            similarity_positive: scalar(&contrastive.similarity_positive),
            similarity_negative: of_negatives(&contrastive.similarity_negative),
        }
    }

    /// Summands from which [`mean`](Self::mean) computes the mean of several micro-batches. What is measured on rows with a
    /// negative is weighted by their share, so that a micro-batch without them has no part in it.
    fn summands(self) -> [f64; Self::COUNT] {
        let StepValues { loss, generation, contrastive, scaled, contrasted, similarity_positive, .. } = self;
        let weighted = |value: Option<f64>| value.map_or(0.0, |value| value * contrasted);
        let (accuracy, similarity_negative) = (weighted(self.accuracy), weighted(self.similarity_negative));
        [loss, generation, contrastive, scaled, contrasted, accuracy, similarity_positive, similarity_negative]
    }

    /// The mean of `count` micro-batches from the sums of their summands.
    fn mean(sums: [f64; Self::COUNT], count: usize) -> Self {
        let [loss, generation, contrastive, scaled, contrasted, accuracy, similarity_positive, similarity_negative] =
            sums;
        let count = count as f64;
        StepValues {
            loss: loss / count,
            generation: generation / count,
            contrastive: contrastive / count,
            scaled: scaled / count,
            contrasted: contrasted / count,
            accuracy: ratio(accuracy, contrasted),
            similarity_positive: similarity_positive / count,
            similarity_negative: ratio(similarity_negative, contrasted),
        }
    }
}

impl StepObjective {
    /// The gradients of one optimiser step over `pairs`, at most `micro` pairs at a time, and the step's values.
    ///
    /// On the CPU it runs in rayon's pool. Steps of models that share adapters must not be called from threads of that pool,
    /// which take up one another's work while burn holds a graph.
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
        self.step_of_rank(model, pairs, micro, step, &Alone)
    }

    /// As [`step`](Self::step), of which each rank of `collective` computes its share; all ranks give the whole effective
    /// batch and get the same gradients and values.
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
        match collective.ranks() {
            1 => pool::alone(&model.device(), compute),
            // Ranks wait for each other, which threads of a pool must not.
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
        let ranks = collective.ranks();
        let as_given = || (0..pairs.len()).collect();
        let (gradients, values) = match self.preset {
            Preset::Paper => self.per_micro_batch(model, &Share::new(pairs, as_given(), micro, step, collective)),
            Preset::Strict => {
                // A batch that one rank would take whole is shared too, by couples.
                let micro = micro.min(pairs.len().div_ceil(2).div_ceil(ranks) * 2);
                let order = match self.contrastive_batch >= pairs.len() {
                    true => least_padding(pairs, micro, ranks),
                    // Consecutive groups are contrasted.
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
        Ok((sum_over_ranks(model, gradients, collective)?, values))
    }

    /// Columns that a row is not contrasted with under preset `strict`: those of the same answer, and those of another
    /// contrastive batch.
    fn excluded(&self, pairs: &[&PairRow], device: &Device) -> Tensor<2, Bool> {
        mask(pairs.len(), device, |i, j| same_answer(pairs, i, j) || self.apart(i, j))
    }

    /// Whether two rows are of different contrastive batches.
    fn apart(&self, i: usize, j: usize) -> bool {
        let size = self.contrastive_batch.max(1);
        i / size != j / size
    }

    /// One pass: every rank's micro-batch is its share of the effective batch.
    fn whole(
        &self,
        model: &Llama,
        share: &Share,
        excluded: Option<Tensor<2, Bool>>,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        let device = model.device();
        let states = match share.own.is_empty() {
            true => None,
            false => Some(share.forward(self, model, share.own.clone(), self.checkpointing)?),
        };
        let tokens = supervised(&share.pairs);
        let of_own = states.as_ref().map(|states| states.generation(tokens));
        let [generation] = share.sum([of_own.as_ref().map_or(0.0, scalar)], &device)?;
        let rows = states.as_ref().map(|states| [states.original.clone(), states.paraphrase.clone()]);
        let rows = share.gather(rows, model.config().hidden_size, &device)?;
        let output = self.contrast(generation, rows, excluded);
        let values = StepValues::new(self.kind, generation, &output);
        let gradients = match (of_own, states) {
            (Some(of_own), Some(states)) => {
                let minimised = if self.kind == Objective::Coin { of_own + output.scaled } else { of_own };
                backward(minimised * self.loss_scale, states.tape, model)
            }
            _ => GradientsParams::new(),
        };
        Ok((gradients, values))
    }

    /// Every micro-batch an objective of its own; gradients and values are averaged.
    fn per_micro_batch(&self, model: &Llama, share: &Share) -> Result<(GradientsParams, StepValues), TrainError> {
        let mut sum = GradientsAccumulator::new();
        let mut values = [0.0; StepValues::COUNT];
        let count = share.pairs.len().div_ceil(share.micro);
        for places in share.micro_batches() {
            // A step number per micro-batch keeps their dropout masks apart.
            let step = share.step * count as u64 + (places.start / share.micro) as u64;
            let size = places.len();
            let excluded =
                (self.contrastive_batch < size).then(|| mask(size, &model.device(), |i, j| self.apart(i, j)));
            let micro_batch = Share::new(&share.pairs[places], (0..size).collect(), share.micro, step, &Alone);
            let (gradients, of_micro_batch) = self.whole(model, &micro_batch, excluded)?;
            sum.accumulate(model, gradients);
            for (value, of_micro_batch) in values.iter_mut().zip(of_micro_batch.summands()) {
                *value += of_micro_batch;
            }
        }
        let values = StepValues::mean(share.sum(values, &model.device())?, count);
        Ok((scale_gradients(model, sum.grads(), 1.0 / count as f64), values))
    }

    /// Two passes: the contrastive gradient of the effective batch is cached at the pooled rows. Under `cit` there is
    /// nothing to cache, and the second pass alone serves.
    fn cached(&self, model: &Llama, share: &Share) -> Result<(GradientsParams, StepValues), TrainError> {
        let tokens = supervised(&share.pairs);
        let d_model = model.config().hidden_size;
        let contrast = |seen: Pooled, device: &Device, leaf: bool| {
            let [generation] = share.sum([seen.generation], device)?;
            let own = (!seen.originals.is_empty())
                .then(|| [Tensor::cat(seen.originals, 0), Tensor::cat(seen.paraphrases, 0)]);
            let mut rows = share.gather(own, d_model, &device.clone().inner())?;
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
                seen.push(&share.forward(self, &plain, places, false)?, tokens);
            }
            let (values, output, [original, paraphrase]) = contrast(std::mem::take(&mut seen), &model.device(), true)?;
            let gradients = output.scaled.backward();
            cached = Some((values, original.grad(&gradients).zip(paraphrase.grad(&gradients))));
        }
        let mut sum = GradientsAccumulator::new();
        for places in share.micro_batches() {
            let states = share.forward(self, model, places.clone(), self.checkpointing)?;
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

    /// The objective over pooled rows of the whole effective batch.
    fn contrast(&self, generation: f64, rows: [Tensor<2>; 2], excluded: Option<Tensor<2, Bool>>) -> CoinOutput {
        let [original, paraphrase] = rows;
        let generation = Tensor::<1>::from_floats([generation as f32], &original.device());
        self.loss.forward(generation, original, paraphrase, excluded)
    }
}

/// What the micro-batches of an effective batch leave behind, outside any graph.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_batch_without_negatives_has_no_part_in_their_means() {
        let of = |contrasted, value| StepValues {
            contrasted,
            accuracy: value,
            similarity_negative: value,
            similarity_positive: 1.0,
            ..StepValues::default()
        };
        let mean = |parts: &[StepValues]| {
            let mut sums = [0.0; StepValues::COUNT];
            for part in parts {
                sums.iter_mut().zip(part.summands()).for_each(|(sum, value)| *sum += value);
            }
            StepValues::mean(sums, parts.len())
        };
        let (all, half, none) = (of(1.0, Some(0.25)), of(0.5, Some(1.0)), of(0.0, None));
        assert_eq!(mean(&[all, none]), of(0.5, Some(0.25)));
        assert_eq!(mean(&[all, half, none]), of(0.5, Some(0.5)));
        assert_eq!(mean(&[none, none]), none);
    }
}
