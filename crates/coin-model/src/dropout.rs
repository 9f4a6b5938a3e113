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
    /// - positions: those of the padded batch that the mask is for
    /// - output: `[batch, positions, width]`
    pub(crate) fn mask(
        &self,
        module: u64,
        probability: f64,
        spans: &[Range<usize>],
        positions: Range<usize>,
        width: usize,
        device: &Device,
    ) -> Tensor<3> {
        let count = positions.len();
        let Kept { flags, factor } = self.kept(module, probability, spans, positions, width);
        let values: Vec<f32> = flags.iter().map(|&flag| f32::from(flag) * factor).collect();
        Tensor::from_data(TensorData::new(values, [spans.len(), count, width]), device)
    }

    /// What one module keeps of `[batch, positions, width]` values; at padding it is nothing.
    pub(crate) fn kept(
        &self,
        module: u64,
        probability: f64,
        spans: &[Range<usize>],
        positions: Range<usize>,
        width: usize,
    ) -> Kept {
        // 16 bits a value: the probability is exact to 1/65536.
        let threshold = (probability * 65536.0).round() as u32;
        let factor = (1.0 / (1.0 - probability)) as f32;
        let mut flags = vec![0u8; spans.len() * positions.len() * width];
        let rows = flags.par_chunks_mut((positions.len() * width).max(1)).zip(&self.rows).zip(spans);
        rows.for_each_init(Vec::new, |bytes, ((flags, &row), span)| {
            let wanted = span.start.max(positions.start)..span.end.min(positions.end);
            if wanted.is_empty() {
                return;
            }
            let mut seed = [0u8; 32];
            for (part, value) in seed.chunks_exact_mut(8).zip([self.seed, self.step, module, row]) {
                part.copy_from_slice(&value.to_le_bytes());
            }
            let mut rng = ChaCha8Rng::from_seed(seed);
            // Two bytes a value, from the row's first token on; the generator counts in words of four.
            let skipped = (wanted.start - span.start) * width * 2;
            rng.set_word_pos(skipped as u128 / 4);
            bytes.resize(skipped % 4 + wanted.len() * width * 2, 0);
            rng.fill_bytes(bytes);
            let flags = &mut flags[(wanted.start - positions.start) * width..][..wanted.len() * width];
            for (flag, pair) in flags.iter_mut().zip(bytes[skipped % 4..].chunks_exact(2)) {
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
        let both = key(vec![5, 9]).mask(1, 0.25, &[0..6, 2..6], 0..6, 8, &device);
        let alone = key(vec![9]).mask(1, 0.25, std::slice::from_ref(&(0..4)), 0..5, 8, &device);
        let tail = both.slice([1..2, 2..6, 0..8]);
        let alone = alone.slice([0..1, 0..4, 0..8]);
        assert_eq!(tail.into_data(), alone.into_data());
    }

    #[test]
    fn the_last_positions_are_part_of_the_whole() {
        let key = DropoutKey { seed: 7, step: 3, rows: vec![5, 9] };
        // An odd width: a row may begin within a word of the generator's.
        for width in [5, 8] {
            let mask = |positions| key.mask(1, 0.25, &[0..6, 2..6], positions, width, &Device::flex());
            for first in 0..6 {
                let part = mask(0..6).slice([0..2, first..6, 0..width]);
                assert_eq!(part.into_data(), mask(first..6).into_data(), "from {first} on");
            }
        }
    }

    #[test]
    fn the_share_dropped_is_the_probability() {
        let mask = DropoutKey { seed: 1, step: 0, rows: vec![0] }.mask(
            0,
            0.05,
            std::slice::from_ref(&(0..100)),
            0..100,
            1000,
            &Device::flex(),
        );
        // Mean 1 with a standard error of 0.0007 over 100,000 draws.
        assert!((mask.mean().into_scalar::<f32>() - 1.0).abs() < 0.004);
    }
}
