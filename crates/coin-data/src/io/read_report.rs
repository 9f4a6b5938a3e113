//! Options for rows that cannot be read, and the report of skipped rows.

use serde::{Deserialize, Serialize};

/// Number of skipped rows that a report names.
const NAMED: usize = 20;

/// Options for rows that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// If true, a bad row is left out, together with the other entry of its couple. If false, it is an error. Default
    /// `false` (this project's).
    pub skip_bad: bool,
}

/// Counts of the rows that were read and left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadReport {
    /// Rows of the file, including bad ones.
    pub rows: usize,
    /// The first 20 rows that were left out, in file order: the line (the row of a Parquet file) and the reason.
    pub skipped: Vec<(usize, String)>,
    /// Number of rows that were left out.
    pub skipped_count: usize,
    /// For each tab-separated file with quote characters, how they were read: as text, or enclosing fields.
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
