//! Sums over the ranks of a data-parallel run.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
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

/// Sums the gradients over all ranks. Missing gradients count as zeros.
pub(crate) fn all_reduce_gradients<M: Module>(
    model: &M,
    gradients: GradientsParams,
    collective: &dyn Collective,
) -> Result<GradientsParams, TrainError> {
    if collective.world_size() == 1 {
        return Ok(gradients);
    }
    let mut flat = Flatten { gradients: &gradients, parts: Vec::new() };
    model.visit(&mut flat);
    let sum = collective.all_reduce(Tensor::cat(flat.parts, 0))?;
    let mut unflatten = Unflatten { from: sum, at: 0, to: GradientsParams::new() };
    model.visit(&mut unflatten);
    Ok(unflatten.to)
}

/// Collects the gradients of all trained parameters for concatenation.
struct Flatten<'a> {
    gradients: &'a GradientsParams,
    parts: Vec<Tensor<1>>,
}

impl ModuleVisitor for Flatten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let count = param.lazy_shape().num_elements();
        self.parts.push(match self.gradients.get::<D>(param.id) {
            Some(gradient) => gradient.cast(DType::F32).reshape([count as i32]),
            None => Tensor::zeros([count], (&param.val().device().inner(), DType::F32)),
        });
    }
}

/// Splits a concatenated vector into the gradients of the parameters.
struct Unflatten {
    from: Tensor<1>,
    at: usize,
    to: GradientsParams,
}

impl ModuleVisitor for Unflatten {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let shape = param.lazy_shape();
        let count = shape.num_elements();
        self.to.register(param.id, self.from.clone().narrow(0, self.at, count).reshape::<D, _>(shape));
        self.at += count;
    }
}
