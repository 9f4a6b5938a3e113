//! Instruction pairs for contrastive instruction tuning.
//!
//! The default build is text only: [tasks](task), [instances](instance), [prompts](prompt), and seeded
//! [random streams](stream). The feature `tokenize` adds token ids and label masks, the feature `parquet` reads Parquet files. No tensor is
//! involved anywhere.

pub mod batches;
mod csv;
pub mod error;
pub mod file;
pub mod glue;
pub mod induction;
pub mod instance;
pub mod instructions;
mod json_text;
mod lines;
pub mod pairs;
#[cfg(feature = "parquet")]
mod parquet_table;
pub mod prompt;
pub mod python_literal;
pub mod stream;
pub mod t0;
pub mod task;
pub mod template;
#[cfg(feature = "tokenize")]
pub mod tokenize;
pub mod worded;
pub mod world;

pub use error::DataError;
pub use instance::Instance;
pub use pairs::{Pair, PairBuilder, PairReport};
pub use prompt::{Component, Demonstration, Prompt, PromptTemplate};
pub use task::{Metric, Task};
pub use template::{Template, TemplateSet};
