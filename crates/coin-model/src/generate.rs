//! Generation with a key-value cache: greedy, or with [`Sampling`].
//!
//! The longest prefix that all rows share is computed once. Rows are run in batches of similar length, and a row
//! leaves its batch as soon as it is done. The output head runs at the last position only.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor};

use crate::sampling::Sampling;
use crate::{KvCache, Llama, ModelError, TokenBatch};

/// Settings of [`generate`].
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// Tokens generated per row at most.
    pub max_new_tokens: usize,
    /// Rows per batch.
    pub batch_size: usize,
    /// Batches that run at once. On a CPU one batch of a small model keeps hardly more than one core busy.
    pub threads: usize,
    /// Ids that end a row; they are not part of the output.
    pub eos: Vec<u32>,
    /// Whether to return hidden states.
    pub hidden: bool,
    /// How tokens are drawn; without it the most probable one is taken.
    pub sampling: Option<Sampling>,
}

/// What was generated for one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// The new tokens.
    pub ids: Vec<u32>,
    /// Hidden state after the final norm at the last prompt token, `[d_model]`, if asked for.
    pub hidden: Option<Vec<f32>>,
}

/// Continues every row token by token; `done(row, tokens so far)` may end a row early.
///
/// Results come in the order of `rows`. Without sampling the most probable token is taken, of equal ones the lowest id.
///
/// # Errors
/// A row is empty, holds an id beyond the vocabulary or would grow beyond the model's `max_position_embeddings`; a
/// value of the sampling is outside its domain.
pub fn generate(
    model: &Llama,
    rows: &[Vec<u32>],
    options: &GenerateOptions,
    done: impl Fn(usize, &[u32]) -> bool + Sync,
) -> Result<Vec<Continuation>, ModelError> {
    options.sampling.as_ref().map_or(Ok(()), Sampling::check)?;
    model.check_rows(rows, options.max_new_tokens)?;
    let mut out = vec![Continuation { ids: Vec::new(), hidden: None }; rows.len()];
    if rows.is_empty() || options.max_new_tokens == 0 {
        return Ok(out);
    }
    // At least one token of each row stays behind the prefix.
    let prefix = common_prefix(rows).min(rows.iter().map(Vec::len).min().unwrap_or(1) - 1);
    let mut shared = KvCache::new(model.layers.len(), 1, prefix);
    if prefix > 0 && rows.len() > 1 {
        let batch = TokenBatch::left_padded(&[rows[0][..prefix].to_vec()], 0, 1, &model.device())?;
        model.hidden(&batch, Some(&mut shared), None);
    }
    let prefix = shared.lengths[0];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&row| rows[row].len());
    let chunks: Vec<&[usize]> = order.chunks(options.batch_size.max(1)).collect();
    let job = Job { model, rows, prefix, shared: &shared, options, done: &done };
    // Thread t takes every so-manieth batch, so that long and short ones are shared out.
    let threads = options.threads.clamp(1, chunks.len());
    let run = |first: usize| chunks[first..].iter().step_by(threads).map(|chunk| job.run(chunk)).collect::<Vec<_>>();
    let results = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        let mut results = vec![run(0)];
        for (thread, other) in others.into_iter().enumerate() {
            results.push(
                other
                    .join()
                    .map_err(|_| ModelError::Invalid(format!("generation thread {} ended early", thread + 1)))?,
            );
        }
        Ok::<_, ModelError>(results)
    })?;
    for result in results.into_iter().flatten() {
        for (row, continuation) in result? {
            out[row] = continuation;
        }
    }
    Ok(out)
}

/// What the batches of one call share.
struct Job<'a, F> {
    model: &'a Llama,
    rows: &'a [Vec<u32>],
    prefix: usize,
    shared: &'a KvCache,
    options: &'a GenerateOptions,
    done: &'a F,
}

