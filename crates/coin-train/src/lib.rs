//! The trainer of contrastive instruction tuning.
//!
//! - [`RunConfig`]: one TOML file is one run.
//! - [`Trainer`]: the loop over optimiser steps, for continual instruction tuning (`cit`) and CoIN (`coin`).
//! - [`schedule`], [`optimizer`], [`objective`], [`metrics`]: its parts.

pub mod config;
pub mod error;
pub mod metrics;
pub mod objective;
pub mod optimizer;
pub mod schedule;
pub mod trainer;

pub use config::RunConfig;
pub use error::TrainError;
pub use metrics::{StepMetrics, ValidationMetrics};
pub use trainer::{Progress, Trainer};
