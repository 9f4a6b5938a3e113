//! Batches of rows that share a cached prefix, for generation and scoring.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};

use crate::{KvCache, Llama, ModelError, TokenBatch};

/// Rows that run together. All belong to one group.
#[derive(Debug)]
pub(crate) struct Batch {
    group: usize,
    pub(crate) rows: Vec<usize>,
}

/// The prefix that the rows of a group share, and its cache, which is filled when a batch first needs it.
#[derive(Debug)]
struct Prefix {
    ids: Vec<u32>,
    cache: OnceLock<KvCache>,
}

/// The batches in which rows are run, and the prefixes they share.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) model: &'a Llama,
    rows: &'a [Vec<u32>],
    /// The prefix that all rows share.
    shared: Prefix,
    groups: Vec<Prefix>,
    pub(crate) batches: Vec<Batch>,
}

impl<'a> Plan<'a> {
    /// Divides `rows` into batches of at most `batch_size` rows of similar length. Each row needs room for `new_tokens`
    /// more tokens, `copies` times.
    pub(crate) fn new(
        model: &'a Llama,
        rows: &'a [Vec<u32>],
        groups: &[usize],
        new_tokens: usize,
        copies: usize,
        batch_size: usize,
        memory: Option<usize>,
    ) -> Result<Self, ModelError> {
        if !groups.is_empty() && groups.len() != rows.len() {
            return Err(ModelError::Invalid(format!("got {} group ids for {} rows", groups.len(), rows.len())));
        }
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in 0..rows.len() {
            members.entry(groups.get(row).copied().unwrap_or(0)).or_default().push(row);
        }
        let all: Vec<usize> = (0..rows.len()).collect();
        let shared = prefix(rows, &all);
        let (mut prefixes, mut batches) = (Vec::new(), Vec::new());
        for mut members in members.into_values() {
            prefixes.push(prefix(rows, &members));
            members.sort_by_key(|&row| rows[row].len());
            let mut rest = &members[..];
            while !rest.is_empty() {
                let (batch, others) = rest.split_at(fitting(model, rows, rest, new_tokens, copies, batch_size, memory));
                batches.push(Batch { group: prefixes.len() - 1, rows: batch.to_vec() });
                rest = others;
            }
        }
        Ok(Plan { model, rows, shared, groups: prefixes, batches })
    }

    /// Returns the cache of a batch's prefix, with room for `new_tokens` after its longest row, and the tokens that follow
    /// the prefix in each row. There is at least one such token per row.
    pub(crate) fn start(&self, batch: usize, new_tokens: usize) -> Result<(KvCache, Vec<Vec<u32>>), ModelError> {
        let Batch { group, rows } = &self.batches[batch];
        let prefix = &self.groups[*group];
        let behind = prefix.ids.len();
        let input: Vec<Vec<u32>> = rows.iter().map(|&row| self.rows[row][behind..].to_vec()).collect();
        let capacity = behind + input.iter().map(Vec::len).max().unwrap_or(0).saturating_add(new_tokens);
        let cache = match behind {
            0 => KvCache::new(self.model.layers.len(), rows.len(), capacity),
            _ => self.cache(prefix)?.repeat(rows.len(), capacity),
        };
        Ok((cache, input))
    }

    /// The cache of a group's prefix. With several groups it extends the cache of the prefix that all rows share.
    fn cache<'b>(&'b self, prefix: &'b Prefix) -> Result<&'b KvCache, ModelError> {
        if let Some(cache) = prefix.cache.get() {
            return Ok(cache);
        }
        let shared = self.shared.ids.len();
        let from_shared = self.groups.len() > 1 && shared > 0;
        let mut cache = match from_shared {
            true => self.cache_of(&self.shared)?.repeat(1, prefix.ids.len()),
            false => KvCache::new(self.model.layers.len(), 1, prefix.ids.len()),
        };
        self.extend(&mut cache, &prefix.ids[if from_shared { shared } else { 0 }..])?;
        Ok(prefix.cache.get_or_init(|| cache))
    }

    fn cache_of<'b>(&'b self, shared: &'b Prefix) -> Result<&'b KvCache, ModelError> {
        if let Some(cache) = shared.cache.get() {
            return Ok(cache);
        }
        let mut cache = KvCache::new(self.model.layers.len(), 1, shared.ids.len());
        self.extend(&mut cache, &shared.ids)?;
        Ok(shared.cache.get_or_init(|| cache))
    }

    fn extend(&self, cache: &mut KvCache, ids: &[u32]) -> Result<(), ModelError> {
        if !ids.is_empty() {
            let batch = TokenBatch::left_padded(&[ids.to_vec()], 0, 1, &self.model.device())?;
            self.model.last_hidden(&batch, 1, Some(cache), None);
        }
        Ok(())
    }
}

/// The longest common prefix of the rows `members` that leaves at least one token of each row. Empty for a single row.
fn prefix(rows: &[Vec<u32>], members: &[usize]) -> Prefix {
    let length = match members {
        [first, rest @ ..] if !rest.is_empty() => rest.iter().fold(rows[*first].len() - 1, |length, &row| {
            let equal = rows[*first][..length].iter().zip(&rows[row]).take_while(|(a, b)| a == b).count();
            equal.min(rows[row].len() - 1)
        }),
        _ => 0,
    };
    let ids = members.first().map_or(Vec::new(), |&first| rows[first][..length].to_vec());
    Prefix { ids, cache: OnceLock::new() }
}

