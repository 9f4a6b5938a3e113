//! One optimiser step's losses and gradients, for any split of the effective batch into micro-batches.
//!
//! Both wordings of a pair run in one forward pass. The head and the cross entropy are computed at supervised
//! positions only.
//!
//! Under preset `strict` the losses are those of the whole effective batch. With more than one micro-batch the
//! contrastive gradient is cached (Gao et al. 2021): a first pass without gradients pools every row and sums the token
//! losses, the contrastive term is differentiated with respect to the pooled rows, and a second pass feeds those
//! gradients back together with the generation loss. Dropout masks are keyed by row, so both passes see the same ones.
//! Under preset `paper` each micro-batch is an objective of its own, and the micro-batches are averaged.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use coin_data::tokenize::TokenRow;
use coin_loss::{CoinLoss, CoinOutput, InfoNceOutput, Pooling};
use coin_model::recompute::RecomputeTape;
use coin_model::{DropoutKey, Llama, TokenBatch};

use crate::TrainError;
use crate::config::{Objective, Preset};

/// A pair as token ids, with what decides which columns are its negatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairRow {
    /// The original wording.
    pub original: TokenRow,
    /// The paraphrase.
    pub paraphrase: TokenRow,
    /// The task's name, if known.
    pub task: Option<String>,
    /// The target text.
    pub target: String,
}

/// The losses of a step and how they are taken.
#[derive(Debug, Clone)]
pub struct StepObjective {
    /// What is minimised.
    pub kind: Objective,
    /// Whose details are followed.
    pub preset: Preset,
    /// The contrastive objective.
    pub loss: CoinLoss,
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
    /// The contrastive loss before scaling.
    pub contrastive: f64,
    /// What of it entered the sum.
    pub scaled: f64,
    /// Share of rows whose positive ranks above every unmasked column.
    pub accuracy: f64,
    /// Mean cosine of positives.
    pub similarity_positive: f64,
    /// Mean cosine of unmasked negatives.
    pub similarity_negative: f64,
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

/// Supervised tokens of the originals and of the paraphrases.
pub(crate) fn supervised(pairs: &[PairRow]) -> (f64, f64) {
    let count = |tokens: fn(&PairRow) -> usize| pairs.iter().map(tokens).sum::<usize>() as f64;
    (count(|pair| pair.original.supervised()), count(|pair| pair.paraphrase.supervised()))
}

/// True where column j is no negative of row i: same task and same target, and not the row's own.
pub(crate) fn same_answer(pairs: &[PairRow], device: &Device) -> Tensor<2, Bool> {
    mask(pairs.len(), device, |i, j| i != j && pairs[i].task == pairs[j].task && pairs[i].target == pairs[j].target)
}

/// A square mask from a predicate.
pub(crate) fn mask(n: usize, device: &Device, excluded: impl Fn(usize, usize) -> bool) -> Tensor<2, Bool> {
    let values: Vec<bool> = (0..n * n).map(|at| excluded(at / n, at % n)).collect();
    Tensor::from_data(TensorData::new(values, [n, n]), device)
}

/// Runs both wordings of `pairs` through the model at once.
///
/// `dropout` is (seed, step, number of the first pair within the effective batch). With `checkpointing` the model must
/// be on an autodiff device.
pub(crate) fn forward(
    model: &Llama,
    pairs: &[PairRow],
    pooling: Pooling,
    dropout: Option<(u64, u64, u64)>,
    checkpointing: bool,
) -> Result<PairStates, TrainError> {
    let device = model.device();
    let rows: Vec<&TokenRow> =
        pairs.iter().map(|pair| &pair.original).chain(pairs.iter().map(|pair| &pair.paraphrase)).collect();
    let ids: Vec<Vec<u32>> = rows.iter().map(|row| row.ids.clone()).collect();
    let batch = TokenBatch::left_padded(&ids, 0, 1, &device)?;
    let key = dropout.map(|(seed, step, first)| {
        let numbers = |wording: u64| (0..pairs.len() as u64).map(move |pair| 2 * (first + pair) + wording);
        DropoutKey { seed, step, rows: numbers(0).chain(numbers(1)).collect() }
    });
    let (hidden, tape) = match checkpointing {
        true => {
            let (hidden, tape) = model.hidden_recomputed(&batch, key.as_ref());
            (hidden, Some(tape))
        }
        false => (model.hidden(&batch, None, key.as_ref()), None),
    };
    let [count, seq, d_model] = hidden.dims();
    let pooled = pooling.forward(hidden.clone().cast(DType::F32), batch.mask());

    // The position before a supervised token predicts it; the originals' come first.
    let (mut places, mut targets) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        for token in row.prompt..row.ids.len() {
            places.push((at * seq + batch.spans[at].start + token - 1) as i32);
            targets.push(row.ids[token] as i32);
        }
    }
    let split = supervised(pairs).0 as usize;
    let total = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [total]), &device);
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [total, 1]), &device);
    let chosen = hidden.reshape([count * seq, d_model]).select(0, places);
    let nats = log_softmax(model.logits(chosen).cast(DType::F32), 1).gather(1, targets).neg().squeeze_dim::<1>(1);
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

fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

impl StepValues {
    fn new(kind: Objective, generation: f64, scaled: f64, contrastive: &InfoNceOutput) -> Self {
        let scaled = if kind == Objective::Coin { scaled } else { 0.0 };
        StepValues {
            loss: generation + scaled,
            generation,
            contrastive: scalar(&contrastive.loss),
            scaled,
            accuracy: scalar(&contrastive.accuracy),
            similarity_positive: scalar(&contrastive.similarity_positive),
            similarity_negative: scalar(&contrastive.similarity_negative),
        }
    }

    fn map2(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        StepValues {
            loss: f(self.loss, other.loss),
            generation: f(self.generation, other.generation),
            contrastive: f(self.contrastive, other.contrastive),
            scaled: f(self.scaled, other.scaled),
            accuracy: f(self.accuracy, other.accuracy),
            similarity_positive: f(self.similarity_positive, other.similarity_positive),
            similarity_negative: f(self.similarity_negative, other.similarity_negative),
        }
    }
}

impl StepObjective {
    /// The gradients of one optimiser step over `pairs`, at most `micro` pairs at a time, and the step's values.
    ///
    /// # Errors
    /// A row is empty.
    pub fn step(
        &self,
        model: &Llama,
        pairs: &[PairRow],
        micro: usize,
        step: u64,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        let (gradients, values) = match self.preset {
            Preset::Paper => self.per_micro_batch(model, pairs, micro, step),
            Preset::Strict if pairs.len() <= micro => self.whole(model, pairs, step),
            Preset::Strict => self.cached(model, pairs, micro, step),
        }?;
        Ok((crate::optimizer::scale_gradients(model, gradients, 1.0 / self.loss_scale), values))
    }

    /// One pass: the micro-batch is the effective batch.
    fn whole(&self, model: &Llama, pairs: &[PairRow], step: u64) -> Result<(GradientsParams, StepValues), TrainError> {
        let states = forward(model, pairs, self.pooling, Some((self.seed, step, 0)), self.checkpointing)?;
        let excluded = match self.preset {
            Preset::Strict => Some(same_answer(pairs, &model.device())),
            Preset::Paper => None,
        };
        let (original, paraphrase) = supervised(pairs);
        let generation = states.original_nats / original + states.paraphrase_nats / paraphrase;
        let output = self.loss.forward(generation.clone(), states.original, states.paraphrase, excluded);
        let values = StepValues::new(self.kind, scalar(&generation), scalar(&output.scaled), &output.contrastive);
        let minimised = if self.kind == Objective::Coin { output.loss } else { generation };
        Ok((backward(minimised * self.loss_scale, states.tape, model), values))
    }

    /// Every micro-batch an objective of its own; gradients and values are averaged.
    fn per_micro_batch(
        &self,
        model: &Llama,
        pairs: &[PairRow],
        micro: usize,
        step: u64,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        let mut sum = GradientsAccumulator::new();
        let mut values = StepValues::default();
        let count = pairs.len().div_ceil(micro) as f64;
        for (index, chunk) in pairs.chunks(micro).enumerate() {
            // A step number per micro-batch keeps their dropout masks apart.
            let (gradients, of_chunk) = self.whole(model, chunk, step * count as u64 + index as u64)?;
            sum.accumulate(model, gradients);
            values = values.map2(of_chunk, |total, value| total + value / count);
        }
        Ok((crate::optimizer::scale_gradients(model, sum.grads(), 1.0 / count), values))
    }

