//! What the tests of the workspace share. Not published, and only ever a dev-dependency.

mod command;
mod test_data;

pub use command::{refused, succeeded};
pub use test_data::{test_data, test_folder};
