//! Sums of parameter gradients over ranks.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};

use super::{Collective, CollectiveError};

/// Sums the gradients of a module's parameters over all ranks, in one exchange. A missing gradient counts as zeros, so
/// a rank without items passes `GradientsParams::new()`. The result is f32 and bit-identical on every rank. A single
/// rank gets its gradients back as they are.
///
/// Only parameters that require gradients take part. All ranks must have the same ones.
///
/// # Errors
/// See [`Collective::all_reduce`].
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::optim::GradientsParams;
/// use burn::tensor::{Device, Tensor};
/// use coin_loss::collective::{LocalCollective, sum_gradients, Collective};
/// let device = Device::flex().autodiff();
/// let model = LinearConfig::new(2, 1).init(&device);
/// let sums: Vec<f32> = std::thread::scope(|scope| {
///     let ranks = LocalCollective::new(2).into_iter().map(|collective| {
///         let model = model.clone();
///         scope.spawn(move || {
///             let item = Tensor::<2>::full([1, 2], collective.rank() as f32 + 1.0, &Device::flex().autodiff());
///             let gradients = GradientsParams::from_grads(model.forward(item).sum().backward(), &model);
///             let sum = sum_gradients(&model, gradients, &collective)?;
///             Ok(sum.get::<2>(model.weight.id).map_or(0.0, |sum| sum.max().into_scalar::<f32>()))
///         })
///     });
///     let ranks: Vec<_> = ranks.collect();
///     ranks.into_iter().map(|rank| rank.join().expect("the rank panicked")).collect::<Vec<_>>()
/// }).into_iter().collect::<Result<_, coin_loss::collective::CollectiveError>>()?;
/// assert_eq!(sums, [3.0, 3.0]);
/// # Ok::<(), coin_loss::collective::CollectiveError>(())
/// ```
pub fn sum_gradients<M: Module>(
    module: &M,
    gradients: GradientsParams,
    collective: &dyn Collective,
) -> Result<GradientsParams, CollectiveError> {
    if collective.world_size() == 1 {
        return Ok(gradients);
    }
    let mut flat = Flatten { gradients: &gradients, parts: Vec::new() };
    module.visit(&mut flat);
    if flat.parts.is_empty() {
        return Ok(gradients);
    }
    let sum = collective.all_reduce(Tensor::cat(flat.parts, 0))?;
    let mut unflatten = Unflatten { from: sum, at: 0, to: GradientsParams::new() };
    module.visit(&mut unflatten);
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