    /// Two passes: the contrastive gradient of the effective batch is cached at the pooled rows. Under `cit` there is
    /// nothing to cache, and the second pass alone serves.
    fn cached(
        &self,
        model: &Llama,
        pairs: &[PairRow],
        micro: usize,
        step: u64,
    ) -> Result<(GradientsParams, StepValues), TrainError> {
        let (original_tokens, paraphrase_tokens) = supervised(pairs);
        let run = |model: &Llama, index: usize, chunk: &[PairRow], checkpointing: bool| {
            forward(model, chunk, self.pooling, Some((self.seed, step, (index * micro) as u64)), checkpointing)
        };
        let mut seen = Pooled::default();
        let mut cached = None;
        if self.kind == Objective::Coin {
            let plain = model.valid();
            for (index, chunk) in pairs.chunks(micro).enumerate() {
                seen.push(&run(&plain, index, chunk, false)?, original_tokens, paraphrase_tokens);
            }
            let leaf = |rows: &[Tensor<2>]| Tensor::from_inner(Tensor::cat(rows.to_vec(), 0)).require_grad();
            let (original, paraphrase): (Tensor<2>, Tensor<2>) = (leaf(&seen.originals), leaf(&seen.paraphrases));
            let output = self.contrast(pairs, seen.generation, original.clone(), paraphrase.clone());
            let values = StepValues::new(self.kind, seen.generation, scalar(&output.scaled), &output.contrastive);
            let gradients = output.scaled.backward();
            cached = Some((values, original.grad(&gradients).zip(paraphrase.grad(&gradients))));
        }
        let mut sum = GradientsAccumulator::new();
        for (index, chunk) in pairs.chunks(micro).enumerate() {
            let states = run(model, index, chunk, self.checkpointing)?;
            if self.kind == Objective::Cit {
                seen.push(&states, original_tokens, paraphrase_tokens);
            }
            let mut loss = states.original_nats / original_tokens + states.paraphrase_nats / paraphrase_tokens;
            if let Some((_, Some((original, paraphrase)))) = &cached {
                let share = |rows: &Tensor<2>| Tensor::from_inner(rows.clone().narrow(0, index * micro, chunk.len()));
                loss = loss + (states.original * share(original)).sum() + (states.paraphrase * share(paraphrase)).sum();
            }
            sum.accumulate(model, backward(loss * self.loss_scale, states.tape, model));
        }
        let values = match cached {
            Some((values, _)) => values,
            None => {
                let rows = |rows: Vec<Tensor<2>>| Tensor::cat(rows, 0);
                let (originals, paraphrases) = (rows(seen.originals), rows(seen.paraphrases));
                let output = self.contrast(pairs, seen.generation, originals, paraphrases);
                StepValues::new(self.kind, seen.generation, 0.0, &output.contrastive)
            }
        };
        Ok((sum.grads(), values))
    }

    /// The objective over pooled rows of the whole effective batch.
    fn contrast(&self, pairs: &[PairRow], generation: f64, original: Tensor<2>, paraphrase: Tensor<2>) -> CoinOutput {
        let device = original.device();
        let generation = Tensor::<1>::from_floats([generation as f32], &device);
        self.loss.forward(generation, original, paraphrase, Some(same_answer(pairs, &device)))
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
    fn push(&mut self, states: &PairStates, original_tokens: f64, paraphrase_tokens: f64) {
        let plain = |rows: &Tensor<2>| match rows.device().is_autodiff() {
            true => rows.clone().inner(),
            false => rows.clone(),
        };
        self.originals.push(plain(&states.original));
        self.paraphrases.push(plain(&states.paraphrase));
        self.generation +=
            scalar(&states.original_nats) / original_tokens + scalar(&states.paraphrase_nats) / paraphrase_tokens;
    }
}
