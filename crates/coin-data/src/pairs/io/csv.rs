//! Reads pairs from CSV, the format of the released data.

use std::path::Path;

use super::columns::Columns;
use super::{Row, Rows};
use crate::DataError;
use crate::io::csv::{Fault, Records};

/// Opens `path` as CSV.
pub(super) fn open(path: &Path) -> Result<Rows, DataError> {
    let records = Records::open(path)?;
    let header = records.header().to_vec();
    if header.is_empty() {
        return Ok(Box::new(std::iter::empty()));
    }
    let columns =
        Columns::find(&header).map_err(|message| DataError::Malformed { path: path.to_owned(), line: 1, message })?;
    let mut records = Some(records);
    let next = move || {
        let row = match records.as_mut()?.next_record()? {
            Ok(mut record) => {
                let take = |at: usize| record.fields.get_mut(at).map(std::mem::take);
                Row { line: record.line, pair: columns.pair(&header, take) }
            }
            Err(Fault::Row { line, message }) => Row { line, pair: Err(message) },
            Err(Fault::File(error)) => {
                records = None;
                return Some(Err(error));
            }
        };
        Some(Ok(row))
    };
    Ok(Box::new(std::iter::from_fn(next)))
}
