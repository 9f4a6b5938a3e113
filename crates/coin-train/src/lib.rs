//! The trainer of contrastive instruction tuning.
//!
//! - [`RunConfig`]: the settings of a run, read from a TOML file.
//! - [`Trainer`]: the loop over optimizer steps, for continual instruction tuning (`cit`) and CoIN (`coin`), on one device
//!   or data-parallel on several.
//! - [`StepObjective`]: the losses and gradients of one optimizer step.
//! - [`config`]: the tables of the run file.
//! - [`metrics`]: the measurements that a run writes.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod adapter_settings;
mod all_reduce;
mod checkpoint;
pub mod config;
mod contrast_warnings;
mod error;
mod estimate;
mod failed_batch;
mod fingerprint;
mod folder;
pub mod metrics;
mod optimizer;
mod parallel;
mod run;
mod run_config;
mod split;
mod step;
mod tensorboard;
mod trainer;
mod validation;

pub use error::TrainError;
pub use estimate::MemoryEstimate;
pub use folder::RUN_FOLDER_ENTRIES;
pub use optimizer::{AdamW, LossScale, clip_global_norm};
pub use run::{Progress, RunOptions, TrainOutcome};
pub use run_config::RunConfig;
pub use step::{Compared, StepObjective, StepValues, Term};
pub use trainer::{Trainer, TruncationCounts};
