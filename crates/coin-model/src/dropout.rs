//! Dropout masks keyed by (seed, step, layer, row, position).
//!
//! With a device's global generator, a row's mask would depend on the other rows in its batch. Here a row has the same mask
//! in any batch or micro-batch and with any padding, so a second forward pass over the same rows repeats the first.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use crate::fused::Kept;

/// The key that the dropout masks of a training step are derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The optimizer step.
    pub step: u64,
    /// For each row of the batch, its number within the step's whole effective batch.
    pub rows: Vec<u64>,
}

impl DropoutKey {
    /// The mask of one module as a tensor: 0 where dropped, `1 / (1 - probability)` elsewhere.
    ///
    /// # Shapes
    /// - spans: the positions of each row's tokens
    /// - positions: the positions of the padded batch that the mask covers
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

    /// The dropout mask of one module, `[batch, positions, width]`; padding is always dropped.
    pub(crate) fn kept(
        &self,
        module: u64,
        probability: f64,
        spans: &[Range<usize>],
        positions: Range<usize>,
        width: usize,
    ) -> Kept {
        // 16 bits per value: the probability is exact to 1/65536.
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
            // Two bytes per value, counted from the row's first token; the generator counts in four-byte words.
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
    fn masks_of_the_last_positions_match_the_whole() {
        let key = DropoutKey { seed: 7, step: 3, rows: vec![5, 9] };
        // With an odd width, a row may begin in the middle of one of the generator's words.
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
