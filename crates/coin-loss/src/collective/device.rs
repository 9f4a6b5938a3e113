//! Ranks on devices for which burn has collectives.

use burn::tensor::distributed::{ReduceOperation, all_reduce};
use burn::tensor::{DType, Device, Tensor};

use super::{Collective, CollectiveError};

/// A rank of burn's own collectives: one thread of the process per device. burn 0.22.1 supports CUDA (through NCCL) and
/// its remote devices. An all-gather is an all-reduce of rows padded with zeros.
///
/// # Panics
/// burn panics in the first call if the devices do not support collectives. The CPU does not; use
/// [`LocalCollective`](super::LocalCollective) there.
#[derive(Debug)]
pub struct DeviceCollective {
    rank: usize,
    devices: Vec<Device>,
}

impl DeviceCollective {
    /// Creates one rank per device, in the order of `devices`. Use each in a separate thread.
    pub fn new(devices: &[Device]) -> Vec<Self> {
        let devices: Vec<Device> = devices.iter().map(|device| device.clone().inner()).collect();
        (0..devices.len()).map(|rank| DeviceCollective { rank, devices: devices.clone() }).collect()
    }
}

impl Collective for DeviceCollective {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.devices.len()
    }

    fn all_gather(&self, rows: Tensor<2>) -> Result<Tensor<2>, CollectiveError> {
        let rows = rows.without_autodiff().cast(DType::F32);
        let [n, d] = rows.dims();
        let own = self.rank * n;
        // Every other rank adds zeros to these rows.
        let among = Tensor::<2>::zeros([self.world_size() * n, d], (&rows.device(), DType::F32));
        let among = among.slice_assign([own..own + n, 0..d], rows);
        Ok(all_reduce(among, ReduceOperation::Sum, self.devices.clone()).resolve())
    }

    fn all_reduce(&self, values: Tensor<1>) -> Result<Tensor<1>, CollectiveError> {
        let values = values.without_autodiff().cast(DType::F32);
        Ok(all_reduce(values, ReduceOperation::Sum, self.devices.clone()).resolve())
    }
}
