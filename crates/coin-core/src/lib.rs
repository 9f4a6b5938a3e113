//! Helpers shared by the crates of the workspace. No tensors, models or tasks.
//!
//! - [`stream`]: seeded random streams that do not depend on order
//! - [`mod@file`]: atomic file writes
//! - [`output_folder`]: folders of results, with a marker and a lock
//! - [`new_folder`]: folders that are created atomically
//! - [`json`]: JSON without duplicate keys
//! - [`model_files`]: the files of a model folder, and their fingerprint
//! - [`address`]: server addresses, checked, and shown without passwords
//! - [`quote`]: untrusted text, truncated and made printable for messages
//! - [`panic`](mod@panic): panics of other crates as errors

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod address;
mod error;
pub mod file;
pub mod json;
pub mod model_files;
pub mod new_folder;
pub mod output_folder;
pub mod panic;
pub mod quote;
pub mod stream;

pub use error::CoreError;
