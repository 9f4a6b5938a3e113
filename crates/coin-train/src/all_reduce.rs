//! Sums of values over the ranks of a data-parallel run.

use burn::tensor::{Device, Tensor};
use coin_loss::collective::Collective;

use crate::TrainError;

/// Sums `values` over all ranks.
pub(crate) fn all_reduce_values<const N: usize>(
    values: [f64; N],
    collective: &dyn Collective,
    device: &Device,
) -> Result<[f64; N], TrainError> {
    if collective.world_size() == 1 {
        return Ok(values);
    }
    let own = Tensor::<1>::from_floats(values.map(|value| value as f32), &device.clone().inner());
    let sum = collective.all_reduce(own)?;
    Ok(std::array::from_fn(|at| f64::from(sum.clone().narrow(0, at, 1).into_scalar::<f32>())))
}
