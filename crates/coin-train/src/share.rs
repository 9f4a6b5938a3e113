//! How an effective batch is shared: by ranks, and by each rank in micro-batches.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor};
use coin_data::pairs::by_length;
use coin_data::tokenize::PairRow;
use coin_loss::collective::Collective;
use coin_model::Llama;

use crate::TrainError;
use crate::objective::{PairStates, StepObjective, forward, scalar};

/// What a rank computes of a step.
pub(crate) struct Share<'a> {
    /// The whole effective batch, in the order in which it is computed.
    pub(crate) pairs: Vec<&'a PairRow>,
    /// The place of each in the order in which it was given, which is what its dropout masks are keyed by.
    numbers: Vec<usize>,
    /// The rank's own pairs in it.
    pub(crate) own: Range<usize>,
    /// Pairs of a micro-batch.
    pub(crate) micro: usize,
    /// Pairs of a rank that has its full share.
    pub(crate) full: usize,
    /// The optimiser step.
    pub(crate) step: u64,
    collective: &'a dyn Collective,
}

impl<'a> Share<'a> {
    /// The pairs of an effective batch in the order `numbers`.
    pub(crate) fn new(
        pairs: &[&'a PairRow],
        numbers: Vec<usize>,
        micro: usize,
        step: u64,
        collective: &'a dyn Collective,
    ) -> Self {
        let (rank, ranks) = (collective.rank(), collective.ranks());
        let pairs: Vec<&PairRow> = numbers.iter().map(|&number| pairs[number]).collect();
        let full = pairs.len().div_ceil(micro).div_ceil(ranks) * micro;
        let own = (rank * full).min(pairs.len())..((rank + 1) * full).min(pairs.len());
        Share { pairs, numbers, own, micro, full, step, collective }
    }

    /// The places of the rank's micro-batches in the effective batch.
    pub(crate) fn micro_batches(&self) -> impl Iterator<Item = Range<usize>> {
        let (end, micro) = (self.own.end, self.micro);
        self.own.clone().step_by(micro).map(move |first| first..(first + micro).min(end))
    }

    /// A forward pass over the pairs at `places`.
    pub(crate) fn forward(
        &self,
        objective: &StepObjective,
        model: &Llama,
        places: Range<usize>,
        checkpointing: bool,
    ) -> Result<PairStates, TrainError> {
        let dropout = Some((objective.seed, self.step, &self.numbers[places.clone()]));
        forward(model, &self.pairs[places], objective.pooling, dropout, checkpointing)
    }

    /// The pooled rows of all ranks, of which the rank's own belong to its graph, `[pairs, d_model]` twice.
    pub(crate) fn gather(
        &self,
        own: Option<[Tensor<2>; 2]>,
        d_model: usize,
        device: &Device,
    ) -> Result<[Tensor<2>; 2], TrainError> {
        if let (1, Some(own)) = (self.collective.ranks(), &own) {
            return Ok(own.clone());
        }
        // A rank whose share is not full fills it up: only rows behind the last pair are made up.
        let count = self.full - self.own.len();
        let filling = (count > 0).then(|| Tensor::<2>::zeros([count, 2 * d_model], (device, DType::F32)));
        let rows = own.map(|rows| Tensor::cat(rows.into(), 1)).into_iter().chain(filling).collect();
        let all = self.collective.gather_with_graph(Tensor::cat(rows, 0))?;
        let all = all.narrow(0, 0, self.pairs.len());
        Ok([all.clone().narrow(1, 0, d_model), all.narrow(1, d_model, d_model)])
    }

    /// Values added up over ranks.
    pub(crate) fn sum<const N: usize>(&self, values: [f64; N], device: &Device) -> Result<[f64; N], TrainError> {
        sum_values(values, self.collective, device)
    }
}

/// The order in which an effective batch is computed where its split changes no value: couples of like length share a
/// micro-batch, and ranks get micro-batches of like length at the same time.
pub(crate) fn least_padding(pairs: &[&PairRow], micro: usize, ranks: usize) -> Vec<usize> {
    let lengths: Vec<usize> = pairs.iter().map(|pair| pair.longest()).collect();
    let sorted = by_length(&lengths);
    let batches: Vec<&[usize]> = sorted.chunks(micro).collect();
    let per_rank = batches.len().div_ceil(ranks);
    // The places of the micro-batches, first those that ranks compute first. The last one may be smaller and stays last.
    let mut places: Vec<usize> = (0..batches.len().saturating_sub(1)).collect();
    places.sort_by_key(|place| (place % per_rank, place / per_rank));
    let mut ordered = batches.clone();
    for (batch, place) in batches.iter().zip(places) {
        ordered[place] = batch;
    }
    ordered.concat()
}

/// `sum` over `weight`; none where nothing was weighed.
pub(crate) fn ratio(sum: f64, weight: f64) -> Option<f64> {
    (weight > 0.0).then(|| sum / weight)
}

/// `values` added up over ranks.
pub(crate) fn sum_values<const N: usize>(
    values: [f64; N],
    collective: &dyn Collective,
    device: &Device,
) -> Result<[f64; N], TrainError> {
    if collective.ranks() == 1 {
        return Ok(values);
    }
    let own = Tensor::<1>::from_floats(values.map(|value| value as f32), &device.clone().inner());
    let sum = collective.sum(own)?;
    Ok(std::array::from_fn(|at| scalar(&sum.clone().narrow(0, at, 1))))
}

#[cfg(test)]
mod tests {
    use coin_data::tokenize::TokenRow;

    use super::*;

    #[test]
    fn ranks_get_like_lengths_and_the_smallest_micro_batch_stays_last() {
        let row = |length: usize| TokenRow { ids: vec![0; length], prompt: 0, shortened: 0, cut: 0 };
        // Nine couples; the second wording is the longer one.
        let pairs: Vec<PairRow> = [5, 20, 7, 3, 11, 30, 6, 9, 8]
            .into_iter()
            .flat_map(|length| [length, length])
            .map(|length| PairRow { original: row(1), paraphrase: row(length), task: None, target: String::new() })
            .collect();
        let pairs: Vec<&PairRow> = pairs.iter().collect();
        let lengths = |ranks: usize| -> Vec<usize> {
            let order = least_padding(&pairs, 4, ranks);
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
