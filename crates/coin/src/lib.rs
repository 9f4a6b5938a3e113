//! Contrastive instruction tuning: the workspace's crates in one place, and what the `coin` command is made of.
//!
//! - [`loss`]: contrastive losses on tensors
//! - [`model`]: the LLaMA family with LoRA
//! - [`analysis`]: hidden states: alignment, silhouette, separation, UMAP
//! - [`mod@core`]: random streams, files, output folders
//! - [`data`]: tasks, templates, pairs, token rows
//! - [`perturb`]: instruction perturbation
//! - [`hub`]: models, adapters and data sets by their name on the Hugging Face hub
//! - [`eval`]: evaluation, metrics, statistics
//! - [`mod@report`]: tables, figures, the page
//! - [`train`]: the trainer
//! - [`allocator`]: the allocator of programs that compute on the CPU
//! - [`device`]: a name such as `cpu` or `cuda:0` as a device
//! - [`memory`]: a device that runs out of memory, as an error
//! - [`demo`]: the main job on an embedded model and world
//! - [`learning_curves`]: a training run's metrics, for the report
//! - [`model_folder`]: a model folder with an adapter, opened
//! - [`stoppable`]: a model that an evaluation can be stopped at

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
pub mod demo;
pub mod device;
pub mod learning_curves;
pub mod memory;
pub mod model_folder;
pub mod stoppable;

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
