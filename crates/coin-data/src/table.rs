//! One file of rows in any of the forms: TSV, CSV, JSON lines, Parquet.

use std::path::Path;

use crate::DataError;
use crate::csv::{Fault, Records};
use crate::json_text::json_text;
use crate::lines::Lines;
use crate::tsv;
use coin_core::file::read_to_string;

/// A file whose columns are known.
pub(crate) enum Table {
    Tsv {
        header: Vec<String>,
        rows: Vec<tsv::Row>,
    },
    Csv(Records),
    Json {
        header: Vec<String>,
        rows: Vec<(usize, Result<Object, String>)>,
    },
    #[cfg(feature = "parquet")]
    Parquet(crate::parquet_table::Table),
}

type Object = serde_json::Map<String, serde_json::Value>;

/// A row: its line, or its number in a Parquet file, and the text of the chosen columns, `None` for a null.
type Row = (usize, Vec<Option<String>>);

impl Table {
    /// Opens `path` in the form that its ending says, TSV for any that is not known.
    ///
    /// A TSV file whose first row has none of the names of `label` has the columns of `without_header`, if there are any.
    pub(crate) fn open(path: &Path, label: &[&str], without_header: Option<&[&str]>) -> Result<Self, DataError> {
        let table = match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
            "csv" => Table::Csv(Records::open(path)?),
            "jsonl" => objects(path)?,
            #[cfg(feature = "parquet")]
            "parquet" => Table::Parquet(crate::parquet_table::Table::open(path)?),
            _ => {
                let mut rows = tsv::rows(&read_to_string(path)?);
                let has_header =
                    rows.first().is_some_and(|row| row.fields.iter().any(|name| label.contains(&name.as_str())));
                let header = match without_header {
                    Some(columns) if !has_header => columns.iter().map(|&name| name.to_owned()).collect(),
                    _ if rows.is_empty() => Vec::new(),
                    _ => rows.remove(0).fields,
                };
                Table::Tsv { header, rows }
            }
        };
        Ok(table)
    }

    /// The names of the columns; none for a file without rows.
    pub(crate) fn header(&self) -> &[String] {
        match self {
            Table::Tsv { header, .. } | Table::Json { header, .. } => header,
            Table::Csv(records) => records.header(),
            #[cfg(feature = "parquet")]
            Table::Parquet(table) => table.header(),
        }
    }

    /// The line of the header; 0 where the file has none.
    pub(crate) fn header_line(&self) -> usize {
        match self {
            Table::Tsv { .. } | Table::Csv(_) | Table::Json { .. } => 1,
            #[cfg(feature = "parquet")]
            Table::Parquet(_) => 0,
        }
    }

    /// The rows of the columns at `places`, in this order, each with the error of a bad one.
    ///
    /// # Errors
    /// A fault after which rows can no longer be told apart.
    pub(crate) fn rows(self, path: &Path, places: &[usize]) -> Result<Vec<Result<Row, DataError>>, DataError> {
        let malformed = |line: usize, message: String| DataError::Malformed { path: path.to_owned(), line, message };
        let choose = |mut fields: Vec<String>| {
            let take = |&place: &usize| fields.get_mut(place).map(std::mem::take);
            places.iter().map(take).collect()
        };
        let rows = match self {
            Table::Tsv { header, rows } => rows
                .into_iter()
                .map(|tsv::Row { line, fields }| {
                    let (found, expected) = (fields.len(), header.len());
                    match header.get(found) {
                        Some(missing) => Err(malformed(
                            line,
                            format!("the column `{missing}` is missing: {found} columns, expected {expected}"),
                        )),
                        None if found > expected => {
                            Err(malformed(line, format!("{found} columns, expected {expected}: {}", header.join(", "))))
                        }
                        None => Ok((line, choose(fields))),
                    }
                })
                .collect(),
            Table::Csv(mut records) => std::iter::from_fn(|| records.next_record())
                .map(|record| match record {
                    Ok(record) => Ok(Ok((record.line, choose(record.fields)))),
                    Err(Fault::Row { line, message }) => Ok(Err(malformed(line, message))),
                    Err(Fault::File(error)) => Err(error),
                })
                .collect::<Result<_, _>>()?,
            Table::Json { header, rows } => {
                let text = |object: &mut Object, line: usize, name: &str| match object.remove(name) {
                    Some(serde_json::Value::Null) => Ok(None),
                    Some(value) => Ok(Some(json_text(value))),
                    None => Err(malformed(line, format!("the key `{name}` is missing"))),
                };
                rows.into_iter()
                    .map(|(line, object)| {
                        let mut object = object.map_err(|message| malformed(line, message))?;
                        let fields = places.iter().map(|&place| text(&mut object, line, &header[place]));
                        Ok((line, fields.collect::<Result<_, _>>()?))
                    })
                    .collect()
            }
            #[cfg(feature = "parquet")]
            Table::Parquet(table) => table.rows(places)?.collect(),
        };
        Ok(rows)
    }
}

/// The objects of JSON lines; the first that can be read says what keys there are.
fn objects(path: &Path) -> Result<Table, DataError> {
    let mut lines = Lines::open(path)?;
    let mut rows: Vec<(usize, Result<Object, String>)> = Vec::new();
    while let Some(line) = lines.next_line()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object = serde_json::from_slice::<Object>(line).map_err(|error| format!("not a JSON object: {error}"));
        rows.push((lines.line(), object));
    }
    let first = rows.iter().find_map(|(_, object)| object.as_ref().ok());
    let header = first.map(|object| object.keys().cloned().collect()).unwrap_or_default();
    if let (Some((line, Err(message))), None) = (rows.first(), first) {
        return Err(DataError::Malformed { path: path.to_owned(), line: *line, message: message.clone() });
    }
    Ok(Table::Json { header, rows })
}
