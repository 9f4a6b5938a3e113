//! Confidence intervals for a run's numbers, and tests of the difference between two runs.
//!
//! | | |
//! |---|---|
//! | [`score_with_intervals`] | 95 % intervals of accuracy and of its change from level `clean` |
//! | [`compare`] | two runs on the answers that both have: paired bootstrap, McNemar's tests, Holm's adjustment |
//! | [`compare_arms`] | the arms of an experiment with one baseline, over seeds and examples together |
//! | [`mcnemar_exact`], [`mcnemar_clustered`], [`holm`] | the tests by themselves |
//!
//! The bootstrap resamples the examples and, independently, the instructions of each task with replacement (the
//! pigeonhole bootstrap: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2)), because answers to
//! the same example and answers under the same instruction are correlated. All levels and both runs of a comparison use
//! the same draws, so that differences are paired. Tasks are fixed: they are not a sample from a population.
//! `docs/metrics.md` explains which conclusions this supports, and which it does not.

mod arms;
mod bootstrap;
mod compare;
mod holm;
mod intervals;
mod mcnemar;
mod pairs;

pub use arms::{Arm, Part, compare_arms};
pub use bootstrap::{MAX_REPLICATES, MIN_REPLICATES};
pub use compare::compare;
pub use holm::holm;
pub use intervals::score_with_intervals;
pub use mcnemar::{mcnemar_clustered, mcnemar_exact};
