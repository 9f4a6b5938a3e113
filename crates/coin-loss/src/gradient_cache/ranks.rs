//! Exchanges between the ranks of a batch. Ranks may have different numbers of items, or none.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::error::GradientCacheError;
use crate::collective::{Collective, CollectiveError};

/// The division of a batch among ranks.
pub(super) struct Ranks<'a> {
    collective: &'a dyn Collective,
    /// Number of items of each rank.
    counts: Vec<usize>,
    /// Outside of autodiff.
    device: Device,
}

impl<'a> Ranks<'a> {
    /// Tells all ranks how many items this one has.
    pub(super) fn new(collective: &'a dyn Collective, own: usize, device: Device) -> Result<Self, GradientCacheError> {
        let counts = match collective.world_size() {
            1 => vec![own],
            _ => numbers(collective, vec![own as f32], &device)?.iter().map(|row| row[0] as usize).collect(),
        };
        match counts.iter().sum() {
            0usize => Err(GradientCacheError::Empty),
            _ => Ok(Ranks { collective, counts, device }),
        }
    }

    fn all(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The positions of this rank's items in the whole batch.
    pub(super) fn own(&self) -> Range<usize> {
        let rank = self.collective.rank();
        let first = self.counts[..rank].iter().sum();
        first..first + self.counts[rank]
    }

    /// Gathers the rows of all ranks, and sums the extra losses. `own` is None on a rank without items.
    pub(super) fn gather<const N: usize>(
        &self,
        own: Option<[Tensor<2>; N]>,
        extra_loss: f64,
    ) -> Result<([Tensor<2>; N], f64), GradientCacheError> {
        if let (1, Some(rows)) = (self.counts.len(), &own) {
            return Ok((rows.clone(), extra_loss));
        }
        // A rank without items does not know the widths.
        let widths = own.as_ref().map_or([0; N], |rows| rows.each_ref().map(|rows| rows.dims()[1]));
        let told = widths.iter().map(|&width| width as f32).chain([extra_loss as f32]).collect();
        let told = numbers(self.collective, told, &self.device)?;
        let widths = agreed::<N>(&told, &self.counts)?;
        let extra_loss = told.iter().map(|row| f64::from(row[N])).sum();

        // All ranks must gather the same shape.
        let full = self.counts.iter().copied().max().unwrap_or(0);
        let filling = full - self.counts[self.collective.rank()];
        let width = widths.iter().sum::<usize>();
        let own = own.map(|rows| Tensor::cat(rows.into_iter().map(|rows| rows.cast(DType::F32)).collect(), 1));
        let zeros = (filling > 0).then(|| Tensor::<2>::zeros([filling, width], (&self.device, DType::F32)));
        let all = self.collective.all_gather(Tensor::cat(own.into_iter().chain(zeros).collect(), 0))?;
        let of_ranks = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let all = match self.counts.iter().all(|&count| count == full) {
            true => all,
            false => Tensor::cat(of_ranks.map(|(rank, &count)| all.clone().narrow(0, rank * full, count)).collect(), 0),
        };
        let mut first = 0;
        let rows = widths.map(|width| {
            first += width;
            all.clone().narrow(1, first - width, width)
        });
        Ok((rows, extra_loss))
    }

    /// Sums gradients with respect to the gathered rows over all ranks. A missing gradient counts as zeros. `rows`
    /// gives the shapes.
    pub(super) fn sum<const N: usize>(
        &self,
        gradients: [Option<Tensor<2>>; N],
        rows: &[Tensor<2>; N],
    ) -> Result<[Option<Tensor<2>>; N], GradientCacheError> {
        if self.counts.len() == 1 {
            return Ok(gradients);
        }
        let widths = rows.each_ref().map(|rows| rows.dims()[1]);
        let all = self.all();
        let parts = gradients.into_iter().zip(widths).map(|(gradient, width)| match gradient {
            Some(gradient) => gradient.cast(DType::F32).reshape([all * width]),
            None => Tensor::zeros([all * width], (&self.device, DType::F32)),
        });
        let sum = self.collective.all_reduce(Tensor::cat(parts.collect(), 0))?;
        let mut first = 0;
        Ok(widths.map(|width| {
            first += all * width;
            Some(sum.clone().narrow(0, first - all * width, all * width).reshape([all, width]))
        }))
    }
}

/// Gathers a row of numbers of each rank.
fn numbers(collective: &dyn Collective, own: Vec<f32>, device: &Device) -> Result<Vec<Vec<f32>>, GradientCacheError> {
    let count = own.len();
    let own = Tensor::<2>::from_data(TensorData::new(own, [1, count]), (device, DType::F32));
    let all = read(collective.all_gather(own)?.reshape([(collective.world_size() * count) as i32]))?;
    Ok(all.chunks(count).map(<[f32]>::to_vec).collect())
}

/// The width of each output, on which all ranks with items must agree.
fn agreed<const N: usize>(told: &[Vec<f32>], counts: &[usize]) -> Result<[usize; N], GradientCacheError> {
    let widths = |rank: usize| -> [usize; N] { std::array::from_fn(|output| told[rank][output] as usize) };
    let mut with_items = (0..counts.len()).filter(|&rank| counts[rank] > 0);
    let expected = widths(with_items.next().ok_or(GradientCacheError::Empty)?);
    match with_items.find(|&rank| widths(rank) != expected) {
        None => Ok(expected),
        Some(rank) => Err(CollectiveError::Disagreement {
            rank,
            got: format!("embeddings of widths {:?}", widths(rank)),
            expected: format!("{expected:?}"),
        })?,
    }
}

/// Reads the values of a tensor.
pub(super) fn read(values: Tensor<1>) -> Result<Vec<f32>, GradientCacheError> {
    values.try_into_vec_as::<f32>().map_err(|error| GradientCacheError::Device(format!("{error:?}")))
}
