//! Batches spread over several devices. Each rank holds an equal part, and negatives are gathered across ranks.
//!
//! Every rank evaluates the loss of the whole batch over the gathered rows ([`Batch::all_gather`](crate::Batch::all_gather)),
//! but only its own rows are part of its graph. Summed over ranks, the parameter gradients equal those of a single device
//! that holds the whole batch. Sum them with [`sum_gradients`]; do not average them.
//!
//! - [`SingleProcess`]: a single rank.
//! - [`LocalCollective`]: threads of one process, on any devices.
//! - [`NetworkCollective`]: processes connected by TCP.
//! - [`DeviceCollective`]: burn's own collectives, on the devices that support them.
//!
//! This is a trait because burn 0.22.1 has an all-reduce for CUDA (through NCCL) but not for the CPU, and no all-gather
//! on any device.

mod device;
mod gradients;
mod local;
mod network;

use std::fmt::Debug;

use burn::tensor::{DType, Tensor};

pub use device::DeviceCollective;
pub use gradients::sum_gradients;
pub use local::LocalCollective;
pub use network::{NetworkCollective, NetworkOptions};

/// Operations across ranks. All ranks must make the same calls, in the same order and with the same shapes; a call
/// returns once every rank has made it. Results are outside any graph, on the device of the input.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::collective::{Collective, LocalCollective};
/// let sums: Vec<f32> = std::thread::scope(|scope| {
///     let ranks = LocalCollective::new(2).into_iter().map(|collective| {
///         scope.spawn(move || {
///             let own = Tensor::<1>::from_floats([collective.rank() as f32 + 1.0], &Device::flex());
///             collective.all_reduce(own).map(|sum| sum.into_scalar::<f32>())
///         })
///     });
///     let ranks: Vec<_> = ranks.collect();
///     ranks.into_iter().map(|rank| rank.join().expect("the rank panicked")).collect::<Result<_, _>>()
/// })?;
/// assert_eq!(sums, [3.0, 3.0]);
/// # Ok::<(), coin_loss::collective::CollectiveError>(())
/// ```
pub trait Collective: Debug + Send + Sync {
    /// Index of this rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn world_size(&self) -> usize;

    /// Gathers the rows of all ranks in rank order, `[n, d]` -> `[world_size * n, d]`, f32.
    ///
    /// # Errors
    /// Fails if a rank is gone, cannot be reached, or passed other shapes.
    fn all_gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError>;

    /// Sums over ranks, `[n]` -> `[n]`, f32. The result is bit-identical on every rank and does not depend
    /// on the order in which ranks arrive.
    ///
    /// # Errors
    /// See [`all_gather`](Self::all_gather).
    fn all_reduce(&self, values: Tensor<1>) -> Result<Tensor<1>, CollectiveError> {
        let all = self.all_gather(values.unsqueeze())?;
        let of_rank = |rank: usize| all.clone().narrow(0, rank, 1).squeeze_dim::<1>(0);
        Ok((1..self.world_size()).fold(of_rank(0), |sum, rank| sum + of_rank(rank)))
    }

    /// Like [`all_gather`](Self::all_gather), but keeps this rank's own rows in its graph.
    ///
    /// # Errors
    /// See [`all_gather`](Self::all_gather).
    fn all_gather_with_graph(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        let [n, _] = rows.dims();
        let all = self.all_gather(rows.clone().without_autodiff())?;
        if !rows.is_autodiff() {
            return Ok(all);
        }
        let (before, behind) = (self.rank() * n, (self.world_size() - self.rank() - 1) * n);
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

/// The only rank of a batch on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn world_size(&self) -> usize {
        1
    }

    fn all_gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        Ok(rows.without_autodiff().cast(DType::F32))
    }
}

/// A failure of a collective operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// A rank ended while others waited for it.
    #[error("rank {0} is gone")]
    Gone(usize),
    /// A rank passed a different value or shape than the others.
    #[error("rank {rank} gave {got}, expected {expected}")]
    Disagreement {
        /// The rank.
        rank: usize,
        /// The value or shape that it passed.
        got: String,
        /// The value or shape that the others passed.
        expected: String,
    },
    /// A rank cannot be reached, or listening on the address failed.
    #[error("{what} at {address}: {source}")]
    Network {
        /// The operation that failed.
        what: String,
        /// The address.
        address: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Values could not be read from the device.
    #[error("cannot read values from the device: {0}")]
    Device(String),
    /// The batch has a mask of excluded columns, which each rank knows for its own rows only.
    #[error("a batch with a mask of excluded columns cannot be gathered; use groups instead")]
    Excluded,
    /// A part of a batch that cannot be gathered.
    #[error("a batch with {0} cannot be gathered; add it after gathering")]
    Ungathered(&'static str),
    /// An invalid rank, which is not below the world size. The world size may be 0.
    #[error("rank {rank} of {world_size} ranks does not exist")]
    Rank {
        /// The rank.
        rank: usize,
        /// The world size.
        world_size: usize,
    },
}

impl CollectiveError {
    fn check(rank: usize, world_size: usize) -> Result<(), Self> {
        match rank < world_size {
            true => Ok(()),
            false => Err(CollectiveError::Rank { rank, world_size }),
        }
    }
}
