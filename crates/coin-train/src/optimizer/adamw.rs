//! AdamW (Loshchilov and Hutter 2019) with the constants that torch uses.
//!
//! burn's AdamW keeps the betas and computes the bias corrections in f32, which makes every update 2e-6 to 7e-6 too small
//! from the second step on. Here the constants are f64, as in `torch.optim.AdamW`. The moments are f32 tensors.

use burn::optim::{AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};

/// AdamW with torch's betas, 0.9 and 0.999, and epsilon, 1e-8, but without weight decay, as in the released program.
#[derive(Debug, Clone)]
pub struct AdamW {
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        AdamW { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 }
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdaptiveMomentumState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let AdaptiveMomentumState { time, moment_1, moment_2, .. } =
            state.unwrap_or_else(|| AdaptiveMomentumState::new(0, grad.zeros_like(), grad.zeros_like()));
        let time = time + 1;
        // torch: lerp(m, g, 1 - beta_1), and v beta_2 + g g (1 - beta_2).
        let moment_1 = moment_1.clone() + (grad.clone() - moment_1) * (1.0 - self.beta_1);
        let moment_2 = moment_2 * self.beta_2 + grad.square() * (1.0 - self.beta_2);
        let correction_1 = 1.0 - self.beta_1.powf(time as f64);
        let correction_2 = 1.0 - self.beta_2.powf(time as f64);
        let denominator = moment_2.clone().sqrt() / correction_2.sqrt() + self.epsilon;
        let updated = tensor - moment_1.clone() / denominator * (lr / correction_1);
        (updated, Some(AdaptiveMomentumState::new(time, moment_1, moment_2)))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        let (moment_1, moment_2) = (state.moment_1.to_device(device), state.moment_2.to_device(device));
        AdaptiveMomentumState::new(state.time, moment_1, moment_2)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn updates_are_torchs() {
        let device = Device::flex();
        let (mut value, mut moments) = ([1.0f64, -2.0], [[0.0f64; 2]; 2]);
        let mut tensor = Tensor::<1>::from_floats([1.0, -2.0], &device);
        let mut state = None;
        for (step, gradient) in [[0.1, -3.0], [0.2, 1e-6], [-0.4, 2.0]].into_iter().enumerate() {
            let grad = Tensor::<1>::from_floats(gradient, &device);
            (tensor, state) = AdamW::default().step(0.01, tensor, grad, state);
            // The formulas of torch's documentation, in f64.
            let time = step as i32 + 1;
            for (at, gradient) in gradient.into_iter().enumerate() {
                moments[0][at] = 0.9 * moments[0][at] + 0.1 * gradient;
                moments[1][at] = 0.999 * moments[1][at] + 0.001 * gradient * gradient;
                let mean = moments[0][at] / (1.0 - 0.9f64.powi(time));
                let square = moments[1][at] / (1.0 - 0.999f64.powi(time));
                value[at] -= 0.01 * mean / (square.sqrt() + 1e-8);
            }
        }
        let ours = tensor.try_into_vec_as::<f32>().unwrap();
        for (ours, theirs) in ours.iter().zip(value) {
            assert!((f64::from(*ours) - theirs).abs() < 3e-7, "{ours} {theirs}");
        }
        assert_eq!(state.unwrap().time, 3);
    }
}
