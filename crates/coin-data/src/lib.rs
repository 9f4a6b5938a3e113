//! Instruction pairs for contrastive instruction tuning.
//!
//! The default build is text only: [tasks](task), [instances](instance), [prompts](prompt) and pairs.
//! The feature `tokenize` adds token ids and label masks, the feature `parquet` reads Parquet files. No tensor is
//! involved anywhere.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod batches;
mod csv;
pub mod error;
pub mod flan;
pub mod glue;
pub mod induction;
pub mod instance;
pub mod instructions;
mod json_text;
mod labelled_rows;
mod lines;
pub mod pairs;
#[cfg(feature = "parquet")]
mod parquet_table;
pub mod prompt;
pub mod python_literal;
pub mod t0;
mod table;
pub mod task;
pub mod task_file;
pub mod template;
#[cfg(feature = "tokenize")]
pub mod tokenize;
mod tsv;
pub mod worded;

pub use error::DataError;
pub use instance::Instance;
pub use pairs::{Pair, PairBuilder, PairReport};
pub use prompt::{Component, Demonstration, Prompt, PromptTemplate};
pub use task::{Metric, Task};
pub use task_file::TaskFile;
pub use template::{Template, TemplateSet};
