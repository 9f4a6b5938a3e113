//! Standard output and standard error of the command. The macros of the standard library's names, which they stand for in
//! this program, do not panic: where nobody reads any more the rest is not written, and a full disk is the command's failure.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

use coin::core::quote::printable;

use crate::failure::Failure;

/// Why nothing more is written to standard output.
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

/// Writes to standard output, unless that failed before.
pub fn print(text: fmt::Arguments<'_>) {
    if LOST.get().is_none()
        && let Err(error) = io::stdout().write_fmt(text)
    {
        let _ = LOST.set(error);
    }
}

/// Writes to standard error, the control characters of what is named in a message written out; there is nowhere to tell that it
/// cannot be written.
pub fn tell(text: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(printable(&text.to_string()).as_bytes());
}

/// Whether standard output has all that was printed, or the reader wanted no more of it.
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
