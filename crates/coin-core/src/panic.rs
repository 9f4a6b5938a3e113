//! Panics of other crates as errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::quote::cut;

/// Runs `work`, which calls a crate that may panic on damaged input. A panic becomes an error: its message, [`cut`].
///
/// After an error, a value that `work` changed must not be used again.
///
/// # Errors
/// `work` panics.
///
/// ```
/// use coin_core::panic::caught;
/// assert_eq!(caught(|| "abc".len()), Ok(3));
/// assert_eq!(caught(|| panic!("no room for {}", 7)), Err::<(), _>("no room for 7".to_owned()));
/// ```
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        cut(text.unwrap_or("a panic without a message")).into_owned()
    })
}
