//! Reads and writes files of pairs.

mod columns;
mod csv;
mod json_lines;
#[cfg(feature = "parquet")]
mod parquet;
mod read;
mod write;

use std::path::Path;

pub use read::{PairStream, read, read_with, stream};
pub use write::write_jsonl;

use crate::{DataError, Pair};

/// The supported extensions, for messages.
const ENDINGS: &str = ".jsonl, .ndjson, .csv, .parquet";

/// A row of a file: its first line (its number in a Parquet file), and the pair or an error message.
#[derive(Debug)]
struct Row {
    line: usize,
    pair: Result<Pair, String>,
}

/// The rows of a file of pairs. After an error the iterator ends.
type Rows = Box<dyn Iterator<Item = Result<Row, DataError>> + Send>;

/// Opens the file `path`. The extension determines the format.
fn open(path: &Path) -> Result<Rows, DataError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match &*ending {
        "jsonl" | "ndjson" => json_lines::open(path),
        "csv" => csv::open(path),
        #[cfg(feature = "parquet")]
        "parquet" => parquet::open(path),
        #[cfg(not(feature = "parquet"))]
        "parquet" => Err(DataError::Feature { path: path.to_owned(), feature: "parquet" }),
        _ => Err(DataError::Invalid(format!(
            "{}: unknown extension of a file of pairs, expected one of {ENDINGS}",
            path.display()
        ))),
    }
}
