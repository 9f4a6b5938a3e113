//! Rotary position embedding in Hugging Face's layout: the two halves of a head rotate against each other.
//! (Su et al. 2021; transformers' `rotate_half`. Meta's files interleave the pairs instead.)

use burn::tensor::{Device, Tensor, TensorData};

use crate::LlamaConfig;

/// Cosines and sines of a batch's positions, made once per batch and used by every layer.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[batch, 1, seq, head_dim]`
    cos: Tensor<4>,
    /// `[batch, 1, seq, head_dim]`, the first half negated
    sin: Tensor<4>,
}

impl Rotary {
    /// The tables for one position per token; `positions` holds `batch` rows of `seq` positions, in tokens.
    pub fn new(config: &LlamaConfig, positions: &[Vec<usize>], device: &Device) -> Self {
        let half = config.head_dim() / 2;
        let (batch, seq) = (positions.len(), positions.first().map_or(0, Vec::len));
        let frequencies: Vec<f64> =
            (0..half).map(|i| config.rope_theta.powf(-(2.0 * i as f64) / config.head_dim() as f64)).collect();
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for &position in positions.iter().flatten() {
            // Computed in f64 and rounded once.
            let angles = frequencies.iter().map(|frequency| position as f64 * frequency);
            cos.extend(angles.clone().chain(angles.clone()).map(|angle| angle.cos() as f32));
            sin.extend(angles.clone().map(|angle| -angle.sin() as f32));
            sin.extend(angles.map(|angle| angle.sin() as f32));
        }
        let table = |values| Tensor::from_data(TensorData::new(values, [batch, 1, seq, 2 * half]), device);
        Rotary { cos: table(cos), sin: table(sin) }
    }

    /// Rotates queries or keys, `[batch, heads, seq, head_dim]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let swapped = Tensor::cat(vec![x.clone().narrow(3, half, half), x.clone().narrow(3, 0, half)], 3);
        x * self.cos.clone() + swapped * self.sin.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;

    #[test]
    fn halves_rotate_against_each_other() {
        let device = Device::flex();
        // head_dim 4: frequencies 1 and 0.01; position 2.
        let rotary = Rotary::new(&tiny(), &[vec![2]], &device);
        let x = Tensor::<4>::from_floats([[[[1.0, 2.0, 3.0, 4.0]]]], &device);
        let y = rotary.forward(x).try_into_vec_as::<f32>().unwrap();
        let (c0, s0, c1, s1) = (2f32.cos(), 2f32.sin(), 0.02f32.cos(), 0.02f32.sin());
        let expected = [c0 - 3.0 * s0, 2.0 * c1 - 4.0 * s1, 3.0 * c0 + s0, 4.0 * c1 + 2.0 * s1];
        for (y, expected) in y.iter().zip(expected) {
            assert!((y - expected).abs() < 1e-6);
        }
    }
}
