//! The forward and backward pass over pairs: both wordings in one batch, with the head and the cross entropy at supervised
//! positions only.

use burn::optim::GradientsParams;
use burn::tensor::{DType, Int, Tensor, TensorData};
use coin_data::tokenize::{PairRow, TokenRow};
use coin_loss::Pooling;
use coin_model::fused::cross_entropy;
use coin_model::{CheckpointTape, DropoutKey, Llama, TokenBatch};

use super::term::{Compared, Term};
use crate::TrainError;

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
    /// The weighted terms that compare answers, as a sum over their tokens, `[1]`. None without such terms.
    pub answers: Option<Tensor<1>>,
    /// The state for the backward pass with gradient checkpointing.
    pub tape: Option<CheckpointTape>,
}

impl PairStates {
    /// Returns the micro-batch's part of the generation loss, `[1]`, given the numbers of supervised tokens in the originals and in
    /// the paraphrases of the effective batch.
    pub(crate) fn generation(&self, (original, paraphrase): (f64, f64)) -> Tensor<1> {
        self.original_nats.clone() / original + self.paraphrase_nats.clone() / paraphrase
    }
}

/// Counts the supervised tokens of the originals and of the paraphrases.
pub(crate) fn supervised(pairs: &[&PairRow]) -> (f64, f64) {
    let count = |tokens: fn(&PairRow) -> usize| pairs.iter().map(|pair| tokens(pair)).sum::<usize>() as f64;
    (count(|pair| pair.original.supervised()), count(|pair| pair.paraphrase.supervised()))
}

/// Runs both wordings of `pairs` through the model in one batch.
///
/// `dropout` is the seed, the step, and the number of each pair within the effective batch. With `gradient_checkpointing` the model must be on
/// an autodiff device.
pub(crate) fn forward(
    model: &Llama,
    pairs: &[&PairRow],
    pooling: Pooling,
    dropout: Option<(u64, u64, &[usize])>,
    gradient_checkpointing: bool,
    terms: &[Term],
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
    // Rows are padded on the left. A supervised token is predicted at the position before it, and the last token is pooled.
    let wanted = match pooling {
        Pooling::Last => rows.iter().map(|row| row.supervised() + 1).max().unwrap_or(1),
        _ => batch.seq,
    };
    let (hidden, tape) = match gradient_checkpointing {
        true => {
            let (hidden, tape) = model.last_hidden_checkpointed(&batch, wanted, key.as_ref());
            (hidden, Some(tape))
        }
        false => (model.last_hidden(&batch, wanted, None, key.as_ref()), None),
    };
    let [count, wanted, d_model] = hidden.dims();
    let first = batch.seq - wanted;
    let pooled = pooling.forward(hidden.clone().cast(DType::F32), batch.mask().narrow(1, first, wanted));

    // The positions that predict supervised tokens; those of the originals come first.
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
    let logits = model.logits(chosen);
    let of_answers: Vec<&Term> = terms.iter().filter(|term| term.compared == Compared::Answers).collect();
    let compared = if of_answers.is_empty() { None } else { answer_logits(pairs, &logits) };
    let answers = match compared {
        Some(logits) => of_answers
            .into_iter()
            .map(|term| term.of_answers(logits.clone()))
            .reduce(|sum, term| Ok(sum? + term?))
            .transpose()?,
        None => None,
    };
    let nats = cross_entropy(logits, targets);
    Ok(PairStates {
        original: pooled.clone().narrow(0, 0, pairs.len()),
        paraphrase: pooled.narrow(0, pairs.len(), pairs.len()),
        original_nats: nats.clone().narrow(0, 0, split).sum(),
        paraphrase_nats: nats.narrow(0, split, total - split).sum(),
        answers,
        tape,
    })
}

/// The logits at the answers' tokens, of the originals and of the paraphrases, from those of all supervised tokens. A pair whose
/// answer has another number of tokens in the two wordings is left out. None if every pair is.
fn answer_logits(pairs: &[&PairRow], logits: &Tensor<2>) -> Option<[Tensor<2>; 2]> {
    let (mut originals, mut paraphrases) = (Vec::new(), Vec::new());
    let (mut of_original, mut of_paraphrase) = (0, supervised(pairs).0 as i32);
    for pair in pairs {
        let [first, second] = [&pair.original, &pair.paraphrase].map(|row| row.supervised() as i32);
        if first == second {
            originals.extend(of_original..of_original + first);
            paraphrases.extend(of_paraphrase..of_paraphrase + second);
        }
        (of_original, of_paraphrase) = (of_original + first, of_paraphrase + second);
    }
    let chosen = |places: Vec<i32>| {
        let count = places.len();
        logits.clone().select(0, Tensor::<1, Int>::from_data(TensorData::new(places, [count]), &logits.device()))
    };
    (!originals.is_empty()).then(|| [chosen(originals), chosen(paraphrases)])
}

/// Returns the gradients of a loss, which needs `tape` if it was computed with gradient checkpointing.
pub(crate) fn backward(loss: Tensor<1>, tape: Option<CheckpointTape>, model: &Llama) -> GradientsParams {
    match tape {
        Some(tape) => tape.backward(model, loss.backward()),
        None => GradientsParams::from_grads(loss.backward(), model),
    }
}
