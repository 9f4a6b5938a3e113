//! The exponential function in a form that the compiler can vectorize.

/// `e^x` to within 2 units in the last place; 0 below -87.3, infinite above 88.722, where it exceeds the range of f32.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 is split in two parts, so that r does not lose precision.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
    const SHIFT: f32 = 12_582_912.0;
    // The largest argument whose exponential fits in an f32.
    const HIGHEST: f32 = 88.722_83;
    let bounded = x.clamp(-87.3, HIGHEST);
    let shifted = bounded * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = bounded - n * HIGH - n * LOW;
    // Minimax polynomial of (e^r - 1 - r) / r^2, coefficients of Cephes' expf (Moshier 1989).
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let of_r = p * r * r + r + 1.0;
    // n is 128 from x = 88.4, and 2^128 does not fit in an f32. Above 88, use half the power and twice the polynomial.
    let (of_r, bias) = if x > 88.0 { (of_r * 2.0, 126) } else { (of_r, 127) };
    let power = f32::from_bits((shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(bias)) << 23);
    let value = of_r * power;
    // Comparisons with NaN are false, so NaN passes through.
    let value = if x < -87.3 { 0.0 } else { value };
    if x > HIGHEST { f32::INFINITY } else { value }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn is_the_exponential_function() {
        for step in -87_000..88_000 {
            let x = step as f32 * 1e-3;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) / expected - 1.0).abs();
            assert!(error < 2.0 * f64::from(f32::EPSILON), "{x}: {error}");
        }
        // Every f32 up to the last one before overflow.
        let highest = 88.722_83_f32;
        assert!(
            f64::from(highest).exp() <= f64::from(f32::MAX) && f64::from(highest.next_up()).exp() > f64::from(f32::MAX)
        );
        for bits in 88.0_f32.to_bits()..=highest.to_bits() {
            let x = f32::from_bits(bits);
            let error = (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs();
            assert!(error < 2.0 * f64::from(f32::EPSILON), "{x}: {error}");
        }
        for bits in highest.next_up().to_bits()..=89.0_f32.to_bits() {
            assert_eq!(exp(f32::from_bits(bits)), f32::INFINITY);
        }
        assert_eq!([exp(0.0), exp(-1e9), exp(f32::NEG_INFINITY), exp(1e9)], [1.0, 0.0, 0.0, f32::INFINITY]);
        assert!(exp(f32::NAN).is_nan());
    }
}
