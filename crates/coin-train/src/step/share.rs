//! Division of an effective batch among ranks and into micro-batches.

use std::ops::Range;

use coin_data::pairs::by_length;
use coin_data::tokenize::PairRow;
use coin_loss::collective::Collective;

/// A rank's share of a step.
pub(crate) struct Share<'a> {
    /// The whole effective batch, in the order of computation.
    pub(crate) pairs: Vec<&'a PairRow>,
    /// The number of each pair in the given order, which is the key of its dropout masks.
    pub(crate) numbers: Vec<usize>,
    /// The positions of the rank's own pairs.
    pub(crate) own: Range<usize>,
    /// Number of pairs in a micro-batch.
    pub(crate) micro: usize,
    /// The optimizer step.
    pub(crate) step: u64,
    /// The ranks.
    pub(crate) collective: &'a dyn Collective,
}

impl<'a> Share<'a> {
    /// Takes the share of `collective`'s rank of an effective batch in the order `numbers`.
    pub(crate) fn new(
        pairs: &[&'a PairRow],
        numbers: Vec<usize>,
        micro: usize,
        step: u64,
        collective: &'a dyn Collective,
    ) -> Self {
        let (rank, world_size) = (collective.rank(), collective.world_size());
        let pairs: Vec<&PairRow> = numbers.iter().map(|&number| pairs[number]).collect();
        let full = pairs.len().div_ceil(micro).div_ceil(world_size) * micro;
        let own = (rank * full).min(pairs.len())..((rank + 1) * full).min(pairs.len());
        Share { pairs, numbers, own, micro, step, collective }
    }

    /// Returns the positions of the rank's micro-batches in the effective batch.
    pub(crate) fn micro_batches(&self) -> impl Iterator<Item = Range<usize>> {
        let (end, micro) = (self.own.end, self.micro);
        self.own.clone().step_by(micro).map(move |first| first..(first + micro).min(end))
    }
}

/// Returns the order of an effective batch with the least padding, for losses that do not depend on its split. Couples of similar
/// length share a micro-batch, and ranks compute micro-batches of similar length at the same time.
pub(crate) fn least_padding(pairs: &[&PairRow], micro: usize, world_size: usize) -> Vec<usize> {
    let lengths: Vec<usize> = pairs.iter().map(|pair| pair.longest()).collect();
    let sorted = by_length(&lengths);
    let batches: Vec<&[usize]> = sorted.chunks(micro).collect();
    let per_rank = batches.len().div_ceil(world_size);
    // The positions of the micro-batches, in the order of computation. The last one may be smaller and stays last.
    let mut places: Vec<usize> = (0..batches.len().saturating_sub(1)).collect();
    places.sort_by_key(|place| (place % per_rank, place / per_rank));
    let mut ordered = batches.clone();
    for (batch, place) in batches.iter().zip(places) {
        ordered[place] = batch;
    }
    ordered.concat()
}

#[cfg(test)]
mod tests {
    use coin_data::tokenize::TokenRow;

    use super::*;

    #[test]
    fn ranks_get_similar_lengths_and_the_smallest_micro_batch_stays_last() {
        let row = |length: usize| TokenRow { ids: vec![0; length], prompt: 0, shortened: 0, cut: 0 };
        // Nine couples; the second wording is the longer one.
        let pairs: Vec<PairRow> = [5, 20, 7, 3, 11, 30, 6, 9, 8]
            .into_iter()
            .flat_map(|length| [length, length])
            .map(|length| PairRow { original: row(1), paraphrase: row(length), task: None, target: String::new() })
            .collect();
        let pairs: Vec<&PairRow> = pairs.iter().collect();
        let lengths = |world_size: usize| -> Vec<usize> {
            let order = least_padding(&pairs, 4, world_size);
            let mut all = order.clone();
            all.sort_unstable();
            assert_eq!(all, (0..18).collect::<Vec<_>>());
            order.chunks(4).map(|batch| batch.iter().map(|&at| pairs[at].longest()).max().unwrap()).collect()
        };
        assert_eq!(lengths(1), [30, 11, 8, 6, 3]);
        // Three micro-batches for rank 0, and two for rank 1, whose last holds one couple.
        assert_eq!(lengths(2), [30, 8, 6, 11, 3]);
        assert_eq!(lengths(5), [30, 11, 8, 6, 3]);
    }
}
