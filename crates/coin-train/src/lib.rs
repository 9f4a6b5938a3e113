//! The trainer of contrastive instruction tuning.
//!
//! - [`RunConfig`]: one TOML file is one run.
//! - [`Trainer`]: the loop over optimiser steps, for continual instruction tuning (`cit`) and CoIN (`coin`), on one device
//!   or, data parallel, on several.
//! - [`checkpoint`]: what a run resumes from, to the bit.
//! - [`adamw`], [`schedule`], [`optimizer`], [`objective`], [`metrics`], [`loss_scale`], [`tensorboard`]: its parts.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod adamw;
mod adapter_settings;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod estimate;
mod failed_batch;
mod fingerprint;
mod folder;
pub mod loss_scale;
mod manifest;
pub mod metrics;
mod negatives;
pub mod objective;
pub mod optimizer;
mod parallel;
mod run;
pub mod schedule;
mod share;
mod split;
pub mod tensorboard;
mod trainer;
mod validation;

pub use config::RunConfig;
pub use error::TrainError;
pub use folder::WRITTEN;
pub use metrics::{StepMetrics, ValidationMetrics};
pub use run::{Outcome, Progress, RunOptions};
pub use trainer::{Changed, Trainer};
