//! Running the `coin` command as a user does, and checks of its result.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// The binary of the command that is tested.
///
/// Cargo gives its path only to the integration tests of the package `coin`, so each test file defines
/// `const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));`.
#[derive(Debug, Clone, Copy)]
pub struct Coin(&'static str);

impl Coin {
    /// The binary at `path`.
    pub const fn at(path: &'static str) -> Self {
        Coin(path)
    }

    /// The path of the binary.
    pub fn path(self) -> &'static str {
        self.0
    }

    /// The command with these arguments.
    pub fn command(self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Command {
        let mut command = Command::new(self.0);
        command.args(arguments);
        command
    }

    /// Calls [`succeeded`] with these arguments.
    #[track_caller]
    pub fn succeeded(self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) {
        succeeded(&mut self.command(arguments));
    }

    /// Calls [`stdout_of`] with these arguments.
    #[track_caller]
    pub fn stdout(self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> String {
        stdout_of(&mut self.command(arguments))
    }

    /// Calls [`stderr_of`] with these arguments.
    #[track_caller]
    pub fn stderr(self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> String {
        stderr_of(&mut self.command(arguments))
    }

    /// Calls [`refused`] with these arguments.
    #[track_caller]
    pub fn refused(self, arguments: impl IntoIterator<Item: AsRef<OsStr>>, words: &[&str]) -> String {
        refused(&mut self.command(arguments), words)
    }
}

/// Runs a command that must succeed.
///
/// # Panics
/// If it fails; the message contains its standard error.
#[track_caller]
pub fn succeeded(command: &mut Command) -> Output {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    output
}

/// Standard output of a command that must succeed; see [`succeeded`].
#[track_caller]
pub fn stdout_of(command: &mut Command) -> String {
    stdout(&succeeded(command))
}

/// Standard error of a command that must succeed; see [`succeeded`].
#[track_caller]
pub fn stderr_of(command: &mut Command) -> String {
    stderr(&succeeded(command))
}

/// Runs a command that must fail with this exit code and a single line on standard error that contains all `words`. Returns the
/// line.
///
/// # Panics
/// If it does something else; the message contains its standard error.
#[track_caller]
pub fn failed(command: &mut Command, code: i32, words: &[&str]) -> String {
    let message = stderr(&failure(command, code, words)).trim().to_owned();
    assert_eq!(message.lines().count(), 1, "{command:?}: {message}");
    message
}

/// Runs a command that must refuse its input: [`failed`] with exit code 2, and nothing on standard output.
#[track_caller]
pub fn refused(command: &mut Command, words: &[&str]) -> String {
    let output = failure(command, 2, words);
    let message = stderr(&output).trim().to_owned();
    assert_eq!((message.lines().count(), stdout(&output)), (1, String::new()), "{command:?}: {message}");
    message
}

/// As [`refused`], for a command that prints notes about its input before it refuses it.
#[track_caller]
pub fn refused_after_notes(command: &mut Command, words: &[&str]) -> String {
    stderr(&failure(command, 2, words))
}

/// Runs a command that must fail with this exit code and all `words` on standard error.
#[track_caller]
fn failure(command: &mut Command, code: i32, words: &[&str]) -> Output {
    let output = run(command);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{command:?}: `{word}` is not in: {message}");
    }
    output
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Standard output of a command that ended.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error of a command that ended.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A path as an argument.
///
/// # Panics
/// If the path is not UTF-8.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_else(|| panic!("{}: not UTF-8", path.display()))
}
