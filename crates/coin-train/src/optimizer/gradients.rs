//! Scaling of gradients, and clipping by their global norm.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};

/// Scales all gradients so that their joint Euclidean norm is at most `limit`, as torch's `clip_grad_norm_` does. Returns them
/// with the norm before clipping.
pub fn clip_global_norm<M: Module>(model: &M, gradients: GradientsParams, limit: f64) -> (GradientsParams, f64) {
    let mut norm = SquaredNorm { gradients: &gradients, sums: Vec::new() };
    model.visit(&mut norm);
    let sums = norm.sums;
    let total = match sums.is_empty() {
        true => 0.0,
        false => f64::from(Tensor::cat(sums, 0).sum().into_scalar::<f32>()).sqrt(),
    };
    // torch adds 1e-6 to the norm and never scales up.
    let scale = (limit / (total + 1e-6)).min(1.0);
    (scale_gradients(model, gradients, scale), total)
}

/// Multiplies every gradient by `scale`.
pub(crate) fn scale_gradients<M: Module>(model: &M, gradients: GradientsParams, scale: f64) -> GradientsParams {
    if scale == 1.0 {
        return gradients;
    }
    let mut scaler = Scale { from: gradients, to: GradientsParams::new(), scale };
    model.visit(&mut scaler);
    scaler.to
}

struct SquaredNorm<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push(gradient.cast(DType::F32).square().sum());
        }
    }
}

struct Scale {
    from: GradientsParams,
    to: GradientsParams,
    scale: f64,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.from.remove::<D>(param.id) {
            self.to.register(param.id, gradient * self.scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Two {
        a: Param<Tensor<1>>,
        b: Param<Tensor<2>>,
    }

    #[test]
    fn the_norm_is_over_all_parameters() {
        let device = Device::flex().autodiff();
        let model = Two {
            a: Param::from_tensor(Tensor::from_floats([1.0], &device)),
            b: Param::from_tensor(Tensor::from_floats([[1.0, 1.0]], &device)),
        };
        // The gradients 3 and (4, 0) have the norm 5.
        let weight = Tensor::<2>::from_floats([[4.0, 0.0]], &device);
        let loss = model.a.val() * 3.0 + (model.b.val() * weight).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let (clipped, norm) = clip_global_norm(&model, gradients, 1.0);
        assert!((norm - 5.0).abs() < 1e-6);
        let b = clipped.get::<2>(model.b.id).unwrap().try_into_vec_as::<f32>().unwrap();
        assert!((b[0] - 0.8).abs() < 1e-6);
        let (same, _) = clip_global_norm(&model, clipped, 2.0);
        assert!((same.get::<1>(model.a.id).unwrap().into_scalar::<f32>() - 0.6).abs() < 1e-6);
    }
}
