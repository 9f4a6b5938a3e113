//! Analysis of hidden states labeled with task, level, instruction, example and class.
//!
//! | items | purpose |
//! |---|---|
//! | [`Representations`], [`RepresentationWriter`] | the states and their labels, in one safetensors file |
//! | [`alignment`] | similarity of perturbed states to clean states |
//! | [`silhouette`] | separation of groups of states |
//! | [`separation`], [`auroc`] | how well the cosine distinguishes kinds of pairs |
//! | [`umap`], [`trustworthiness`] | a map of the states in the plane, and how well it preserves neighborhoods |
//! | [`StateMap`] | a map of one run's states, with these metrics |
//!
//! The crate does not depend on a model, on the content of a task or on an evaluation. It works with any labeled vectors.

/// The README's example, compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod alignment;
mod distance;
mod distribution;
mod error;
mod separation;
mod silhouette;
mod state_map;
mod states;
mod umap;

pub use alignment::{LevelAlignment, alignment};
pub use distance::{Distance, Points, cosine};
pub use distribution::Distribution;
pub use error::AnalysisError;
pub use separation::{PairKind, Separation, auroc, separation};
pub use silhouette::{Silhouette, SilhouetteOptions, silhouette};
pub use state_map::{MapPoint, StateMap};
pub use states::{Grouping, RepresentationWriter, Representations, StateLabel};
pub use umap::{Edge, UmapOptions, fuzzy_graph, trustworthiness, umap};
