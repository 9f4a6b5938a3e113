//! How a command fails: 2 for wrong use or input, 1 where the work itself failed, 128 + n where signal n stopped it.

use std::fmt;

/// An error with its exit code.
#[derive(Debug)]
pub enum Failure {
    /// Wrong use, or an input that is absent or damaged.
    Input(anyhow::Error),
    /// The work failed.
    Work(anyhow::Error),
    /// A signal stopped the work before its end.
    Stopped {
        /// The signal's number.
        signal: u8,
        /// What was kept, and how to resume.
        message: String,
    },
}

impl Failure {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Input(_) => 2,
            Failure::Work(_) => 1,
            // As a shell reports a process that the signal killed.
            Failure::Stopped { signal, .. } => 128 + signal,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Failure::Input(error) | Failure::Work(error) => error,
            Failure::Stopped { message, .. } => return f.write_str(message),
        };
        let mut text = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            // The libraries' messages hold their cause already.
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        f.write_str(&text)
    }
}

/// Turns any error into the failure it means.
pub trait OrFail<T> {
    /// Wrong use or input.
    fn input(self) -> Result<T, Failure>;
    /// Failed work.
    fn work(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn input(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Input(error.into()))
    }

    fn work(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Work(error.into()))
    }
}

/// A [`Failure::Input`] with this message.
pub fn bad_input<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Input(anyhow::Error::msg(message.into())))
}
