//! The report on pairs built from templates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rewording::RewordingCounts;
use crate::Exclusion;

/// The templates and rows that were used for the pairs of a task, and those that were not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    /// The task.
    pub task: String,
    /// Pairs built, two per couple.
    pub pairs: usize,
    /// Templates used.
    pub templates_used: usize,
    /// Of those, templates with the same text as an earlier one. They are never paraphrases of each other.
    pub templates_repeated: usize,
    /// Templates left out.
    pub templates_excluded: usize,
    /// The excluded templates by their place in the task's list, from 0, with the reason.
    pub exclusions: Vec<(usize, Exclusion)>,
    /// Rows of the task.
    pub rows: usize,
    /// Different rows used in pairs.
    pub rows_used: usize,
    /// Rejected draws of a hard negative with the same text as its anchor but another target.
    pub contradictions: usize,
    /// Rows with the same fields as an earlier row.
    pub duplicates: usize,
    /// Rows left out because they have no possible hard negative: every row with another answer has the same fields.
    pub without_negative: usize,
    /// Rows by answer.
    pub answers: BTreeMap<String, usize>,
    /// How often each attack was drawn to reword a template, and how often it left the template unchanged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reworded: RewordingCounts,
}
