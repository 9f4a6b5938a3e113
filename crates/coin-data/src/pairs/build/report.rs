//! Counts of what was used and left out when a task's pairs were built.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Exclusion;

/// What went into the pairs of a task, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    /// The task.
    pub task: String,
    /// Pairs built, two a couple.
    pub pairs: usize,
    /// Templates that were drawn from.
    pub templates_used: usize,
    /// Of those, templates with the same text as an earlier one; they are never each other's paraphrase.
    pub templates_repeated: usize,
    /// Templates that were left out.
    pub templates_excluded: usize,
    /// The excluded templates by their place in the task's list, from 0, and why.
    pub exclusions: Vec<(usize, Exclusion)>,
    /// Rows there were.
    pub rows: usize,
    /// Different rows in the pairs.
    pub rows_used: usize,
    /// Draws passed over because the hard negative would have had the same text as its anchor, with another target.
    pub contradictions: usize,
    /// Rows with the same fields as an earlier one.
    pub duplicates: usize,
    /// Rows that are in no pair because no hard negative can be found: every row with another answer has the same fields.
    pub without_negative: usize,
    /// Rows by answer.
    pub answers: BTreeMap<String, usize>,
}
