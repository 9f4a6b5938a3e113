//! Instruction pairs for contrastive instruction tuning.
//!
//! The default build handles text only: [tasks](Task), [instances](Instance), [prompts](Prompt) and [pairs].
//! The feature `tokenize` adds token ids and label masks, and the feature `parquet` reads Parquet files. The crate does
//! not use tensors.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod error;
mod instance;
mod io;
mod pair;
pub mod pairs;
mod prompt;
mod sources;
mod task;
mod template;
#[cfg(feature = "tokenize")]
pub mod tokenize;

pub use error::DataError;
pub use instance::Instance;
pub use io::{ReadOptions, ReadReport};
pub use pair::{Pair, Wording, Wordings};
pub use prompt::{
    Component, Demonstration, Placement, Prompt, PromptTemplate, RELEASED_EVALUATION_MARKER, TRAINING_MARKER,
    fill_content, places_input,
};
pub use sources::{TaskData, TaskFile, Worded, flan, glue, induction, instructions, t0};
pub use task::{LONGEST_NAME, LabelWord, Metric, Task};
pub use template::{Exclusion, Template, TemplateSet};
