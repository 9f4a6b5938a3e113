//! The contrastive loss on plain vectors: two noisy views of each item, without text or a language model.
//!
//! Shows: a small encoder learns to find an item's other view among 256. Minimizing InfoNCE yields alignment (the views of an
//!          item are close) and uniformity (items cover the sphere). A separate program needs only `burn` and `coin-loss`,
//!          which is `coin::loss` here.
//! Command: `cargo run --release -p coin-examples --example contrastive_loss`
//! Output:  Items are new in every step, so `found` is measured on unseen items.
//! ```text
//! step   InfoNCE   found   alignment   uniformity
//!    0     8.150    0.4%       1.650       -2.853
//!   50     1.375   94.5%       0.069       -2.797
//!  100     1.274   98.4%       0.039       -2.834
//!  150     1.315   96.9%       0.035       -2.813
//!  200     1.278   98.4%       0.030       -2.819
//!  250     1.276   98.0%       0.030       -2.819
//!  300     1.266   98.8%       0.027       -2.810
//! ```
//! Time:    2 s, 12 MB: measured on two cores shared with other work, a development build; a release build is faster.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Tensor, TensorData};
use coin::core::stream;
use coin::loss::{InfoNceConfig, alignment, uniformity};
use rand::Rng;

/// Number of features that define an item, and number of features that differ between its views.
const MEANING: usize = 6;
const NUISANCE: usize = 26;
const BATCH: usize = 256;
const STEPS: usize = 300;

#[derive(Module, Debug)]
struct Encoder {
    first: Linear,
    second: Linear,
}

impl Encoder {
    /// `[items, features]` to `[items, 16]`.
    fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.second.forward(tanh(self.first.forward(features)))
    }
}

/// Two views of the same items, `[items, features]` each: weak meaning features, shared, and strong nuisance features,
/// drawn for each view.
fn views(step: usize, device: &Device) -> [Tensor<2>; 2] {
    let mut rng = stream::keyed(42, &["views", &step.to_string()]);
    let items: Vec<[f32; MEANING]> = (0..BATCH).map(|_| std::array::from_fn(|_| rng.random_range(-1.0..1.0))).collect();
    let mut view = || {
        let mut values = Vec::new();
        for meaning in &items {
            values.extend(meaning.map(|value| value + rng.random_range(-0.1..0.1f32)));
            values.extend((0..NUISANCE).map(|_| rng.random_range(-2.0..2.0f32)));
        }
        Tensor::from_data(TensorData::new(values, [BATCH, MEANING + NUISANCE]), device)
    };
    [view(), view()]
}

fn main() -> anyhow::Result<()> {
    let device = Device::flex().autodiff();
    device.seed(42);
    let mut encoder = Encoder {
        first: LinearConfig::new(MEANING + NUISANCE, 64).init(&device),
        second: LinearConfig::new(64, 16).init(&device),
    };
    let loss = InfoNceConfig::new().with_temperature(0.1).init()?;
    let mut optimizer = AdamWConfig::new().init();
    println!("step   InfoNCE   found   alignment   uniformity");
    for step in 0..=STEPS {
        let [anchor, positive] = views(step, &device).map(|view| encoder.forward(view));
        let output = loss.forward(anchor.clone(), positive.clone(), None);
        if step % 50 == 0 {
            let align = alignment(anchor.clone(), positive, 2.0).into_scalar::<f32>();
            let uniform = uniformity(anchor, 2.0).into_scalar::<f32>();
            let (nats, found) = (output.loss.clone().into_scalar::<f32>(), output.accuracy.into_scalar::<f32>());
            println!("{step:4}   {nats:7.3}   {:4.1}%   {align:9.3}   {uniform:10.3}", 100.0 * found);
        }
        let gradients = GradientsParams::from_grads(output.loss.backward(), &encoder);
        encoder = optimizer.step(3e-3, encoder, gradients);
    }
    Ok(())
}
