//! The trainer of contrastive instruction tuning.
//!
//! - [`RunConfig`]: one TOML file is one run.
//! - [`Trainer`]: the loop over optimiser steps, for continual instruction tuning (`cit`) and CoIN (`coin`).
//! - [`checkpoint`]: what a run goes on from, to the bit.
//! - [`adamw`], [`schedule`], [`optimizer`], [`objective`], [`metrics`], [`loss_scale`], [`tensorboard`]: its parts.

pub mod adamw;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod estimate;
mod fingerprint;
pub mod loss_scale;
pub mod metrics;
pub mod objective;
pub mod optimizer;
pub mod schedule;
pub mod tensorboard;
pub mod trainer;

pub use config::RunConfig;
pub use error::TrainError;
pub use metrics::{StepMetrics, ValidationMetrics};
pub use trainer::{Outcome, Progress, RunOptions, Trainer};