/// The number of rows that fit in one batch, taken from the front of `members`, which are sorted by length.
fn fitting(
    model: &Llama,
    rows: &[Vec<u32>],
    members: &[usize],
    new_tokens: usize,
    copies: usize,
    batch_size: usize,
    memory: Option<usize>,
) -> usize {
    let most = batch_size.clamp(1, members.len());
    let Some(memory) = memory else { return most };
    // Every row counts as the longest, because shorter rows are padded.
    let fits = |count: &usize| {
        let length = rows[members[*count - 1]].len();
        count * row_bytes(model, length, length.saturating_add(new_tokens), copies) <= memory
    };
    (1..=most).rev().find(fits).unwrap_or(1)
}

/// Bytes needed by one row of `prompt` tokens (`length` including new tokens): its keys and values, and the activations of
/// the layer being computed.
fn row_bytes(model: &Llama, prompt: usize, length: usize, copies: usize) -> usize {
    let config = model.config();
    let size = model.embedding.val().dtype().size();
    let heads = config.num_attention_heads;
    let head_dim = config.head_dim.unwrap_or(config.hidden_size / heads.max(1));
    let kv = 2 * config.num_hidden_layers * config.num_key_value_heads.unwrap_or(heads) * head_dim * length * size;
    // Residual stream, its norm, q and the attention output; gate, up and their product; scores and their softmax in f32.
    let layer =
        prompt * (4 * config.hidden_size + 3 * config.intermediate_size) * size + 2 * 4 * heads * prompt * prompt;
    copies * kv + layer + 3 * 4 * config.vocab_size
}

/// Runs `count` jobs on `threads` threads and passes their results to `finished` in job order, up to the first job that
/// fails. No further job starts after an error.
pub(crate) fn run_in_order<T: Send, E: From<ModelError>>(
    count: usize,
    threads: usize,
    job: impl Fn(usize) -> Result<T, ModelError> + Sync,
    mut finished: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    // Bounded, so that results do not pile up if the receiver is slow.
    let (sender, receiver) = mpsc::sync_channel(threads.max(1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, count.max(1)))
            .map(|_| {
                let (next, job) = (&next, &job);
                let sender = sender.clone();
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        // The receiver is dropped after `finished` returns an error.
                        if index >= count || sender.send((index, job(index))).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut handed = 0;
        let outcome = 'received: loop {
            let Ok((index, result)) = receiver.recv() else { break Ok(()) };
            if result.is_err() {
                // Jobs already running still finish, and the results of earlier jobs are kept.
                next.store(count, Ordering::Relaxed);
            }
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&handed) {
                handed += 1;
                match result.map_err(E::from).and_then(&mut finished) {
                    Ok(()) => {}
                    Err(error) => break 'received Err(error),
                }
            }
        };
        drop(receiver);
        next.store(count, Ordering::Relaxed);
        let ended_early = workers.into_iter().filter_map(|worker| worker.join().err()).count();
        outcome?;
        match ended_early {
            0 => Ok(()),
            _ => Err(E::from(ModelError::Invalid(format!("{ended_early} worker threads panicked")))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;
    use burn::tensor::Device;

    #[test]
    fn results_come_in_job_order() {
        let mut seen = Vec::new();
        let job = |index: usize| {
            std::thread::sleep(std::time::Duration::from_millis(if index.is_multiple_of(3) { 5 } else { 0 }));
            Ok(index)
        };
        let keep = |index| {
            seen.push(index);
            Ok::<_, ModelError>(())
        };
        run_in_order(20, 4, job, keep).unwrap();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_stops_further_jobs() {
        let begun = AtomicUsize::new(0);
        let job = |index: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if index > 3 {
                // Long enough for the error to be noticed under any thread scheduling.
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            if index == 3 { Err(ModelError::Invalid("job 3".to_owned())) } else { Ok(index) }
        };
        let mut seen = Vec::new();
        let keep = |index| {
            seen.push(index);
            Ok::<_, ModelError>(())
        };
        let error = run_in_order(1000, 2, job, keep).unwrap_err();
        assert_eq!((error.to_string(), seen), ("job 3".to_owned(), vec![0, 1, 2]));
        let refuse = |index: usize| if index == 1 { Err(ModelError::Invalid("full".to_owned())) } else { Ok(()) };
        assert_eq!(run_in_order(1000, 2, Ok, refuse).unwrap_err().to_string(), "full");
        assert!(begun.into_inner() < 20);
    }

    #[test]
    fn little_memory_makes_small_batches() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let rows: Vec<Vec<u32>> = (1..=8).map(|length| vec![1; 2 * length]).collect();
        let sizes = |memory| -> Vec<usize> {
            let plan = Plan::new(&model, &rows, &[], 4, 1, 4, memory).unwrap();
            plan.batches.iter().map(|batch| batch.rows.len()).collect()
        };
        assert_eq!(sizes(None), [4, 4]);
        assert_eq!(sizes(Some(1)), [1; 8]);
        let some = sizes(Some(2 * row_bytes(&model, 16, 20, 1)));
        assert!(some.iter().all(|&size| (2..=4).contains(&size)) && some.iter().sum::<usize>() == 8, "{some:?}");
    }

    #[test]
    fn every_row_needs_a_group() {
        let model = Llama::new(&tiny(), 11, &Device::flex()).unwrap();
        let error = Plan::new(&model, &[vec![1]], &[0, 0], 4, 1, 4, None).unwrap_err();
        assert_eq!(error.to_string(), "got 2 group ids for 1 rows");
    }
}
