//! Two towers, as in CLIP: one encoder for images and one for captions, here for made-up features of both.
//!
//! Shows: symmetric InfoNCE with a learnable temperature; `GradientCache`, so that a batch of 256 pairs needs the activations of 64;
//!          recall@1 of unseen pairs. The program depends on `burn` and `coin-loss` only.
//! Command: `cargo run --release -p coin-loss --example two_towers`
//! Output:  Ends with an error if the loss did not fall or recall did not rise.
//! ```text
//!           loss   recall@1
//! before   7.889       0.8%
//! after    0.469      95.3%
//! temperature 0.070 -> 0.061
//! ```
//! Time:    a second, a development build on two cores shared with other work

use std::error::Error;

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Distribution, Int, Tensor};
use coin_loss::{Encoded, GradientCache, InfoNceConfig};

const IMAGE: usize = 48;
const TEXT: usize = 24;
const ITEMS: usize = 1024;
const UNSEEN: usize = 256;
const BATCH: usize = 256;
const MICRO_BATCH: usize = 64;
const STEPS: usize = 80;

/// An encoder of one kind of input.
#[derive(Module, Debug)]
struct Tower {
    hidden: Linear,
    output: Linear,
    dropout: Dropout,
}

impl Tower {
    fn new(features: usize, device: &Device) -> Self {
        Tower {
            hidden: LinearConfig::new(features, 64).init(device),
            output: LinearConfig::new(64, 16).init(device),
            dropout: DropoutConfig::new(0.1).init(),
        }
    }

    /// `[items, features]` to `[items, 16]`.
    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.dropout.forward(gelu(self.hidden.forward(rows))))
    }
}

/// The features of `count` scenes as an image and as a caption, `[count, IMAGE]` and `[count, TEXT]`: two noisy functions of
/// what the scene shows, of which neither can be computed from the other in closed form.
fn pairs(count: usize, [of_image, of_text]: &[Tensor<2>; 2], device: &Device) -> [Tensor<2>; 2] {
    let normal =
        |shape: [usize; 2], deviation| Tensor::<2>::random(shape, Distribution::Normal(0.0, deviation), device);
    let scene = normal([count, 8], 1.0);
    let view = |weights: &Tensor<2>| scene.clone().matmul(weights.clone()).tanh();
    [view(of_image) + normal([count, IMAGE], 0.2), view(of_text) + normal([count, TEXT], 0.2)]
}

/// The share of images whose own caption is the nearest of all.
fn recall_at_1(towers: &(Tower, Tower), [images, texts]: &[Tensor<2>; 2]) -> f32 {
    let unit = |rows: Tensor<2>| rows.clone() / rows.square().sum_dim(1).sqrt();
    // Without gradients, and without dropout.
    let (image, text) = towers.valid();
    let image = unit(image.forward(images.clone().without_autodiff()));
    let text = unit(text.forward(texts.clone().without_autodiff()));
    let nearest = image.matmul(text.transpose()).argmax(1).squeeze_dim::<1>(1);
    let own = Tensor::<1, Int>::arange(0..UNSEEN as i64, &nearest.device());
    nearest.equal(own).float().mean().into_scalar::<f32>()
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(42);
    let weights = [IMAGE, TEXT].map(|width| Tensor::random([8, width], Distribution::Normal(0.0, 0.5), &device));
    let [images, texts] = pairs(ITEMS, &weights, &device);
    let unseen = pairs(UNSEEN, &weights, &device);

    // Two models are one as a tuple.
    let mut towers = (Tower::new(IMAGE, &device), Tower::new(TEXT, &device));
    // CLIP's initial temperature.
    let mut loss = InfoNceConfig::new().with_temperature(0.07).init_learnable(&device)?;
    let (mut of_towers, mut of_loss) = (AdamWConfig::new().init(), AdamWConfig::new().init());

    let recall_before = recall_at_1(&towers, &unseen);
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let first = step * BATCH % ITEMS;
        let mut cached = GradientCache::new(MICRO_BATCH, step as u64).gradients(
            &towers,
            BATCH,
            |(image, text), part| {
                device.seed(part.key); // the same dropout in both passes
                let rows = |of: &Tensor<2>| of.clone().narrow(0, first + part.items.start, part.len());
                Ok::<_, Box<dyn Error>>(Encoded::new([image.forward(rows(&images)), text.forward(rows(&texts))]))
            },
            |batch| {
                let [image, text] = batch.embeddings;
                let output = loss.forward(image, text, None);
                Ok((output.loss.clone(), output))
            },
        )?;
        losses.push(cached.output.loss.clone().into_scalar::<f32>());
        let of_temperature = cached.loss_gradients(&loss);
        towers = of_towers.step(3e-3, towers, cached.gradients);
        loss = of_loss.step(3e-3, loss, of_temperature).clamped();
    }
    let recall_after = recall_at_1(&towers, &unseen);

    let (loss_before, loss_after) = (losses[0], losses[STEPS - 1]);
    println!("          loss   recall@1");
    println!("before  {loss_before:6.3}     {:5.1}%", 100.0 * recall_before);
    println!("after   {loss_after:6.3}     {:5.1}%", 100.0 * recall_after);
    println!("temperature 0.070 -> {:.3}", loss.temperature(&device).into_scalar::<f32>());
    if loss_after > loss_before / 2.0 || recall_after < recall_before + 0.5 {
        return Err("the towers did not learn".into());
    }
    Ok(())
}
