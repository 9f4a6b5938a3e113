//! Generation with a key-value cache, greedy or with [`Sampling`].
//!
//! The prefix that all rows share is computed once, and the prefix that the rows of a group share is computed once per
//! group. Rows run in batches of similar length, and a row leaves its batch as soon as it is done. The output head runs only
//! at the last position.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor};

use crate::batches::{Plan, run_in_order};
use crate::pool;
use crate::sampling::Sampling;
use crate::{Llama, ModelError, TokenBatch};

/// Settings of [`generate`].
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// Maximum number of tokens generated per row.
    pub max_new_tokens: usize,
    /// Maximum number of rows per batch.
    pub batch_size: usize,
    /// Bytes that the cache and the activations of one batch may take. Batches of long rows get fewer rows to fit, but at
    /// least one. `None` means that every batch has `batch_size` rows.
    pub memory: Option<usize>,
    /// Number of batches that run at the same time. On a CPU, one batch of a small model uses little more than one core.
    pub threads: usize,
    /// Ids that end a row; they are not part of the output.
    pub eos: Vec<u32>,
    /// True to return hidden states.
    pub hidden: bool,
    /// Settings of sampling; `None` takes the most probable token.
    pub sampling: Option<Sampling>,
}

/// The text generated for one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// The new tokens.
    pub ids: Vec<u32>,
    /// True if `done` ended the row.
    pub stopped: bool,
    /// The smallest difference between the largest and the second largest logit over all new tokens, including the token
    /// that ends the row. If it is as small as rounding errors, the row may get another token in another batch.
    pub margin: f32,
    /// Hidden state after the final norm at the last prompt token, `[d_model]`, if requested.
    pub hidden: Option<Vec<f32>>,
}

impl Default for Continuation {
    fn default() -> Self {
        Continuation { ids: Vec::new(), stopped: false, margin: f32::INFINITY, hidden: None }
    }
}

/// Generates tokens for every row. A row ends early if `done(row, tokens so far)` returns true.
///
/// Results are in the order of `rows`. Without sampling, the most probable token is taken; ties go to the lowest id.
///
/// # Errors
/// A row is empty, holds an id outside the vocabulary or would exceed the model's `max_position_embeddings`; or a
/// sampling setting is outside its domain.
pub fn generate(
    model: &Llama,
    rows: &[Vec<u32>],
    options: &GenerateOptions,
    done: impl Fn(usize, &[u32]) -> bool + Sync,
) -> Result<Vec<Continuation>, ModelError> {
    let mut out = vec![Continuation::default(); rows.len()];
    generate_each(model, rows, &[], options, done, |finished| {
        for (row, continuation) in finished {
            out[row] = continuation;
        }
        Ok::<_, ModelError>(())
    })?;
    Ok(out)
}

/// As [`generate`], but passes the continuations of each batch to `finished` as soon as that batch and all batches before it
/// are done. The order of results depends only on the rows.
///
/// `groups` holds the group of each row, or is empty if all rows belong to one group. The rows of a group should begin with
/// the same tokens: their common prefix is computed once, in addition to the prefix that all rows share.
///
/// On the CPU, batches and `done` run in rayon's pool. `done` must not wait for another batch, and this function must not be
/// called from all threads of the pool at once.
///
/// # Errors
/// Same as [`generate`]; the lengths of `groups` and `rows` differ; or `finished` returns an error, after which no further
/// batch starts.
pub fn generate_each<E: From<ModelError>>(
    model: &Llama,
    rows: &[Vec<u32>],
    groups: &[usize],
    options: &GenerateOptions,
    done: impl Fn(usize, &[u32]) -> bool + Sync,
    finished: impl FnMut(Vec<(usize, Continuation)>) -> Result<(), E>,
) -> Result<(), E> {
    options.sampling.as_ref().map_or(Ok(()), Sampling::check)?;
    model.check_rows(rows, options.max_new_tokens)?;
    let mut finished = finished;
    if options.max_new_tokens == 0 {
        return finished((0..rows.len()).map(|row| (row, Continuation::default())).collect());
    }
    let plan = Plan::new(model, rows, groups, options.max_new_tokens, 1, options.batch_size, options.memory)?;
    let device = model.device();
    let job = |batch| pool::within(&device, || continue_batch(&plan, batch, options, &done));
    run_in_order(plan.batches.len(), options.threads, job, finished)
}

