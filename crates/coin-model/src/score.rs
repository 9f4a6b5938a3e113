//! Log-likelihood of given continuations.
//!
//! For a row `x` and a continuation `y` of n tokens, `sum_t ln p(y_t | x, y_1 .. y_{t-1})`. The prompt runs once, after
//! the prefix that all rows of its group share, and all continuations reuse its cache. Softmax is computed in f32, the sum
//! in f64.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use crate::batches::{Plan, run_in_order};
use crate::generate::values;
use crate::pool;
use crate::{Llama, ModelError, TokenBatch};

/// Settings of [`score_each`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreOptions {
    /// Maximum number of rows per batch; a row with k continuations counts k times in the second pass.
    pub batch_size: usize,
    /// Bytes that the cache and the activations of one batch may take; see
    /// [`GenerateOptions::memory`](crate::generate::GenerateOptions::memory).
    pub memory: Option<usize>,
    /// Number of batches that run at the same time.
    pub threads: usize,
}

/// Computes the log-likelihoods of each row's continuations and passes them to `scored`, batch by batch in a fixed order.
///
/// `continuations` has one list per row; `groups` is as in [`generate_each`](crate::generate::generate_each).
///
/// # Errors
/// A row or continuation is empty, holds an id outside the vocabulary, or is too long for the model; or `scored` returns an
/// error.
pub fn score_each<E: From<ModelError>>(
    model: &Llama,
    rows: &[Vec<u32>],
    continuations: &[Vec<Vec<u32>>],
    groups: &[usize],
    options: &ScoreOptions,
    scored: impl FnMut(Vec<(usize, Vec<f64>)>) -> Result<(), E>,
) -> Result<(), E> {
    if rows.len() != continuations.len() {
        let message = format!("got {} lists of continuations for {} rows", continuations.len(), rows.len());
        return Err(ModelError::Invalid(message).into());
    }
    let longest = continuations.iter().flatten().map(Vec::len).max().unwrap_or(0);
    model.check_rows(rows, longest)?;
    for (row, list) in continuations.iter().enumerate() {
        model
            .check_rows(list, 0)
            .map_err(|error| ModelError::Invalid(format!("continuations of row {row}: {error}")))?;
    }
    let copies = continuations.iter().map(Vec::len).max().unwrap_or(0);
    let plan = Plan::new(model, rows, groups, longest, copies.max(1), options.batch_size, options.memory)?;
    let device = model.device();
    let job = |batch| pool::within(&device, || score_batch(&plan, batch, continuations));
    run_in_order(plan.batches.len(), options.threads, job, scored)
}

