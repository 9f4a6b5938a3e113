//! Reads pairs from JSON lines.

use std::path::Path;

use super::{Row, Rows};
use crate::io::lines::Lines;
use crate::{DataError, Pair};
use coin_core::json;

/// Opens `path` as JSON lines. Empty lines are skipped.
pub(super) fn open(path: &Path) -> Result<Rows, DataError> {
    let mut lines = Some(Lines::open(path)?);
    let next = move || {
        let open = lines.as_mut()?;
        let pair = loop {
            match open.next_line() {
                Ok(Some(line)) if line.trim_ascii().is_empty() => {}
                Ok(Some(line)) => break pair_of_json(line),
                Ok(None) => return None,
                Err(error) => {
                    lines = None;
                    return Some(Err(error));
                }
            }
        };
        Some(Ok(Row { line: open.line(), pair }))
    };
    Ok(Box::new(std::iter::from_fn(next)))
}

fn pair_of_json(line: &[u8]) -> Result<Pair, String> {
    let text = std::str::from_utf8(line).map_err(|_| "invalid UTF-8".to_owned())?;
    json::from_str(text).map_err(|error| format!("not a pair: {}", json::message(&error)))
}
