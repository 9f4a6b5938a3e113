//! Loops over f32 slices, with rows divided among the cores. Results do not depend on the number of cores.

use pulp::Arch;

use super::exp::exp;
use super::outputs::{Blocks, filled};

/// Values in one core's share of the work; a smaller share is not worth the overhead.
const SHARE: usize = 16 * 1024;
/// Lanes of a sum. Fixed on every machine, so that sums do not depend on the machine's vector width.
const LANES: usize = 16;

/// Returns a vector of rows. `f` is called in parallel with the index of the first row of a block and the block, filled with
/// zeros.
pub(super) fn by_rows(len: usize, width: usize, f: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let [out] = by_rows_of([len], width, |row, [out]| f(row, out));
    out
}

/// As [`by_rows`], with several vectors whose rows have the same width.
pub(super) fn by_rows_of<const N: usize>(
    lens: [usize; N],
    width: usize,
    f: impl Fn(usize, [&mut [f32]; N]) + Sync,
) -> [Vec<f32>; N] {
    let rows = (SHARE / width.max(1)).max(1);
    let arch = Arch::new();
    let outputs = lens.map(|len| Blocks { len, block: rows * width });
    filled(outputs, || (), |(), block, out| arch.dispatch(|| f(block * rows, out)))
}

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            // The comparison is false if either side is NaN, so a NaN in the chunk is kept.
            lanes[lane] = if lanes[lane] > chunk[lane] { lanes[lane] } else { chunk[lane] };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |most, &value| if most > value { most } else { value })
}

/// `1 / sqrt(mean(x^2) + epsilon)` for a row.
#[inline(always)]
pub(super) fn inverse_root_mean_square(x: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt()
}

/// One row of RMSNorm.
#[inline(always)]
pub(super) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32]) {
    let inverse = inverse_root_mean_square(x, epsilon);
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        *y = x * inverse * weight;
    }
}

/// The gradient of one row of RMSNorm with respect to its input: with g = grad * weight and s the inverse root,
/// `s g - s^3 x (x . g) / width`.
#[inline(always)]
pub(super) fn rms_norm_backward(x: &[f32], weight: &[f32], grad: &[f32], epsilon: f32, dx: &mut [f32]) {
    let inverse = inverse_root_mean_square(x, epsilon);
    for ((dx, grad), weight) in dx.iter_mut().zip(grad).zip(weight) {
        *dx = grad * weight;
    }
    let along = inverse * inverse * inverse * dot(x, dx) / x.len() as f32;
    for (dx, x) in dx.iter_mut().zip(x) {
        *dx = *dx * inverse - x * along;
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `silu(gate) * up`.
#[inline(always)]
pub(super) fn swiglu(gate: &[f32], up: &[f32], y: &mut [f32]) {
    for ((y, &gate), up) in y.iter_mut().zip(gate).zip(up) {
        *y = gate * sigmoid(gate) * up;
    }
}

/// The gradients of `silu(gate) * up` with respect to `gate` and `up`.
#[inline(always)]
pub(super) fn swiglu_backward(gate: &[f32], up: &[f32], grad: &[f32], dgate: &mut [f32], dup: &mut [f32]) {
    for at in 0..gate.len().min(up.len()).min(grad.len()).min(dgate.len()).min(dup.len()) {
        let sigmoid = sigmoid(gate[at]);
        let silu = gate[at] * sigmoid;
        dup[at] = grad[at] * silu;
        dgate[at] = grad[at] * up[at] * (sigmoid + silu * (1.0 - sigmoid));
    }
}

/// Rotates the row of one head; `inverse` rotates back, which computes the gradient.
#[inline(always)]
pub(super) fn rotate(x: &[f32], cos: &[f32], sin: &[f32], inverse: bool, y: &mut [f32]) {
    let half = x.len() / 2;
    let sign = if inverse { -1.0 } else { 1.0 };
    let (x_low, x_high) = x.split_at(half);
    let (y_low, y_high) = y.split_at_mut(half);
    // The first half of the sine table is already negated.
    for at in 0..half {
        y_low[at] = x_low[at] * cos[at] + sign * (x_high[at] * sin[at]);
        y_high[at] = x_high[at] * cos[half + at] + sign * (x_low[at] * sin[half + at]);
    }
}

/// Adds the bias to a row of scores and replaces the row with its softmax.
#[inline(always)]
pub(super) fn softmax(scores: &mut [f32], bias: &[f32]) {
    for (score, bias) in scores.iter_mut().zip(bias) {
        *score += bias;
    }
    let most = largest(scores);
    for score in scores.iter_mut() {
        *score = exp(*score - most);
    }
    let inverse = 1.0 / sum(scores);
    for score in scores.iter_mut() {
        *score *= inverse;
    }
}

/// Replaces the gradients of a row of softmax outputs with the gradients of the inputs, times `scale`.
#[inline(always)]
pub(super) fn softmax_backward(weights: &[f32], gradient: &mut [f32], scale: f32) {
    let mean = dot(weights, gradient);
    for (gradient, weight) in gradient.iter_mut().zip(weights) {
        *gradient = weight * (*gradient - mean) * scale;
    }
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += chunk[lane];
        }
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The logarithm of the sum of a row's exponentials.
#[inline(always)]
pub(super) fn log_sum_exp(row: &[f32]) -> f32 {
    let most = largest(row);
    let mut sums = [0f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += exp(chunk[lane] - most);
        }
    }
    let rest: f32 = rest.iter().map(|&value| exp(value - most)).sum();
    most + (sums.iter().sum::<f32>() + rest).ln()
}

/// `grad * softmax(row)`: the gradient of a row's cross entropy before `grad` is subtracted at the target.
#[inline(always)]
pub(super) fn scaled_softmax(row: &[f32], log_sum_exp: f32, grad: f32, out: &mut [f32]) {
    for (out, &value) in out.iter_mut().zip(row) {
        *out = grad * exp(value - log_sum_exp);
    }
}

/// `y = x * factor` where x is kept, and 0 elsewhere.
#[inline(always)]
pub(super) fn keep(x: &[f32], flags: &[u8], factor: f32, y: &mut [f32]) {
    for ((y, x), &flag) in y.iter_mut().zip(x).zip(flags) {
        *y = x * (f32::from(flag) * factor);
    }
}
