//! Batches that lie on several devices: ranks hold equal parts, and negatives are gathered across them.
//!
//! Every rank evaluates the loss of the whole batch over gathered rows ([`PairBatch::gathered`](crate::PairBatch)), of
//! which only its own belong to its graph. The gradients of the ranks' parameters then add up, over ranks, to those of a
//! single device that holds the whole batch: sum them with [`Collective::sum`], do not average them.
//!
//! - [`Alone`]: one device, nothing to gather.
//! - [`LocalCollective`]: threads of one process, on any devices.
//! - [`NetworkCollective`]: processes that reach each other by TCP.
//! - [`DeviceCollective`]: burn's own collectives, on the devices that have them.
//!
//! burn 0.22.1 has an all-reduce for CUDA (by NCCL) and none for the CPU, and no all-gather anywhere, which is why this
//! is a trait.

mod device;
mod local;
mod network;

use std::fmt::Debug;

use burn::tensor::{DType, Tensor};

pub use device::DeviceCollective;
pub use local::LocalCollective;
pub use network::{NetworkCollective, NetworkOptions};

/// What a rank does together with the others. A call returns once all ranks have made it, with the same shapes and in
/// the same order; results carry no graph and lie on the device of what was given.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::collective::{Collective, LocalCollective};
/// let sums: Vec<f32> = std::thread::scope(|scope| {
///     let ranks = LocalCollective::new(2).into_iter().map(|collective| {
///         scope.spawn(move || {
///             let own = Tensor::<1>::from_floats([collective.rank() as f32 + 1.0], &Device::flex());
///             collective.sum(own).map(|sum| sum.into_scalar::<f32>())
///         })
///     });
///     let ranks: Vec<_> = ranks.collect();
///     ranks.into_iter().map(|rank| rank.join().expect("the rank panicked")).collect::<Result<_, _>>()
/// })?;
/// assert_eq!(sums, [3.0, 3.0]);
/// # Ok::<(), coin_loss::collective::CollectiveError>(())
/// ```
pub trait Collective: Debug + Send + Sync {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn ranks(&self) -> usize;

    /// The rows of all ranks in the order of ranks, `[n, d]` -> `[ranks * n, d]`, f32.
    ///
    /// # Errors
    /// A rank is gone, cannot be reached, or gave other shapes.
    fn gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError>;

    /// The sum over ranks, `[n]` -> `[n]`, f32; the same on every rank to the bit, whatever the order in which they come.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>, CollectiveError> {
        let all = self.gather(values.unsqueeze())?;
        let of_rank = |rank: usize| all.clone().narrow(0, rank, 1).squeeze_dim::<1>(0);
        Ok((1..self.ranks()).fold(of_rank(0), |sum, rank| sum + of_rank(rank)))
    }

    /// As [`gather`](Self::gather), with the rank's own rows in its graph.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    fn gather_with_graph(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        let [n, _] = rows.dims();
        let all = self.gather(rows.clone().without_autodiff())?;
        if !rows.is_autodiff() {
            return Ok(all);
        }
        let (before, behind) = (self.rank() * n, (self.ranks() - self.rank() - 1) * n);
        let part = |first: usize, count: usize| all.clone().narrow(0, first, count).autodiff();
        let mut parts = Vec::with_capacity(3);
        if before > 0 {
            parts.push(part(0, before));
        }
        parts.push(rows);
        if behind > 0 {
            parts.push(part(before + n, behind));
        }
        Ok(Tensor::cat(parts, 0))
    }
}

/// The one rank of a batch that lies on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        1
    }

    fn gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        Ok(rows.without_autodiff().cast(DType::F32))
    }
}

/// What can go wrong between ranks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// A rank ended while others waited for it.
    #[error("rank {0} is gone")]
    Gone(usize),
    /// A rank gave something else than the others.
    #[error("rank {rank} gave {got}, expected {expected}")]
    Disagreement {
        /// The rank.
        rank: usize,
        /// What it gave.
        got: String,
        /// What the others gave.
        expected: String,
    },
    /// A rank cannot be reached, or the address cannot be listened at.
    #[error("{what} at {address}: {source}")]
    Network {
        /// What was tried.
        what: String,
        /// Where.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Values could not be read from the device.
    #[error("cannot read from the device: {0}")]
    Device(String),
    /// The batch has a mask of excluded columns, which a rank knows for its own rows only.
    #[error("a batch with a mask of excluded columns cannot be gathered; give groups instead")]
    Excluded,
    /// Ranks that cannot be: none, or a rank beyond their number.
    #[error("rank {rank} of {ranks} ranks does not exist")]
    Rank {
        /// The rank.
        rank: usize,
        /// Their number.
        ranks: usize,
    },
}

impl CollectiveError {
    fn check(rank: usize, ranks: usize) -> Result<(), Self> {
        match rank < ranks {
            true => Ok(()),
            false => Err(CollectiveError::Rank { rank, ranks }),
        }
    }
}
