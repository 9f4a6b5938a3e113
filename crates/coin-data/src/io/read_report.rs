//! Rows that cannot be read: refused or skipped, and reported.

use serde::{Deserialize, Serialize};

/// Number of skipped rows that a report names.
const NAMED: usize = 20;

/// What to do with rows that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// Whether a bad row is left out, together with the other entry of its couple. Default `false` (ours): it is an
    /// error.
    pub skip_bad: bool,
}

/// What was read and what was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadReport {
    /// Rows of the file, bad ones among them.
    pub rows: usize,
    /// The first 20 rows that were left out, in the order of the file: the line, or the row of a Parquet file, and why.
    pub skipped: Vec<(usize, String)>,
    /// All rows that were left out.
    pub skipped_count: usize,
    /// For each tab-separated file with quote characters whether they are text or enclose fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<String>,
}

impl ReadReport {
    pub(crate) fn skip(&mut self, line: usize, message: String) {
        self.skipped_count += 1;
        if self.skipped.len() < NAMED {
            self.skipped.push((line, message));
        }
    }
}
