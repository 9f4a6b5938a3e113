//! The failure of a command and its exit code: 2 for wrong use or input, 1 if the work failed, 128 + n if signal n stopped it.

use std::fmt;

use coin::core::CoreError;
use coin::core::quote::printable;

/// An error with its exit code.
#[derive(Debug)]
pub enum Failure {
    /// Wrong use, or a missing or damaged input.
    Input(anyhow::Error),
    /// The work failed.
    Work(anyhow::Error),
    /// A signal stopped the work before its end.
    Stopped {
        /// The signal's number.
        signal: u8,
        /// The message: the kept results, and how to resume.
        message: String,
    },
}

impl Failure {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Input(_) => 2,
            Failure::Work(_) => 1,
            // The code that a shell reports for a process killed by the signal.
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
                    // The libraries' messages already contain their cause.
                    if !text.contains(&cause) {
                        text = format!("{text}: {cause}");
                    }
                }
                text
            }
            Failure::Stopped { message, .. } => message.clone(),
        };
        // File names and messages of servers may contain terminal control sequences.
        f.write_str(&printable(&text))
    }
}

/// Converts any error to a [`Failure`].
pub trait OrFail<T> {
    /// The failure is wrong use or input.
    fn input(self) -> Result<T, Failure>;
    /// The failure is failed work, or wrong use if the error is a refusal to write to a folder.
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

/// True if `error` is a refusal to write to a folder.
fn is_refusal(error: &CoreError) -> bool {
    matches!(error, CoreError::ForeignFolder { .. } | CoreError::Locked { .. } | CoreError::NotEmpty { .. })
}

/// Returns a [`Failure::Input`] with this message.
pub fn bad_input<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Input(anyhow::Error::msg(message.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let error = anyhow::anyhow!("b\u{1b}]0;x\u{7}\nc").context("a\r");
        assert_eq!(Failure::Input(error).to_string(), "a\\r: b\\u{1b}]0;x\\u{7}\nc");
    }

    #[test]
    fn a_refusal_to_write_to_a_folder_is_wrong_use() {
        let locked = || CoreError::Locked { path: "out".into() };
        assert_eq!(Err::<(), _>(locked()).work().unwrap_err().code(), 2);
        let wrapped = anyhow::Error::new(locked()).context("--out out");
        assert_eq!(Err::<(), _>(wrapped).work().unwrap_err().code(), 2);
        let full = CoreError::io("out")(std::io::ErrorKind::StorageFull.into());
        assert_eq!(Err::<(), _>(full).work().unwrap_err().code(), 1);
    }
}
