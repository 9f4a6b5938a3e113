//! Files of pairs row by row: JSON lines and CSV here, Parquet in a file of its own.

use std::path::Path;

use crate::DataError;
use crate::csv::{Fault, Records};
use crate::lines::Lines;
use crate::pairs::Pair;
use crate::pairs::columns::Columns;
use coin_core::json;

/// The endings that are read, for messages.
const ENDINGS: &str = ".jsonl, .ndjson, .csv, .parquet";

/// A row of a file: the line where it begins, or its number in a Parquet file, and the pair or what is wrong with it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) pair: Result<Pair, String>,
}

/// A file of pairs. The error of a file that cannot be read on is the last item.
pub(super) type Rows = Box<dyn Iterator<Item = Result<Row, DataError>> + Send>;

/// Opens the file `path` in the form that its ending says.
pub(super) fn open(path: &Path) -> Result<Rows, DataError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match &*ending {
        "jsonl" | "ndjson" => jsonl(path),
        "csv" => csv(path),
        #[cfg(feature = "parquet")]
        "parquet" => super::parquet::open(path),
        #[cfg(not(feature = "parquet"))]
        "parquet" => Err(DataError::Feature { path: path.to_owned(), feature: "parquet" }),
        _ => Err(DataError::Invalid(format!(
            "{}: the ending says the form of a file of pairs, expected one of {ENDINGS}",
            path.display()
        ))),
    }
}

/// Opens `path` as JSON lines. Lines without text are no rows.
pub(super) fn jsonl(path: &Path) -> Result<Rows, DataError> {
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

fn csv(path: &Path) -> Result<Rows, DataError> {
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
