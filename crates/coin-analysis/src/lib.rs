//! Analysis of hidden states that carry labels: task, level, instruction, example, class.
//!
//! | items | what they measure |
//! |---|---|
//! | [`Representations`], [`RepresentationWriter`] | the states and their labels, in one safetensors file |
//! | [`alignment`] | how near perturbed states are to clean ones |
//! | [`silhouette`] | how well groups of states separate |
//! | [`separation`], [`auroc`] | how well the cosine tells kinds of pairs apart |
//! | [`umap`], [`trustworthiness`] | a map of the states in the plane, and how much of its neighborhoods is true |
//! | [`StateMap`] | one run's states on a map, with these numbers |
//!
//! Nothing here knows a model, a task's content or an evaluation: whoever has labeled vectors can use it.

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
