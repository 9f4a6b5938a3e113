//! The list of benchmark cases, and code shared by the benches. Each bench is a file or folder next to `src/`.
//!
//! - [`cases`]: the benchmarked operations and tasks, with the operations and bytes that they need
//! - [`measure`]: times a case with criterion, or with a plain clock if a run is long
//! - [`report`]: a case's line of JSON, and the Markdown table with the share of the machine's peak
//! - [`scaling`]: growth of the cost of a step with batch, length and width
//! - [`training`], [`generation`]: a training step and greedy generation with a random [`decoder`]
//! - [`peak`]: peak speed of the machine
//! - [`flops`], [`bytes`]: operations and bytes that a workload needs, from its shapes
//! - [`timing`], [`machine`]: timing of runs, and description of the machine

pub mod bytes;
pub mod cases;
pub mod decoder;
pub mod flops;
pub mod generation;
pub mod machine;
pub mod measure;
pub mod peak;
pub mod report;
pub mod scaling;
pub mod timing;
pub mod training;
