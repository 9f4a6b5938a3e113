//! Dropout masks of our own, keyed by (seed, step, layer, row, position).
//!
//! A device's global generator would make a row's mask depend on which rows share its batch. Here the mask of a row is
//! the same in any batch, micro-batch and padding, so that a second forward pass over the same rows repeats the first.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use crate::fused::Kept;

/// What a training step's masks are drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The optimiser step.
    pub step: u64,
    /// A number per row of the batch that names the row within the step's whole effective batch.
    pub rows: Vec<u64>,
}

impl DropoutKey {
    /// The mask of one module as a tensor: 0 where dropped, `1 / (1 - probability)` elsewhere.
    ///
    /// # Shapes
    /// - spans: where each row's tokens stand
    /// - output: `[batch, seq, width]`
    pub(crate) fn mask(
        &self,
        module: u64,
        probability: f64,
        spans: &[Range<usize>],
        seq: usize,
        width: usize,
        device: &Device,
    ) -> Tensor<3> {
        let Kept { flags, factor } = self.kept(module, probability, spans, seq, width);
        let values: Vec<f32> = flags.iter().map(|&flag| f32::from(flag) * factor).collect();
        Tensor::from_data(TensorData::new(values, [spans.len(), seq, width]), device)
    }

    /// What one module keeps of `[batch, seq, width]` values; at padding it is nothing.
    pub(crate) fn kept(&self, module: u64, probability: f64, spans: &[Range<usize>], seq: usize, width: usize) -> Kept {
        // 16 bits a value: the probability is exact to 1/65536.
        let threshold = (probability * 65536.0).round() as u32;
        let factor = (1.0 / (1.0 - probability)) as f32;
        let mut flags = vec![0u8; spans.len() * seq * width];
        let rows = flags.par_chunks_mut((seq * width).max(1)).zip(&self.rows).zip(spans);
        rows.for_each_init(Vec::new, |bytes, ((flags, &row), span)| {
            let mut seed = [0u8; 32];
            for (part, value) in seed.chunks_exact_mut(8).zip([self.seed, self.step, module, row]) {
                part.copy_from_slice(&value.to_le_bytes());
            }
            bytes.resize(span.len() * width * 2, 0);
            ChaCha8Rng::from_seed(seed).fill_bytes(bytes);
            let flags = &mut flags[span.start * width..span.end * width];
            for (flag, pair) in flags.iter_mut().zip(bytes.chunks_exact(2)) {
                *flag = u8::from(u32::from(u16::from_le_bytes([pair[0], pair[1]])) >= threshold);
            }
        });
        Kept { flags: Arc::new(flags), factor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_mask_in_any_batch() {
        let device = Device::flex();
        let key = |rows: Vec<u64>| DropoutKey { seed: 7, step: 3, rows };
        let both = key(vec![5, 9]).mask(1, 0.25, &[0..6, 2..6], 6, 8, &device);
        let alone = key(vec![9]).mask(1, 0.25, std::slice::from_ref(&(0..4)), 5, 8, &device);
        let tail = both.slice([1..2, 2..6, 0..8]);
        let alone = alone.slice([0..1, 0..4, 0..8]);
        assert_eq!(tail.into_data(), alone.into_data());
    }

    #[test]
    fn the_share_dropped_is_the_probability() {
        let mask = DropoutKey { seed: 1, step: 0, rows: vec![0] }.mask(
            0,
            0.05,
            std::slice::from_ref(&(0..100)),
            100,
            1000,
            &Device::flex(),
        );
        // Mean 1 with a standard error of 0.0007 over 100,000 draws.
        assert!((mask.mean().into_scalar::<f32>() - 1.0).abs() < 0.004);
    }
}
