//! Pairs built from templates, or from tasks whose wordings come with the data.

mod deck;
mod from_templates;
mod from_worded;
mod negatives;
mod report;
mod rewording;
mod variation;

use rand::Rng;

pub use from_templates::PairBuilder;
pub use from_worded::{WordedBuildReport, from_worded};
pub use negatives::Negatives;
pub use report::BuildReport;
pub use rewording::{Reword, Reworded, RewordedSide, RewordingCounts};
pub use variation::Variation;

/// Draws a number below `n`. It is drawn as u64, so that it is the same on every platform.
fn below(random: &mut impl Rng, n: usize) -> usize {
    random.random_range(0..n as u64) as usize
}