impl<F: Fn(usize, &[u32]) -> bool> Job<'_, F> {
    /// Continues the rows `chunk` as one batch.
    fn run(&self, chunk: &[usize]) -> Result<Vec<(usize, Continuation)>, ModelError> {
        let &Job { model, rows, prefix, shared, options, done } = self;
        let mut out: BTreeMap<usize, Continuation> =
            chunk.iter().map(|&row| (row, Continuation { ids: Vec::new(), hidden: None })).collect();
        let device = model.device();
        let mut active = chunk.to_vec();
        let mut input: Vec<Vec<u32>> = active.iter().map(|&row| rows[row][prefix..].to_vec()).collect();
        // Allocated once: prompt and all but the last new token.
        let capacity = prefix + input.iter().map(Vec::len).max().unwrap_or(0) + options.max_new_tokens - 1;
        let mut cache = match prefix {
            0 => KvCache::new(model.layers.len(), active.len(), capacity),
            _ => shared.repeat(active.len(), capacity),
        };
        for step in 0..options.max_new_tokens {
            let batch = TokenBatch::left_padded(&input, 0, 1, &device)?;
            let hidden = model.hidden(&batch, Some(&mut cache), None);
            let [count, seq, d_model] = hidden.dims();
            let last: Tensor<2> = hidden.narrow(1, seq - 1, 1).reshape([count, d_model]);
            if step == 0 && options.hidden {
                let values: Vec<f32> = values(last.clone())?;
                for (&row, state) in active.iter().zip(values.chunks_exact(d_model)) {
                    if let Some(out) = out.get_mut(&row) {
                        out.hidden = Some(state.to_vec());
                    }
                }
            }
            let logits = model.logits(last);
            let next: Vec<u32> = match &options.sampling {
                None => indices(logits.argmax(1))?,
                Some(sampling) => {
                    let vocabulary = logits.dims()[1];
                    let values = values(logits)?;
                    let scores = active.iter().zip(values.chunks_exact(vocabulary));
                    scores.map(|(&row, scores)| sampling.draw(scores, row, step)).collect()
                }
            };
            let mut keep = Vec::with_capacity(count);
            for (place, (&row, &id)) in active.iter().zip(&next).enumerate() {
                if options.eos.contains(&id) {
                    continue;
                }
                let Some(out) = out.get_mut(&row) else { continue };
                out.ids.push(id);
                if !done(row, &out.ids) {
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
}

fn values(tensor: Tensor<2>) -> Result<Vec<f32>, ModelError> {
    tensor
        .try_into_vec_as::<f32>()
        .map_err(|error| ModelError::Invalid(format!("cannot read hidden states back: {error:?}")))
}

fn indices(tensor: Tensor<2, Int>) -> Result<Vec<u32>, ModelError> {
    tensor
        .try_into_vec_as::<u32>()
        .map_err(|error| ModelError::Invalid(format!("cannot read token ids back: {error:?}")))
}

/// Length of the longest prefix of all rows.
fn common_prefix(rows: &[Vec<u32>]) -> usize {
    let (first, rest) = match rows.split_first() {
        Some(parts) => parts,
        None => return 0,
    };
    rest.iter().fold(first.len(), |length, row| first[..length].iter().zip(row).take_while(|(a, b)| a == b).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;
    use burn::tensor::Device;

    fn options(hidden: bool) -> GenerateOptions {
        GenerateOptions { max_new_tokens: 7, batch_size: 3, threads: 2, eos: Vec::new(), hidden, sampling: None }
    }

    #[test]
    fn a_row_draws_the_same_tokens_in_any_batch() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let sampling = Sampling { temperature: 2.0, top_k: Some(9), seed: 5, ..Sampling::default() };
        let options = GenerateOptions { sampling: Some(sampling), ..options(false) };
        let rows: Vec<Vec<u32>> = vec![vec![1, 4, 5, 6, 7], vec![1, 4, 9], vec![1, 4, 5, 8], vec![1, 4]];
        let together = generate(&model, &rows, &options, |_, _| false).unwrap();
        let one_by_one = GenerateOptions { batch_size: 1, threads: 1, ..options.clone() };
        assert_eq!(together, generate(&model, &rows, &one_by_one, |_, _| false).unwrap());
        let greedy = generate(&model, &rows, &GenerateOptions { sampling: None, ..options }, |_, _| false).unwrap();
        assert_ne!(together, greedy);
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
    fn batches_generate_what_single_rows_do() {
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
        // Rows that stop early do not disturb the others.
        let stopped = generate(&model, &rows, &options, |row, ids| row != 2 && ids.len() == 1 + row).unwrap();
        assert_eq!(stopped[2].ids, together[2].ids);
        assert_eq!(stopped[1].ids, together[1].ids[..2]);
    }

    #[test]
    fn prompts_beyond_the_context_are_refused() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let refused = |row| generate(&model, &[vec![1], row], &options(false), |_, _| false).unwrap_err().to_string();
        let message = refused(vec![1; 60]);
        assert!(message.contains("row 1 has 60 tokens and 7 new ones") && message.contains("64"), "{message}");
        assert!(refused(vec![]).contains("row 1 has no token"));
        let message = refused(vec![1, 23]);
        assert!(message.contains("token id 23 at position 1") && message.contains("23 ids"), "{message}");
    }
}
