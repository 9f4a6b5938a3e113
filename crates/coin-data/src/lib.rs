//! Instruction pairs for contrastive instruction tuning.
//!
//! The default build is text only: [tasks](task), [instances](instance), [prompts](prompt), and seeded
//! [random streams](stream). The feature `tokenize` adds token ids and label masks. No tensor is involved anywhere.

pub mod error;
pub mod file;
pub mod glue;
pub mod instance;
pub mod pairs;
pub mod prompt;
pub mod python_literal;
pub mod stream;
pub mod task;
pub mod template;
#[cfg(feature = "tokenize")]
pub mod tokenize;
pub mod world;

pub use error::DataError;
pub use instance::Instance;
pub use pairs::{Pair, PairBuilder, PairReport};
pub use prompt::{Demonstration, Prompt, PromptTemplate};
pub use task::Task;
pub use template::{Template, TemplateSet};
