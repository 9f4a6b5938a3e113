//! A user's program that depends on `coin-loss` only: two views of feature vectors, without text or a model.

use burn::tensor::{Device, Distribution, Tensor};
use coin_loss::{InfoNceConfig, LossError};

fn main() -> Result<(), LossError> {
    let device = Device::flex().autodiff();
    let view = Tensor::<2>::random([8, 16], Distribution::Default, &device).require_grad();
    let other = view.clone().detach() + 0.1;
    let output = InfoNceConfig::new().with_temperature(0.1).init()?.forward(view.clone(), other, None);
    let gradients = output.loss.backward();
    println!("{:?} {:?}", output.loss.into_scalar::<f32>(), view.grad(&gradients).map(|gradient| gradient.dims()));
    Ok(())
}