/// The log-likelihoods of the continuations of one batch's rows.
fn score_batch(
    plan: &Plan<'_>,
    batch: usize,
    continuations: &[Vec<Vec<u32>>],
) -> Result<Vec<(usize, Vec<f64>)>, ModelError> {
    let model = plan.model;
    let device = model.device();
    let rows = &plan.batches[batch].rows;
    let longest = rows.iter().flat_map(|&row| &continuations[row]).map(Vec::len).max().unwrap_or(0);
    let (mut cache, input) = plan.start(batch, longest.saturating_sub(1))?;
    let prompts = TokenBatch::left_padded(&input, 0, 1, &device)?;
    let last: Tensor<2> = model.last_hidden(&prompts, 1, Some(&mut cache), None).squeeze_dim(1);
    let count = prompts.rows();
    let first = values(log_softmax(model.logits(last), 1))?;
    let vocabulary = model.config().vocab_size;
    let mut sums: Vec<Vec<f64>> = rows
        .iter()
        .zip(first.chunks_exact(vocabulary))
        .map(|(&row, scores)| continuations[row].iter().map(|ids| f64::from(scores[ids[0] as usize])).collect())
        .collect();

    // Continuations of more than one token run after their row's cache; their last token is not needed as input.
    let (mut places, mut later) = (Vec::new(), Vec::new());
    for (place, &row) in rows.iter().enumerate() {
        for (which, ids) in continuations[row].iter().enumerate().filter(|(_, ids)| ids.len() > 1) {
            places.push((place, which));
            later.push(ids[..ids.len() - 1].to_vec());
        }
    }
    // As many at a time as there are rows in the batch, so that the batch's memory limit still holds.
    for (places, later) in places.chunks(count).zip(later.chunks(count)) {
        let mut cache = cache.select(&places.iter().map(|&(place, _)| place).collect::<Vec<_>>());
        let batch = TokenBatch::left_padded(later, 0, 1, &device)?;
        let hidden = model.hidden(&batch, Some(&mut cache), None);
        let [count, seq, d_model] = hidden.dims();
        let scores = values(log_softmax(model.logits(hidden.reshape([count * seq, d_model])), 1))?;
        for (index, (&(place, which), span)) in places.iter().zip(&batch.spans).enumerate() {
            let ids = &continuations[rows[place]][which];
            for (position, &id) in span.clone().zip(&ids[1..]) {
                sums[place][which] += f64::from(scores[(index * seq + position) * vocabulary + id as usize]);
            }
        }
    }
    match sums.iter().flatten().all(|sum| sum.is_finite()) {
        true => Ok(rows.iter().copied().zip(sums).collect()),
        false => Err(ModelError::Invalid(
            "a log-likelihood is not finite: the weights contain NaN, or values overflow the dtype".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;
    use burn::tensor::Device;

    /// One forward pass of the whole text, without cache or padding.
    fn alone(model: &Llama, row: &[u32], continuation: &[u32]) -> f64 {
        let whole = [row, continuation].concat();
        let batch = TokenBatch::left_padded(&[whole], 0, 1, &model.device()).unwrap();
        let hidden = model.hidden(&batch, None, None);
        let [_, seq, d] = hidden.dims();
        let scores = values(log_softmax(model.logits(hidden.reshape([seq, d])), 1)).unwrap();
        let at =
            |t: usize| f64::from(scores[(row.len() - 1 + t) * model.config().vocab_size + continuation[t] as usize]);
        (0..continuation.len()).map(at).sum()
    }

    #[test]
    fn batches_match_whole_texts() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let rows: Vec<Vec<u32>> =
            vec![vec![1, 4, 5, 6, 7], vec![1, 4, 9], vec![1, 4, 5, 8, 10, 11], vec![2, 4, 3], vec![2, 4, 6]];
        let lists: Vec<Vec<Vec<u32>>> = vec![
            vec![vec![3], vec![3, 4, 5], vec![7, 7]],
            vec![vec![12, 13]],
            vec![],
            vec![vec![9], vec![1]],
            vec![vec![1, 2, 3, 4], vec![5]],
        ];
        for groups in [vec![], vec![0, 0, 0, 1, 1]] {
            let mut found = vec![Vec::new(); rows.len()];
            let options = ScoreOptions { batch_size: 2, memory: None, threads: 2 };
            let keep = |scored: Vec<(usize, Vec<f64>)>| {
                scored.into_iter().for_each(|(row, sums)| found[row] = sums);
                Ok::<_, ModelError>(())
            };
            score_each(&model, &rows, &lists, &groups, &options, keep).unwrap();
            for (row, list) in lists.iter().enumerate() {
                assert_eq!(found[row].len(), list.len());
                for (ids, sum) in list.iter().zip(&found[row]) {
                    // Sums of a few log-probabilities of order 3, each exact to about 1e-6.
                    assert!((sum - alone(&model, &rows[row], ids)).abs() < 1e-5, "{row} {ids:?}");
                }
            }
        }
    }

    #[test]
    fn errors_name_the_row() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let options = ScoreOptions { batch_size: 2, memory: None, threads: 1 };
        let refused = |rows: &[Vec<u32>], lists: &[Vec<Vec<u32>>]| {
            let ignore = |_| Ok::<_, ModelError>(());
            score_each(&model, rows, lists, &[], &options, ignore).unwrap_err().to_string()
        };
        assert_eq!(refused(&[vec![1]], &[]), "got 0 lists of continuations for 1 rows");
        assert_eq!(refused(&[vec![1]], &[vec![vec![2], vec![]]]), "continuations of row 0: row 1 is empty");
        assert!(refused(&[vec![1; 60]], &[vec![vec![1; 5]]]).contains("64 positions"));
    }
}