/// Generates tokens for the rows of one batch.
fn continue_batch(
    plan: &Plan<'_>,
    batch: usize,
    options: &GenerateOptions,
    done: &(impl Fn(usize, &[u32]) -> bool + Sync),
) -> Result<Vec<(usize, Continuation)>, ModelError> {
    let model = plan.model;
    let device = model.device();
    let mut active = plan.batches[batch].rows.clone();
    let mut out: BTreeMap<usize, Continuation> = active.iter().map(|&row| (row, Continuation::default())).collect();
    // Allocated once, for the prompt and all new tokens except the last.
    let (mut cache, mut input) = plan.start(batch, options.max_new_tokens - 1)?;
    for step in 0..options.max_new_tokens {
        let batch = TokenBatch::left_padded(&input, 0, 1, &device)?;
        let last: Tensor<2> = model.last_hidden(&batch, 1, Some(&mut cache), None).squeeze_dim(1);
        let [count, d_model] = last.dims();
        if step == 0 && options.hidden {
            let values: Vec<f32> = values(last.clone())?;
            for (&row, state) in active.iter().zip(values.chunks_exact(d_model)) {
                if let Some(out) = out.get_mut(&row) {
                    out.hidden = Some(state.to_vec());
                }
            }
        }
        let logits = model.logits(last);
        let (best, margins) = two_largest(logits.clone())?;
        let next: Vec<u32> = match &options.sampling {
            None => best,
            Some(sampling) => {
                let vocabulary = logits.dims()[1];
                let values = values(logits)?;
                let scores = active.iter().zip(values.chunks_exact(vocabulary));
                scores.map(|(&row, scores)| sampling.draw(scores, row, step)).collect()
            }
        };
        let mut keep = Vec::with_capacity(count);
        for (place, (&row, &id)) in active.iter().zip(&next).enumerate() {
            let Some(out) = out.get_mut(&row) else { continue };
            out.margin = out.margin.min(margins[place]);
            if options.eos.contains(&id) {
                continue;
            }
            out.ids.push(id);
            out.stopped = done(row, &out.ids);
            if !out.stopped {
                keep.push(place);
            }
        }
        if keep.is_empty() || step + 1 == options.max_new_tokens {
            break;
        }
        input = keep.iter().map(|&place| vec![next[place]]).collect();
        if keep.len() < active.len() {
            cache = cache.select(&keep);
            active = keep.iter().map(|&place| active[place]).collect();
        }
    }
    Ok(out.into_iter().collect())
}

/// Returns the index of each row's largest value (the lowest index on ties) and its distance to the second largest value.
fn two_largest(logits: Tensor<2>) -> Result<(Vec<u32>, Vec<f32>), ModelError> {
    let vocabulary = logits.dims()[1];
    if logits.device() != burn::tensor::Device::flex() {
        // Reads back small results instead of the whole matrix.
        let (largest, index) = logits.clone().max_dim_with_indices(1);
        let others = logits.clone().scatter(
            1,
            index.clone(),
            largest.full_like(f32::NEG_INFINITY),
            burn::tensor::IndexingUpdateOp::Add,
        );
        let margins = values(largest - others.max_dim(1))?;
        if margins.iter().any(|margin| margin.is_nan()) {
            return Err(not_finite());
        }
        return Ok((indices(index)?, margins));
    }
    let values = values(logits)?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(not_finite());
    }
    let of_row = |row: &[f32]| {
        let (mut best, mut largest, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for (index, &value) in row.iter().enumerate() {
            if value > largest {
                (best, largest, second) = (index as u32, value, largest);
            } else if value > second {
                second = value;
            }
        }
        (best, largest - second)
    };
    Ok(values.chunks_exact(vocabulary).map(of_row).unzip())
}

fn not_finite() -> ModelError {
    ModelError::Invalid("logits are not finite: the weights contain NaN, or values overflow the dtype".to_owned())
}

pub(crate) fn values(tensor: Tensor<2>) -> Result<Vec<f32>, ModelError> {
    tensor.try_into_vec_as::<f32>().map_err(ModelError::device("values"))
}

