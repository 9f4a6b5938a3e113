//! Contrastive instruction tuning: re-exports the crates of the workspace and contains the parts of the `coin` command.
//!
//! - [`loss`]: contrastive losses on tensors
//! - [`model`]: the LLaMA family with LoRA
//! - [`analysis`]: measures of hidden states: alignment, silhouette, separation, UMAP
//! - [`mod@core`]: random streams, files, output folders
//! - [`data`]: tasks, templates, pairs, token rows
//! - [`perturb`]: perturbation of instructions
//! - [`hub`]: models, adapters and data sets by their name on the Hugging Face hub
//! - [`eval`]: evaluation, metrics, statistics
//! - [`mod@report`]: tables, figures, the page
//! - [`train`]: the trainer
//! - [`allocator`]: the allocator of programs that compute on the CPU
//! - [`device`]: devices by name, such as `cpu` or `cuda:0`
//! - [`memory`]: errors for devices that run out of memory
//! - [`demo`]: the main experiment on an embedded model and a generated world
//! - [`experiment`]: several arms with several seeds, compared with a baseline
//! - [`learning_curves`]: the metrics of a training run, for the report
//! - [`model_folder`]: loading a model folder with an adapter
//! - [`stoppable`]: a model that stops an evaluation between two batches

pub use coin_analysis as analysis;
pub use coin_core as core;
pub use coin_data as data;
pub use coin_eval as eval;
pub use coin_hub as hub;
pub use coin_loss as loss;
pub use coin_model as model;
pub use coin_perturb as perturb;
pub use coin_report as report;
pub use coin_train as train;

pub mod allocator;
pub mod data_parallel;
pub mod demo;
pub mod device;
pub mod experiment;
pub mod learning_curves;
pub mod memory;
pub mod model_folder;
pub mod stoppable;

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
