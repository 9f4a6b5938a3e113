//! Dynamic loss scaling (Micikevicius et al. 2018). Gradients below 6e-8 vanish in f16, so the loss is multiplied before
//! the backward pass and the gradients are divided after it.

use serde::{Deserialize, Serialize};

/// The factor of the loss. It is halved when gradients overflow and doubled after 2,000 steps without overflow, as in torch's
/// `GradScaler`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// The factor by which the loss is multiplied.
    pub factor: f64,
    /// Number of steps since the factor last changed.
    pub steady: usize,
}

/// Number of steps without overflow after which the factor doubles.
const GROWTH_INTERVAL: usize = 2000;

impl Default for LossScale {
    fn default() -> Self {
        LossScale { factor: 65536.0, steady: 0 }
    }
}

impl LossScale {
    /// Updates the factor after a step. Returns false if it is too small to be halved again.
    pub fn update(&mut self, overflowed: bool) -> bool {
        if overflowed {
            self.factor /= 2.0;
            self.steady = 0;
            return self.factor >= f64::from(f32::MIN_POSITIVE);
        }
        self.steady += 1;
        if self.steady == GROWTH_INTERVAL {
            self.factor *= 2.0;
            self.steady = 0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_halves_on_overflow_and_doubles_after_steady_steps() {
        let mut scale = LossScale::default();
        assert!(scale.update(true));
        assert_eq!(scale.factor, 32768.0);
        for _ in 0..GROWTH_INTERVAL - 1 {
            scale.update(false);
        }
        assert_eq!(scale.factor, 32768.0);
        scale.update(false);
        assert_eq!((scale.factor, scale.steady), (65536.0, 0));
        let mut tiny = LossScale { factor: f64::from(f32::MIN_POSITIVE), steady: 0 };
        assert!(!tiny.update(true));
    }
}
