//! The curve that converts a distance in the plane to a nearness.
//!
//! Nearness in the plane is 1 / (1 + a d^(2b)), which is smooth everywhere. It is fitted by least squares at 300 distances
//! from 0 to 3 to the target curve: 1 up to `min_distance` and exp(-(d - min_distance)) above (section 3.2 and appendix C of
//! McInnes et al. 2018; the grid is the one of umap-learn).

use crate::AnalysisError;

/// The curve 1 / (1 + a d^(2b)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curve {
    pub(super) a: f64,
    pub(super) b: f64,
}

const FARTHEST: f64 = 3.0;
const STEPS: usize = 300;

impl Curve {
    /// Fits the curve for the given minimum distance of points.
    pub(super) fn new(min_distance: f64) -> Result<Self, AnalysisError> {
        if !(0.0..FARTHEST).contains(&min_distance) {
            return Err(AnalysisError::Invalid(format!(
                "min_distance is {min_distance}, expected at least 0 and less than {FARTHEST}"
            )));
        }
        // Levenberg-Marquardt in (ln a, b), which keeps a positive.
        let (mut log_a, mut b, mut damping) = (0.0, 1.0, 1e-3);
        let mut error = squared_error(log_a, b, min_distance);
        for _ in 0..200 {
            let [mut aa, mut ab, mut bb, mut ga, mut gb] = [0.0; 5];
            for (x, wanted) in wanted(min_distance).filter(|(x, _)| *x > 0.0) {
                let power = (log_a + 2.0 * b * x.ln()).exp();
                let value = 1.0 / (1.0 + power);
                let by_a = -power * value * value;
                let by_b = by_a * 2.0 * x.ln();
                let residual = value - wanted;
                aa += by_a * by_a;
                ab += by_a * by_b;
                bb += by_b * by_b;
                ga += by_a * residual;
                gb += by_b * residual;
            }
            let (daa, dbb) = (aa * (1.0 + damping), bb * (1.0 + damping));
            let determinant = daa * dbb - ab * ab;
            let step_a = (-ga * dbb + gb * ab) / determinant;
            let step_b = (-gb * daa + ga * ab) / determinant;
            let next = squared_error(log_a + step_a, b + step_b, min_distance);
            if next < error {
                (log_a, b, error, damping) = (log_a + step_a, b + step_b, next, damping / 10.0);
                if step_a.abs() + step_b.abs() < 1e-12 {
                    break;
                }
            } else {
                damping *= 10.0;
                if damping > 1e12 {
                    break;
                }
            }
        }
        Ok(Curve { a: log_a.exp(), b })
    }
}

/// The distances of the grid, each with its target nearness.
fn wanted(min_distance: f64) -> impl Iterator<Item = (f64, f64)> {
    (0..STEPS).map(move |step| {
        let x = FARTHEST * step as f64 / (STEPS - 1) as f64;
        (x, (-(x - min_distance).max(0.0)).exp())
    })
}

fn squared_error(log_a: f64, b: f64, min_distance: f64) -> f64 {
    let value = |x: f64| if x == 0.0 { 1.0 } else { 1.0 / (1.0 + (log_a + 2.0 * b * x.ln()).exp()) };
    let sum = wanted(min_distance).map(|(x, wanted)| (value(x) - wanted).powi(2)).sum::<f64>();
    if b > 0.0 && sum.is_finite() { sum } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_match_umap_learn() {
        // umap.umap_.find_ab_params(1.0, min_dist) of umap-learn 0.5.12.
        for (min_distance, a, b) in CASES {
            let curve = Curve::new(min_distance).unwrap();
            // scipy stops at relative changes of 1.5e-8.
            assert!((curve.a / a - 1.0).abs() < 1e-5, "{min_distance}: {curve:?}");
            assert!((curve.b / b - 1.0).abs() < 1e-5, "{min_distance}: {curve:?}");
        }
    }

    const CASES: [(f64, f64, f64); 5] = [
        (0.0, 1.93280839734315, 0.7904949732233831),
        (0.01, 1.8956058664339035, 0.8006378442860499),
        (0.1, 1.5769434602697652, 0.8950608778515733),
        (0.5, 0.5830300203414425, 1.3341669924314914),
        (0.99, 0.11930529992407873, 1.9163904168802517),
    ];
}
