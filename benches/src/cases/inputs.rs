//! Input numbers, the same in both languages.

use burn::tensor::{DType, Device, Shape, Tensor, TensorData};

/// Returns `count` pseudorandom numbers between -1 and 1, determined by `seed`.
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32).map(|at| number(at, seed)).collect()
}

/// Creates a tensor of [`numbers`] times `factor`.
pub fn tensor<const D: usize>(shape: [usize; D], seed: u32, factor: f32, device: &Device) -> Tensor<D> {
    let values = numbers(shape.iter().product(), seed).into_iter().map(|value| value * factor).collect();
    Tensor::from_data(TensorData::new(values, Shape::from(shape)), (device, DType::F32))
}

fn number(at: u32, seed: u32) -> f32 {
    let mut mixed = at.wrapping_add(seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
    mixed ^= mixed >> 15;
    mixed = mixed.wrapping_mul(0xc2b2_ae35);
    mixed ^= mixed >> 13;
    // 24 bits are exact in f32.
    (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly() {
        let numbers = numbers(100_000, 1);
        let mean = |of: fn(f32) -> f32| numbers.iter().map(|&x| f64::from(of(x))).sum::<f64>() / 1e5;
        assert!(mean(|x| x).abs() < 0.01);
        assert!((mean(|x| x * x) - 1.0 / 3.0).abs() < 0.01);
        let neighbours = numbers.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>() / 1e5;
        assert!(neighbours.abs() < 0.01);
    }
}
