//! Contrastive pairs: files of pairs, building, checking, holding out and ordering.
//!
//! A *pair* is an original text and its paraphrase, both of the same instance (paper, section 3). A *couple* is two
//! adjacent pairs, one at an even index and the next one. Each is the other's hard negative: another instance of the same
//! task under the same original instruction, with another target. All operations move whole couples, and an odd number of
//! pairs is refused.

mod build;
mod check;
mod hold_out;
mod instances;
mod io;
mod order;

pub use build::{
    BuildReport, Negatives, PairBuilder, Reword, Reworded, RewordedSide, RewordingCounts, Variation, WordedBuildReport,
    from_worded,
};
pub use check::{CheckReport, TaskCounts};
pub use hold_out::{HeldOut, hold_out, hold_out_last};
pub use io::{PairStream, read, read_with, stream, write_jsonl};
pub use order::{by_length, interleave, shuffle_couples};
