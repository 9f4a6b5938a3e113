//! The interface between a search and the model that it attacks.

/// Scores instructions: the lower, the better for the attacker.
///
/// The score is the model's accuracy, or any other number that an attack should lower. A search sees one number per instruction; the
/// scorer chooses the examples and averages over them. A scorer always returns the same finite score for the same text.
///
/// A closure from texts to scores is a scorer.
pub trait Scorer {
    /// The error of scoring; any error type, including `anyhow::Error` and `String`.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>>;

    /// Returns one score per instruction, in their order. The instructions of one call differ, and there is at least one.
    ///
    /// # Errors
    /// The errors of the implementation.
    fn scores(&mut self, instructions: &[String]) -> Result<Vec<f64>, Self::Error>;
}

impl<F, E> Scorer for F
where
    F: FnMut(&[String]) -> Result<Vec<f64>, E>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Error = E;

    fn scores(&mut self, instructions: &[String]) -> Result<Vec<f64>, E> {
        self(instructions)
    }
}
