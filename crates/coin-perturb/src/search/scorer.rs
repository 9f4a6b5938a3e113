//! What a search asks of the model it attacks.

/// Scores instructions: the lower, the better for the attacker.
///
/// The score is the model's accuracy, or any other number that an attack should bring down. Which examples it is taken over,
/// and that it is averaged over them, is the scorer's own affair: a search sees one number for an instruction. A scorer gives
/// the same text the same finite score.
///
/// A closure from texts to scores is a scorer.
pub trait Scorer {
    /// How scoring fails; any error type, `anyhow::Error` and `String` among them.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>>;

    /// One score for each of `instructions`, in their order. The instructions of one call are different and not empty in
    /// number.
    ///
    /// # Errors
    /// Whatever the scorer says.
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
