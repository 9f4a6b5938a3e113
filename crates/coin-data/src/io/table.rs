//! A file of rows in any supported format: TSV, CSV, JSON lines, Parquet.

use std::path::Path;

use crate::DataError;
use crate::io::csv::{Fault, Record, Records};
use crate::io::json_text;
use crate::io::lines::Lines;
use crate::io::tsv::{self, Quotes};
use coin_core::file::read_to_string;
use coin_core::json;
use coin_core::quote::cut;

/// An open file with known columns.
pub(crate) enum Table {
    Tsv {
        header: Vec<String>,
        rows: Vec<tsv::Row>,
        quotes: Quotes,
    },
    Csv(Records),
    Json {
        header: Vec<String>,
        rows: Vec<(usize, Result<Object, String>)>,
    },
    #[cfg(feature = "parquet")]
    Parquet(crate::io::parquet_table::Table),
}

type Object = serde_json::Map<String, serde_json::Value>;

/// A row: its line (its number in a Parquet file) and the texts of the chosen columns, `None` for a null.
type Row = (usize, Vec<Option<String>>);

impl Table {
    /// Opens `path`. The extension determines the format; unknown extensions are read as TSV.
    ///
    /// A TSV file whose first row has none of the names in `label` is read without a header, with the columns of
    /// `without_header` if they are given.
    pub(crate) fn open(path: &Path, label: &[&str], without_header: Option<&[&str]>) -> Result<Self, DataError> {
        let table = match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
            "csv" => Table::Csv(Records::open(path)?),
            "jsonl" => objects(path)?,
            #[cfg(feature = "parquet")]
            "parquet" => Table::Parquet(crate::io::parquet_table::Table::open(path)?),
            _ => {
                let (quotes, mut rows) = tsv::rows(&read_to_string(path)?);
                let has_header =
                    rows.first().is_some_and(|row| row.fields.iter().any(|name| label.contains(&name.as_str())));
                let header = match without_header {
                    Some(columns) if !has_header => columns.iter().map(|&name| name.to_owned()).collect(),
                    _ if rows.is_empty() => Vec::new(),
                    _ => rows.remove(0).fields,
                };
                Table::Tsv { header, rows, quotes }
            }
        };
        Ok(table)
    }

    /// The meaning of quote characters in a TSV file; `None` for other formats and for files without quotes.
    pub(crate) fn quotes(&self) -> Option<&'static str> {
        match self {
            Table::Tsv { quotes: Quotes::Text, .. } => Some("quotes are text"),
            Table::Tsv { quotes: Quotes::Enclosing, .. } => Some("quotes enclose fields, as in CSV"),
            _ => None,
        }
    }

    /// The column names; empty for a file without rows.
    pub(crate) fn header(&self) -> &[String] {
        match self {
            Table::Tsv { header, .. } | Table::Json { header, .. } => header,
            Table::Csv(records) => records.header(),
            #[cfg(feature = "parquet")]
            Table::Parquet(table) => table.header(),
        }
    }

    /// The line of the header; 0 for Parquet.
    pub(crate) fn header_line(&self) -> usize {
        match self {
            Table::Tsv { .. } | Table::Csv(_) | Table::Json { .. } => 1,
            #[cfg(feature = "parquet")]
            Table::Parquet(_) => 0,
        }
    }

    /// Returns the rows with the columns at `places`, in this order; a bad row is an error in its place. The first place
    /// is the label's column, and `is_label` is true for texts that are valid there.
    ///
    /// # Errors
    /// An error after which the limits of rows are unknown.
    pub(crate) fn rows(
        self,
        path: &Path,
        places: &[usize],
        is_label: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Result<Row, DataError>>, DataError> {
        let form = self.quotes().map(|quotes| format!(" ({quotes})")).unwrap_or_default();
        let malformed = |line: usize, message: String| DataError::Malformed { path: path.to_owned(), line, message };
        let choose = |mut fields: Vec<String>| {
            let take = |&place: &usize| fields.get_mut(place).map(std::mem::take);
            places.iter().map(take).collect()
        };
        let rows = match self {
            Table::Tsv { header, rows, .. } => rows
                .into_iter()
                .map(|tsv::Row { line, fields }| {
                    let (found, expected) = (fields.len(), header.len());
                    match header.get(found) {
                        Some(missing) => Err(malformed(
                            line,
                            format!(
                                "the column `{}` is missing: {found} columns, expected {expected}{form}",
                                cut(missing)
                            ),
                        )),
                        None if found > expected => {
                            let names = header.join(", ");
                            let message = format!("{found} columns, expected {expected}: {}{form}", cut(&names));
                            Err(malformed(line, message))
                        }
                        None => Ok((line, choose(fields))),
                    }
                })
                .collect(),
            Table::Csv(mut records) => std::iter::from_fn(|| records.next_record())
                .map(|record| match record {
                    Ok(record) if places.first().is_some_and(|&label| joins_rows(&record, label, is_label)) => {
                        Err(malformed(
                            record.line,
                            "a quoted field continues on the next line, but this line is a complete row: a quote character in \
                             text must be doubled, in a quoted field"
                                .to_owned(),
                        ))
                    }
                    Ok(record) => Ok(Ok((record.line, choose(record.fields)))),
                    Err(Fault::Row { line, message }) => Ok(Err(malformed(line, message))),
                    Err(Fault::File(error)) => Err(error),
                })
                .collect::<Result<_, _>>()?,
            Table::Json { header, rows } => {
                let text = |object: &mut Object, line: usize, name: &str| match object.remove(name) {
                    Some(serde_json::Value::Null) => Ok(None),
                    Some(value) => Ok(Some(json_text(value))),
                    None => Err(malformed(line, format!("the key `{}` is missing", cut(name)))),
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

/// True if a CSV row spans several lines and its first line is a complete row with a valid label at the place `label`. This happens if a
/// file does not double its quotes: rows between two quotes then read as one field.
fn joins_rows(record: &Record, label: usize, is_label: &dyn Fn(&str) -> bool) -> bool {
    let Some((at, (first, _))) =
        record.fields.iter().enumerate().find_map(|(at, field)| Some((at, field.split_once('\n')?)))
    else {
        return false;
    };
    let line = record.fields[..at].iter().map(String::as_str).chain([first]).collect::<Vec<_>>().join(",");
    let columns: Vec<&str> = line.split(',').collect();
    columns.len() == record.fields.len() && columns.get(label).is_some_and(|text| is_label(text))
}

/// Reads the objects of a JSON lines file. The keys of the first readable object are the header.
fn objects(path: &Path) -> Result<Table, DataError> {
    let mut lines = Lines::open(path)?;
    let mut rows: Vec<(usize, Result<Object, String>)> = Vec::new();
    while let Some(line) = lines.next_line()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object =
            json::from_slice::<Object>(line).map_err(|error| format!("not a JSON object: {}", json::message(&error)));
        rows.push((lines.line(), object));
    }
    let first = rows.iter().find_map(|(_, object)| object.as_ref().ok());
    let header = first.map(|object| object.keys().cloned().collect()).unwrap_or_default();
    if let (Some((line, Err(message))), None) = (rows.first(), first) {
        return Err(DataError::Malformed { path: path.to_owned(), line: *line, message: message.clone() });
    }
    Ok(Table::Json { header, rows })
}
