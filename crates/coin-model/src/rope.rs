//! Rotary position embedding (Su et al. 2021) in Hugging Face's layout: a pair takes one value from each half of a head, as
//! in `rotate_half` of transformers. Meta's files interleave the pairs instead.

use std::f64::consts::TAU;

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::config::RopeScaling;
use crate::{LlamaConfig, fused};

/// Cosines and sines of a batch's positions, computed once per batch and used by every layer.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[batch, seq, 1, head_dim]`
    cos: Tensor<4>,
    /// `[batch, seq, 1, head_dim]`, the first half negated
    sin: Tensor<4>,
}

impl Rotary {
    /// Computes the tables. `positions` holds `batch` rows of `seq` positions, in tokens.
    pub fn new(config: &LlamaConfig, positions: &[Vec<usize>], device: &Device) -> Self {
        let half = config.head_dim() / 2;
        let (batch, seq) = (positions.len(), positions.first().map_or(0, Vec::len));
        let frequencies = frequencies(config);
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for &position in positions.iter().flatten() {
            // Computed in f64 and rounded once.
            let angles = frequencies.iter().map(|frequency| position as f64 * frequency);
            cos.extend(angles.clone().chain(angles.clone()).map(|angle| angle.cos() as f32));
            sin.extend(angles.clone().map(|angle| -angle.sin() as f32));
            sin.extend(angles.map(|angle| angle.sin() as f32));
        }
        let table =
            |values| Tensor::from_data(TensorData::new(values, [batch, seq, 1, 2 * half]), (device, DType::F32));
        Rotary { cos: table(cos), sin: table(sin) }
    }

    /// The tables of the last `count` positions.
    pub(crate) fn last(&self, count: usize) -> Self {
        let [_, seq, _, _] = self.cos.dims();
        let last = |table: &Tensor<4>| table.clone().narrow(1, seq - count, count);
        Rotary { cos: last(&self.cos), sin: last(&self.sin) }
    }

    /// Rotates queries or keys, `[batch, seq, heads, head_dim]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        fused::rotate(x, self.cos.clone(), self.sin.clone())
    }
}

/// The rotation of each pair per position, in radians; `head_dim / 2` values.
fn frequencies(config: &LlamaConfig) -> Vec<f64> {
    let width = config.head_dim();
    let plain = (0..width / 2).map(|pair| config.rope_theta.powf(-(2.0 * pair as f64) / width as f64));
    match &config.rope_scaling {
        None => plain.collect(),
        Some(RopeScaling::Linear { factor }) => plain.map(|frequency| frequency / factor).collect(),
        Some(RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings }) => {
            let stretch = |frequency: f64| {
                // The number of turns within the original context.
                let turns = *original_max_position_embeddings as f64 * frequency / TAU;
                let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / factor
            };
            plain.map(stretch).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;

    #[test]
    fn scaling_stretches_long_waves() {
        let with = |rope_scaling| frequencies(&LlamaConfig { head_dim: Some(6), rope_scaling, ..tiny() });
        let plain = with(None);
        let linear = with(Some(RopeScaling::Linear { factor: 4.0 }));
        assert!(plain.iter().zip(&linear).all(|(a, b)| (a / 4.0 - b).abs() < 1e-12));
        let original_max_position_embeddings = 256;
        let llama3 = with(Some(RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings,
        }));
        // 256 tokens hold 40.7 turns of the first wave, 1.89 of the second (between 1 and 4) and 0.09 of the third.
        let kept = (256.0 * plain[1] / TAU - 1.0) / 3.0;
        let expected = [plain[0], plain[1] * (kept + (1.0 - kept) / 8.0), plain[2] / 8.0];
        assert!(llama3.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{llama3:?} {expected:?}");
    }

    #[test]
    fn pairs_take_one_value_from_each_half() {
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
