//! How sure a run's numbers are, and whether two runs differ.
//!
//! | | |
//! |---|---|
//! | [`score_with_intervals`] | 95 % intervals of accuracy and of its change from level `clean` |
//! | [`compare`] | two runs on the answers that both have: paired bootstrap, McNemar's tests, Holm's adjustment |
//! | [`mcnemar_exact`], [`mcnemar_clustered`], [`holm`] | the tests by themselves |
//!
//! The bootstrap draws the examples and, apart from them, the instructions of each task again with replacement (the
//! pigeonhole bootstrap: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2)), since answers to one
//! example and answers under one instruction are alike. All levels and both runs of a comparison see the same draws, so
//! that differences are paired. Tasks are fixed: they are not a sample of anything. `docs/metrics.md` says what follows
//! from this, and what does not.

mod bootstrap;
mod compare;
mod holm;
mod intervals;
mod mcnemar;
mod pairs;

pub use bootstrap::{MAX_REPLICATES, MIN_REPLICATES};
pub use compare::compare;
pub use holm::holm;
pub use intervals::score_with_intervals;
pub use mcnemar::{mcnemar_clustered, mcnemar_exact};
