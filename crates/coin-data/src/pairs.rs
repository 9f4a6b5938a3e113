//! Contrastive pairs: one instance under two instructions, and its hard negative beside it.
//!
//! A *pair* is one entry: an original text and its paraphrase, both of the same instance (paper, section 3). A
//! *couple* is two adjacent entries, at an even index and the odd one after it. Each is the other's hard negative:
//! another instance of the same task under the same original instruction, with another target. Entries never move
//! singly, only whole couples, and odd numbers of entries are refused.

mod build;
mod check;
mod hold_out;
mod instances;
mod io;
mod order;

pub use build::{BuildReport, Negatives, PairBuilder, Variation, WordedBuildReport, from_worded};
pub use check::{CheckReport, TaskCounts};
pub use hold_out::{HeldOut, hold_out, hold_out_last};
pub use io::{PairStream, read, read_with, stream, write_jsonl};
pub use order::{by_length, interleave, shuffle_couples};
