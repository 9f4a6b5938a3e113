//! A forward and a backward pass.

use burn::tensor::{Device, Tensor};

use super::Work;

/// An operation on `input` with gradients. The gradient of the output is 1 everywhere.
pub struct Pass<const I: usize, const O: usize> {
    /// The first input, which gets a gradient.
    pub input: Tensor<I>,
    /// The operation.
    pub forward: Box<dyn FnMut() -> Tensor<O>>,
    /// The deterministic form of the operation, if `forward` is random.
    pub exact: Option<Box<dyn Fn() -> Tensor<O>>>,
    /// The device.
    pub device: Device,
    /// Output and gradient of the last run.
    pub last: Option<(Tensor<O>, Tensor<I>)>,
}

impl<const I: usize, const O: usize> Pass<I, O> {
    /// Creates a pass with a deterministic `forward`.
    pub fn new(input: Tensor<I>, forward: impl FnMut() -> Tensor<O> + 'static) -> Self {
        let device = input.device();
        Pass { input, forward: Box::new(forward), exact: None, device, last: None }
    }

    fn finish(&self, output: Tensor<O>) -> (Tensor<O>, Tensor<I>) {
        let gradients = output.backward();
        let gradient = self.input.grad(&gradients).expect("the input is tracked");
        self.device.sync().expect("the device computes");
        (output.without_autodiff(), gradient)
    }
}

impl<const I: usize, const O: usize> Work for Pass<I, O> {
    fn run(&mut self) {
        // Otherwise the result of the last run would count toward the memory of this one.
        self.last = None;
        let output = (self.forward)();
        self.last = Some(self.finish(output));
    }

    fn values(&mut self) -> Option<[f64; 2]> {
        let (output, gradient) = match &self.exact {
            Some(exact) => self.finish(exact()),
            None => self.last.clone()?,
        };
        Some([root_mean_square(output), root_mean_square(gradient)])
    }
}

fn root_mean_square<const D: usize>(tensor: Tensor<D>) -> f64 {
    f64::from(tensor.powi_scalar(2).mean().into_scalar::<f32>()).sqrt()
}
