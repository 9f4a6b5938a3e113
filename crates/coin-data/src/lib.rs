//! Instruction pairs for contrastive instruction tuning.
//!
//! The default build is text only: [tasks](task), [instances](instance), [prompts](prompt), and seeded
//! [random streams](stream). No tensors are involved before the feature `batch`.

pub mod error;
pub mod instance;
pub mod prompt;
pub mod stream;
pub mod task;

pub use error::DataError;
pub use instance::Instance;
pub use prompt::{Demonstration, Prompt};
pub use task::Task;
