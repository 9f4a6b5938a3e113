//! Reads pairs from Parquet files with the columns of the released CSV (feature `parquet`).

use std::path::Path;

use super::columns::Columns;
use super::{Row, Rows};
use crate::DataError;
use crate::io::parquet_table::Table;

/// Opens `path` as Parquet.
pub(super) fn open(path: &Path) -> Result<Rows, DataError> {
    let table = Table::open(path)?;
    let header = table.header().to_vec();
    let columns =
        Columns::find(&header).map_err(|message| DataError::Malformed { path: path.to_owned(), line: 0, message })?;
    let places = columns.places();
    let rows = table.rows(&places)?;
    let pair = move |row: Result<(usize, Vec<Option<String>>), DataError>| {
        let (line, mut fields) = row?;
        let take = |at: usize| fields.get_mut(places.iter().position(|&place| place == at)?)?.take();
        Ok(Row { line, pair: columns.pair(&header, take) })
    };
    Ok(Box::new(rows.map(pair)))
}
