//! Readers of public data sets and of custom tasks.

pub mod flan;
pub mod glue;
pub mod induction;
pub mod instructions;
mod labelled_rows;
pub mod t0;
mod task_file;
mod worded;

pub use task_file::{TaskData, TaskFile};
pub use worded::Worded;
