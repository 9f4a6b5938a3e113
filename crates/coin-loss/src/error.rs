//! The error type of this crate.

/// An invalid setting, or a batch that a loss cannot use.
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
    /// A setting is out of range.
    #[error("{setting} is {got}, expected {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        got: String,
        /// The range.
        expected: &'static str,
    },
    /// A tile must contain at least one row.
    #[error("tile size must be at least 1 row, got 0")]
    Tile,
    /// Tiled evaluation computes the gradient of the reduced loss only.
    #[error("tiled evaluation cannot return unreduced terms: use the mean or sum reduction, or the plain evaluation")]
    TiledRows,
    /// The weight of the contrastive term must be between 0 and 1e15.
    #[error("lambda must be from 0 to 1e15, got {0}")]
    Lambda(f64),
    /// An argument has the wrong shape.
    #[error("{argument} of shape {got:?}: expected {expected}")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The shape that it must have.
        expected: String,
    },
    /// The batch has no rows.
    #[error("the batch is empty: {argument} has shape {got:?}, expected at least one row and one feature")]
    Empty {
        /// The argument.
        argument: &'static str,
        /// Its shape.
        got: Vec<usize>,
    },
    /// The batch has no argument that the loss needs.
    #[error("{loss} needs {argument}: add it with `{method}`")]
    Missing {
        /// The loss.
        loss: &'static str,
        /// The argument.
        argument: &'static str,
        /// The method that adds it.
        method: &'static str,
    },
    /// The batch has an argument that the loss would ignore.
    #[error("{loss} does not use {argument}: remove it, or choose a loss that does")]
    Unused {
        /// The loss.
        loss: &'static str,
        /// The argument.
        argument: &'static str,
    },
    /// A row has a value that is not finite.
    #[error("row {row} of {argument} has a value that is not finite")]
    NotFinite {
        /// The argument.
        argument: &'static str,
        /// The row, from 0.
        row: usize,
    },
    /// A row is zero, so it has no direction and its cosine is undefined.
    #[error("row {row} of {argument} is zero, so its cosine is undefined")]
    ZeroRow {
        /// The argument.
        argument: &'static str,
        /// The row, from 0.
        row: usize,
    },
}

impl LossError {
    pub(crate) fn check_temperature(temperature: f64) -> Result<(), LossError> {
        match (1e-20..=1e20).contains(&temperature) {
            true => Ok(()),
            false => Err(LossError::Temperature(temperature)),
        }
    }

    /// Checks that a setting is finite and at least `least`.
    pub(crate) fn check_at_least(
        setting: &'static str,
        value: f64,
        least: f64,
        expected: &'static str,
    ) -> Result<(), LossError> {
        match value.is_finite() && value >= least {
            true => Ok(()),
            false => Err(LossError::Setting { setting, got: value.to_string(), expected }),
        }
    }
}
