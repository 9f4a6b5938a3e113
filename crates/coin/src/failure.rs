//! How a command fails: 2 for wrong use or input, 1 where the work itself failed, 128 + n where signal n stopped it.

use std::fmt;

use coin::core::CoreError;
use coin::core::quote::printable;

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
        let text = match self {
            Failure::Input(error) | Failure::Work(error) => {
                let mut text = error.to_string();
                for cause in error.chain().skip(1).map(ToString::to_string) {
                    // The libraries' messages hold their cause already.
                    if !text.contains(&cause) {
                        text = format!("{text}: {cause}");
                    }
                }
                text
            }
            Failure::Stopped { message, .. } => message.clone(),
        };
        // Names of files and words of a server may hold what a terminal obeys.
        f.write_str(&printable(&text))
    }
}

/// Turns any error into the failure it means.
pub trait OrFail<T> {
    /// Wrong use or input.
    fn input(self) -> Result<T, Failure>;
    /// Failed work; wrong use where the error is that a folder may not be written to.
    fn work(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn input(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::Input(error.into()))
    }

    fn work(self) -> Result<T, Failure> {
        self.map_err(|error| {
            let error = error.into();
            match error.chain().any(|cause| cause.downcast_ref().is_some_and(is_refusal)) {
                true => Failure::Input(error),
                false => Failure::Work(error),
            }
        })
    }
}

/// Whether `error` says that a folder is not to be written to.
fn is_refusal(error: &CoreError) -> bool {
    matches!(error, CoreError::ForeignFolder { .. } | CoreError::Locked { .. } | CoreError::NotEmpty { .. })
}

/// A [`Failure::Input`] with this message.
pub fn bad_input<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Input(anyhow::Error::msg(message.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let error = anyhow::anyhow!("b\u{1b}]0;x\u{7}\nc").context("a\r");
        assert_eq!(Failure::Input(error).to_string(), "a\\r: b\\u{1b}]0;x\\u{7}\nc");
    }

    #[test]
    fn a_folder_that_may_not_be_written_to_is_wrong_use_wherever_it_is_found() {
        let locked = || CoreError::Locked { path: "out".into() };
        assert_eq!(Err::<(), _>(locked()).work().unwrap_err().code(), 2);
        let wrapped = anyhow::Error::new(locked()).context("--out out");
        assert_eq!(Err::<(), _>(wrapped).work().unwrap_err().code(), 2);
        let full = CoreError::io("out")(std::io::ErrorKind::StorageFull.into());
        assert_eq!(Err::<(), _>(full).work().unwrap_err().code(), 1);
    }
}
