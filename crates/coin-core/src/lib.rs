//! Shared ground of the workspace's crates. No tensors, no models, no tasks.
//!
//! - [`stream`]: seeded random streams that do not depend on order
//! - [`file`]: files written whole or not at all
//! - [`output_folder`]: folders of results, with an owner and a lock
//! - [`new_folder`]: folders that appear whole or not at all
//! - [`json`]: JSON in which no key stands twice
//! - [`address`]: addresses of servers, checked, and shown without passwords
//! - [`quote`]: text from outside, cut and made printable for messages

pub mod address;
pub mod error;
pub mod file;
pub mod json;
pub mod new_folder;
pub mod output_folder;
pub mod quote;
pub mod stream;

pub use error::CoreError;
