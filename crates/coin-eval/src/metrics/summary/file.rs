//! Summaries as files.

use std::path::Path;

use serde::Serialize;

use crate::EvalError;

/// Writes a summary as indented JSON, atomically.
pub(super) fn write(summary: &impl Serialize, path: &Path) -> Result<(), EvalError> {
    let mut json = serde_json::to_string_pretty(summary)
        .map_err(|error| EvalError::Invalid(format!("cannot write the summary: {error}")))?;
    json.push('\n');
    coin_core::file::replace(path, |file| file.write_all(json.as_bytes())).map_err(EvalError::io(path))
}