fn indices(tensor: Tensor<2, Int>) -> Result<Vec<u32>, ModelError> {
    tensor.try_into_vec_as::<u32>().map_err(ModelError::device("token ids"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;
    use burn::tensor::Device;

    fn options(hidden: bool) -> GenerateOptions {
        GenerateOptions {
            max_new_tokens: 7,
            batch_size: 3,
            memory: None,
            threads: 2,
            eos: Vec::new(),
            hidden,
            sampling: None,
        }
    }

    #[test]
    fn a_row_draws_the_same_tokens_in_any_batch() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let sampling = Sampling { temperature: 2.0, top_k: Some(9), seed: 5, ..Sampling::default() };
        let options = GenerateOptions { sampling: Some(sampling), ..options(false) };
        let rows: Vec<Vec<u32>> = vec![vec![1, 4, 5, 6, 7], vec![1, 4, 9], vec![1, 4, 5, 8], vec![1, 4]];
        let ids = |options: &GenerateOptions| -> Vec<Vec<u32>> {
            generate(&model, &rows, options, |_, _| false).unwrap().into_iter().map(|row| row.ids).collect()
        };
        let together = ids(&options);
        let one_by_one = GenerateOptions { batch_size: 1, threads: 1, ..options.clone() };
        assert_eq!(together, ids(&one_by_one));
        assert_ne!(together, ids(&GenerateOptions { sampling: None, ..options }));
    }

    #[test]
    fn a_row_ends_at_any_of_the_end_ids() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let whole = generate(&model, &[vec![1, 4]], &options(false), |_, _| false).unwrap();
        let ids = &whole[0].ids;
        let end = ids.iter().position(|id| *id == ids[3]).unwrap();
        let options = GenerateOptions { eos: vec![22, ids[3]], ..options(false) };
        let cut = generate(&model, &[vec![1, 4]], &options, |_, _| false).unwrap();
        assert_eq!(cut[0].ids, ids[..ids.iter().position(|id| options.eos.contains(id)).unwrap().min(end)]);
    }

    #[test]
    fn batches_match_single_rows() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let rows: Vec<Vec<u32>> = vec![vec![1, 4, 5, 6, 7], vec![1, 4, 9], vec![1, 4, 5, 8, 10, 11, 12], vec![1, 4]];
        let options = options(true);
        let together = generate(&model, &rows, &options, |_, _| false).unwrap();
        for (row, ids) in rows.iter().enumerate() {
            let mut text = ids.clone();
            for _ in 0..7 {
                let batch = TokenBatch::left_padded(&[text.clone()], 0, 1, &model.device()).unwrap();
                let hidden = model.hidden(&batch, None, None);
                let [_, seq, d] = hidden.dims();
                let last = hidden.slice([0..1, seq - 1..seq, 0..d]).reshape([1, d]);
                text.push(model.logits(last).argmax(1).into_scalar::<i64>() as u32);
            }
            assert_eq!(together[row].ids, text[ids.len()..]);
            assert_eq!(together[row].hidden.as_ref().unwrap().len(), 16);
        }
        // Rows that stop early do not affect the others.
        let stopped = generate(&model, &rows, &options, |row, ids| row != 2 && ids.len() == 1 + row).unwrap();
        assert_eq!(stopped[2].ids, together[2].ids);
        assert_eq!(stopped[1].ids, together[1].ids[..2]);
    }

    #[test]
    fn groups_do_not_change_the_output() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let rows: Vec<Vec<u32>> =
            [[1, 4, 5, 6, 7], [1, 4, 9, 2, 3], [1, 4, 5, 6, 8], [1, 4, 9, 2, 2], [1, 4, 9, 2, 5]].map(Vec::from).into();
        let together = generate(&model, &rows, &options(true), |_, _| false).unwrap();
        let mut order = Vec::new();
        let keep = |finished: Vec<(usize, Continuation)>| {
            for (row, continuation) in finished {
                assert_eq!(continuation.ids, together[row].ids);
                assert!((continuation.margin - together[row].margin).abs() < 1e-5);
                order.push(row);
            }
            Ok::<_, ModelError>(())
        };
        generate_each(&model, &rows, &[7, 3, 7, 3, 3], &options(true), |_, _| false, keep).unwrap();
        assert_eq!(order, [1, 3, 4, 0, 2]);
    }

    #[test]
    fn a_margin_is_the_distance_to_the_second_choice() {
        let row = Tensor::<2>::from_floats([[0.5, 2.0, 1.25, 2.0], [3.0, -1.0, 2.5, 0.0]], &Device::flex());
        assert_eq!(two_largest(row).unwrap(), (vec![1, 0], vec![0.0, 0.5]));
    }

    #[test]
    fn nan_logits_are_an_error() {
        let row = Tensor::<2>::from_floats([[0.5, f32::NAN, 1.0]], &Device::flex());
        assert!(two_largest(row).unwrap_err().to_string().contains("not finite"));
    }

    #[test]
    fn prompts_longer_than_the_context_are_rejected() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let refused = |row| generate(&model, &[vec![1], row], &options(false), |_, _| false).unwrap_err().to_string();
        let message = refused(vec![1; 60]);
        assert!(message.contains("row 1 has 60 tokens and 7 new ones") && message.contains("64"), "{message}");
        assert!(refused(vec![]).contains("row 1 is empty"));
        let message = refused(vec![1, 23]);
        assert!(message.contains("token id 23 at position 1") && message.contains("23 ids"), "{message}");
    }
}
