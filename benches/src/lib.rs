//! What the benches of the coin crates share, and the list of cases. Each bench is a file or folder beside `src/`.
//!
//! - [`cases`]: the list: every operation and task whose cost is of interest, with what it must compute and move
//! - [`measure`]: a case timed, by criterion or, where a run is long, by the clock alone
//! - [`report`]: a case's line of JSON, and the Markdown table with the share of the machine's peak
//! - [`scaling`]: how the cost of a step grows with batch, length and width
//! - [`training`], [`generation`]: a training step and greedy generation of a random [`decoder`]
//! - [`peak`]: what the machine can do
//! - [`flops`], [`bytes`]: what work must compute and move, from its shapes
//! - [`timing`], [`machine`]: runs timed, and what a figure was measured on

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
