//! Standard output and standard error of the command.
//!
//! The macros replace those of the standard library in this program and do not panic. If the reader has closed the pipe, the rest
//! is not written; another error, such as a full disk, makes the command fail.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use coin::core::quote::printable;

use crate::failure::Failure;

/// The first error of standard output. After it, nothing more is written.
static LOST: OnceLock<io::Error> = OnceLock::new();

macro_rules! print {
    ($($text:tt)*) => { $crate::output::print(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::output::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::tell(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard output, unless an earlier write failed.
pub fn print(text: fmt::Arguments<'_>) {
    if LOST.get().is_none()
        && let Err(error) = io::stdout().write_fmt(text)
    {
        let _ = LOST.set(error);
    }
}

/// Writes to standard error, with control characters escaped. Errors are ignored, because there is no other place to report them.
pub fn tell(text: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(printable(&text.to_string()).as_bytes());
}

/// Flushes standard output.
///
/// # Errors
/// The output could not be written. A closed pipe is not an error.
pub fn finish() -> Result<(), Failure> {
    if let Err(error) = io::stdout().flush() {
        let _ = LOST.set(error);
    }
    match LOST.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Work(anyhow::anyhow!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
