//! Ranks on devices with collectives of their own.

use burn::tensor::distributed::{ReduceOperation, all_reduce};
use burn::tensor::{DType, Device, Tensor};

use super::{Collective, CollectiveError};

/// A rank of burn's own collectives, which burn 0.22.1 has for CUDA (by NCCL) and for its remote devices: one thread of
/// the process per device. An all-gather is an all-reduce of rows that stand among zeros.
///
/// # Panics
/// burn panics in the first call where the devices have no collectives, as the CPU's have none; use
/// [`LocalCollective`](super::LocalCollective) there.
#[derive(Debug)]
pub struct DeviceCollective {
    rank: usize,
    devices: Vec<Device>,
}

impl DeviceCollective {
    /// The ranks, one for each of `devices` in their order, each for a thread of its own.
    pub fn new(devices: &[Device]) -> Vec<Self> {
        let devices: Vec<Device> = devices.iter().map(|device| device.clone().inner()).collect();
        (0..devices.len()).map(|rank| DeviceCollective { rank, devices: devices.clone() }).collect()
    }
}

impl Collective for DeviceCollective {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.devices.len()
    }

    fn gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        let rows = rows.without_autodiff().cast(DType::F32);
        let [n, d] = rows.dims();
        let own = self.rank * n;
        // Adding zeros changes no row.
        let among = Tensor::<2>::zeros([self.ranks() * n, d], (&rows.device(), DType::F32));
        let among = among.slice_assign([own..own + n, 0..d], rows);
        Ok(all_reduce(among, ReduceOperation::Sum, self.devices.clone()).resolve())
    }

    fn sum(&self, values: Tensor<1>) -> Result<Tensor<1>, CollectiveError> {
        let values = values.without_autodiff().cast(DType::F32);
        Ok(all_reduce(values, ReduceOperation::Sum, self.devices.clone()).resolve())
    }
}
