//! Commands run as a user types them, with what they must say.

use std::process::{Command, Output};

/// Runs a command that must succeed.
///
/// # Panics
/// If it does not; the message holds its standard error.
pub fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs a command that must refuse its input: exit code 2, and one line on standard error that holds all `words`. Returns the line.
///
/// # Panics
/// If it does something else; the message holds its standard error.
pub fn refused(command: &mut Command, words: &[&str]) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{command:?}: `{word}` is not in: {message}");
    }
    assert_eq!(message.lines().count(), 1, "{command:?}: {message}");
    message
}
