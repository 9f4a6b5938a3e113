//! Helpers shared by the tests of the workspace. Not published, and only a dev-dependency.
//!
//! It depends on no other crate of the workspace, so every crate can use it.

mod command;
mod material;
mod test_data;

pub use command::{Coin, failed, refused, refused_after_notes, stderr, stderr_of, stdout, stdout_of, succeeded, text};
pub use material::{demo_base, demo_base_copy, write_cola};
pub use test_data::{test_data, test_folder};
