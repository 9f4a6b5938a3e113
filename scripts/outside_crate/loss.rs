//! A user's program that depends on `coin-loss` only: feature vectors and an encoder of its own, without text or a
//! language model.

use std::error::Error;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Tensor};
use coin_loss::{Encoded, GradientCache, InfoNceConfig};

/// Turns a feature vector into an embedding.
#[derive(Module, Debug)]
struct Encoder {
    hidden: Linear,
    output: Linear,
    dropout: Dropout,
}

impl Encoder {
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.dropout.forward(relu(self.hidden.forward(rows))))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    // Two views of 8 items.
    let view = Tensor::<2>::random([8, 16], Distribution::Default, &device);
    let other = view.clone() + 0.1;
    let loss = InfoNceConfig::new().with_temperature(0.1).init()?;

    // A loss of the vectors themselves.
    let leaf = view.clone().require_grad();
    let output = loss.forward(leaf.clone(), other.clone(), None);
    let gradients = output.loss.backward();
    println!("{:?} {:?}", output.loss.into_scalar::<f32>(), leaf.grad(&gradients).map(|gradient| gradient.dims()));

    // Steps of an encoder that sees 2 items at a time.
    let mut model = Encoder {
        hidden: LinearConfig::new(16, 32).init(&device),
        output: LinearConfig::new(32, 8).init(&device),
        dropout: DropoutConfig::new(0.1).init(),
    };
    let mut optimizer = AdamWConfig::new().init();
    for step in 0..5 {
        let cached = GradientCache::new(2, step).gradients(
            &model,
            8,
            |model: &Encoder, part| {
                device.seed(part.key);
                let rows = |of: &Tensor<2>| model.forward(of.clone().narrow(0, part.items.start, part.len()));
                Ok::<_, Box<dyn Error>>(Encoded::new([rows(&view), rows(&other)]))
            },
            |batch| {
                let [view, other] = batch.embeddings;
                let output = loss.forward(view, other, None);
                Ok((output.loss.clone(), output))
            },
        )?;
        println!("step {step}: {:?}", cached.output.loss.into_scalar::<f32>());
        model = optimizer.step(1e-3, model, cached.gradients);
    }
    Ok(())
}
