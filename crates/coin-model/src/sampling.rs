//! Samples a token from logits with temperature, top-k and top-p (nucleus sampling, Holtzman et al. 2020).

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::ModelError;

/// Settings of sampling. Temperature is applied first, then top-k, then top-p, as in transformers.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits; values below 1 sharpen the distribution. Default 1.
    pub temperature: f64,
    /// Number of most probable tokens to keep. Default all.
    pub top_k: Option<usize>,
    /// Keeps the most probable tokens that together reach this probability. Default all.
    pub top_p: Option<f64>,
    /// Seed of the draws. A row's draws depend on the seed, the row's number and the step, not on the other rows of its
    /// batch. Default 0.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 1.0, top_k: None, top_p: None, seed: 0 }
    }
}

impl Sampling {
    /// Checks that every value is in its domain.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] names the value outside its domain.
    pub fn check(&self) -> Result<(), ModelError> {
        let fault = match self {
            Sampling { temperature, .. } if !(*temperature > 0.0 && temperature.is_finite()) => {
                format!("temperature must be positive, got {temperature}; omit sampling to generate greedily")
            }
            Sampling { top_k: Some(0), .. } => "top_k must be at least 1, got 0".to_owned(),
            Sampling { top_p: Some(p), .. } if !(*p > 0.0 && *p <= 1.0) => format!("top_p must be in (0, 1], got {p}"),
            _ => return Ok(()),
        };
        Err(ModelError::Invalid(fault))
    }

    /// Draws a token of row `row` at step `step` from `logits`, one per token id.
    pub(crate) fn draw(&self, logits: &[f32], row: usize, step: usize) -> u32 {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // Most probable first, ties by id.
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        order.truncate(self.top_k.unwrap_or(usize::MAX));
        let largest = f64::from(logits[order[0]]);
        let mut weights: Vec<f64> =
            order.iter().map(|&id| ((f64::from(logits[id]) - largest) / self.temperature).exp()).collect();
        let mut total: f64 = weights.iter().sum();
        if let Some(p) = self.top_p {
            let mut reached = 0.0;
            let within = weights.iter().take_while(|&&weight| {
                let before = reached;
                reached += weight / total;
                before < p
            });
            let kept = within.count();
            weights.truncate(kept);
            total = weights.iter().sum();
        }
        let mut seed = [0u8; 32];
        for (part, value) in seed.chunks_exact_mut(8).zip([self.seed, row as u64, step as u64]) {
            part.copy_from_slice(&value.to_le_bytes());
        }
        let mut left = ChaCha8Rng::from_seed(seed).random::<f64>() * total;
        let place = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        order[place.unwrap_or(weights.len() - 1)] as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(sampling: &Sampling, logits: &[f32]) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for row in 0..4000 {
            counts[sampling.draw(logits, row, 3) as usize] += 1.0 / 4000.0;
        }
        counts
    }

    fn close(a: &[f64], b: [f64; 4]) {
        // Standard error at most 0.008.
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.03), "{a:?} {b:?}");
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [0.4f32.ln(), 0.1f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        let plain = Sampling::default();
        close(&shares(&plain, &logits), [0.4, 0.1, 0.3, 0.2]);
        close(&shares(&Sampling { top_k: Some(2), ..plain.clone() }, &logits), [4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
        // 0.4 + 0.3 reaches 0.65; the token that crosses the limit is kept.
        close(&shares(&Sampling { top_p: Some(0.65), ..plain.clone() }, &logits), [4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
        // Temperature 1/2 squares the probabilities: 16, 1, 9, 4 of 30.
        let sharp = Sampling { temperature: 0.5, ..plain.clone() };
        close(&shares(&sharp, &logits), [16.0 / 30.0, 1.0 / 30.0, 9.0 / 30.0, 4.0 / 30.0]);
        assert_eq!(plain.draw(&logits, 7, 1), plain.draw(&logits, 7, 1));
    }

    #[test]
    fn invalid_values_are_named() {
        for (sampling, name) in [
            (Sampling { temperature: 0.0, ..Sampling::default() }, "temperature"),
            (Sampling { top_k: Some(0), ..Sampling::default() }, "top_k"),
            (Sampling { top_p: Some(1.5), ..Sampling::default() }, "top_p"),
        ] {
            assert!(sampling.check().unwrap_err().to_string().contains(name));
        }
    }
}
