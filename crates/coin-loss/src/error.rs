//! The error type of this crate.

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// The temperature must be a positive number that f32 can divide by.
    #[error("temperature must be positive, between 1e-20 and 1e20, got {0}")]
    Temperature(f64),
    /// A learnable temperature must not start below its minimum.
    #[error("initial temperature {start} is below the minimum of the learnable temperature, {least}")]
    InitialTemperature {
        /// The initial temperature.
        start: f64,
        /// The minimum.
        least: f64,
    },
    /// The weight of hard negatives must be non-negative and finite.
    #[error("the weight of hard negatives must be non-negative and finite, got {0}")]
    HardNegativeWeight(f64),
    /// A tile must contain at least one row.
    #[error("tile size must be at least 1 row, got 0")]
    Tile,
    /// Tiled evaluation computes the gradient of the reduced loss only.
    #[error("tiled evaluation cannot return unreduced terms: use the mean or sum reduction, or the plain evaluation")]
    TiledRows,
    /// The weight of the contrastive term must be between 0 and 1e15.
    #[error("lambda must be from 0 to 1e15, got {0}")]
    Lambda(f64),
}

impl LossError {
    pub(crate) fn check_temperature(temperature: f64) -> Result<(), LossError> {
        match (1e-20..=1e20).contains(&temperature) {
            true => Ok(()),
            false => Err(LossError::Temperature(temperature)),
        }
    }
}
