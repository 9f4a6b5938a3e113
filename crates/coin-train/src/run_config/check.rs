//! Range checks of the keys of a run file.

use crate::config::TrainPreset;
use crate::{RunConfig, TrainError};

/// Maximum number of pairs, steps and epochs. A larger value is a mistake, and products of two must not overflow.
const MOST: usize = 1_000_000_000;

impl RunConfig {
    /// Checks every value. Errors name the configuration `origin`.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the key that is out of range.
    pub fn check(&self, origin: &str) -> Result<(), TrainError> {
        let error = |message: String| Err(TrainError::Config { origin: origin.to_owned(), message });
        let train = &self.train;
        if self.out.as_os_str().is_empty() {
            return error("out must name a folder, got an empty text".to_owned());
        }
        for (key, value) in [("batch_pairs", train.batch_pairs), ("micro_batch_pairs", train.micro_batch_pairs)] {
            if value == 0 || value % 2 == 1 {
                return error(format!("train.{key} must be even (whole couples) and positive, got {value}"));
            }
        }
        if !train.batch_pairs.is_multiple_of(train.micro_batch_pairs) {
            return error(format!(
                "train.batch_pairs ({}) must be a multiple of train.micro_batch_pairs ({})",
                train.batch_pairs, train.micro_batch_pairs
            ));
        }
        if self.data.validation_pairs % 2 == 1 {
            return error(format!("data.validation_pairs must be even, got {}", self.data.validation_pairs));
        }
        if self.data.max_tokens < 8 {
            return error(format!("data.max_tokens must be at least 8, got {}", self.data.max_tokens));
        }
        for (key, value) in [
            ("train.batch_pairs", train.batch_pairs),
            ("train.epochs", train.epochs),
            ("train.steps", train.steps.unwrap_or(1)),
            ("data.validation_pairs", self.data.validation_pairs),
        ] {
            if value > MOST {
                return error(format!("{key} must be at most {MOST}, got {value}"));
            }
        }
        if train.epochs == 0 && train.steps.is_none() || train.steps == Some(0) {
            return error("train.epochs or train.steps must be at least 1".to_owned());
        }
        // Losses and gradients are f32.
        if !is_positive_f32(train.learning_rate) {
            return error(format!("train.learning_rate must be positive and an f32, got {}", train.learning_rate));
        }
        if !(0.0..1.0).contains(&train.warmup_ratio) {
            return error(format!("train.warmup_ratio must be in [0, 1), got {}", train.warmup_ratio));
        }
        if !is_positive_f32(train.max_grad_norm) && train.max_grad_norm != f64::INFINITY {
            return error(format!(
                "train.max_grad_norm must be positive and an f32, or inf, got {}",
                train.max_grad_norm
            ));
        }
        if train.keep_checkpoints == 0 {
            return error("train.keep_checkpoints must be at least 1, got 0".to_owned());
        }
        if let Some(pairs) = self.objective.contrastive_batch {
            let (bound, of) = match train.preset {
                TrainPreset::Paper => {
                    (train.micro_batch_pairs, "micro_batch_pairs, within which preset paper contrasts")
                }
                TrainPreset::Strict => (train.batch_pairs, "batch_pairs"),
            };
            if pairs == 0 || pairs % 2 == 1 || !bound.is_multiple_of(pairs) {
                return error(format!(
                    "objective.contrastive_batch must be even (whole couples) and divide train.{of}: {bound}, got {pairs}"
                ));
            }
        }
        self.template()?;
        self.loss().init()?;
        if let Err(wrong) = self.terms() {
            return error(wrong.to_string());
        }
        if let Some(lora) = &self.lora {
            lora.check()?;
        }
        Ok(())
    }
}

/// True if a value is positive and neither 0 nor infinite in f32, the type of gradients.
fn is_positive_f32(value: f64) -> bool {
    (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&value)
}
