//! Reads the rows of FLAN's files: JSON lines or Parquet, with the columns of FLAN's program.

use std::path::{Path, PathBuf};

use crate::DataError;
use crate::io::json_text;
use crate::io::lines::Lines;
use coin_core::json;

/// A row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) inputs: String,
    pub(super) targets: String,
    pub(super) task: String,
    pub(super) source: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) template: Option<usize>,
}

/// The columns, each with its possible names. The first three are required.
const COLUMNS: [&[&str]; 6] = [
    &["inputs", "input"],
    &["targets", "target"],
    &["_task_name", "task_name"],
    &["_task_source", "task_source"],
    &["_template_type", "template_type"],
    &["_template_idx", "template_idx"],
];

/// Number of required columns.
const REQUIRED: usize = 3;

impl Row {
    /// Creates a row from the values of [`COLUMNS`].
    fn new(mut values: [Option<String>; 6]) -> Result<Self, String> {
        if let Some(missing) = (0..REQUIRED).find(|&column| values[column].is_none()) {
            return Err(format!("no `{}`", COLUMNS[missing][0]));
        }
        let mut take = |column: usize| values[column].take();
        let [inputs, targets, task] = [0, 1, 2].map(|column| take(column).unwrap_or_default());
        // Tasks without templates have -1 or no number.
        let template = take(5).and_then(|text| text.parse().ok());
        Ok(Row { inputs, targets, task, source: take(3), kind: take(4), template })
    }
}

/// The files of a folder and its subfolders, in the order of their paths.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Empty`] without files.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(DataError::io(&folder))? {
            let path = entry.map_err(DataError::io(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "jsonl" || ending == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(DataError::Empty { path: folder.to_owned(), what: "file .jsonl or .parquet" }),
        false => Ok(found),
    }
}

/// Calls `see` with each row of `path`.
///
/// # Errors
/// A file that cannot be read, or a row without a required column.
pub(super) fn each(path: &Path, see: &mut dyn FnMut(Row)) -> Result<(), DataError> {
    if path.extension().is_some_and(|ending| ending == "parquet") {
        return parquet(path, see);
    }
    let mut lines = Lines::open(path)?;
    loop {
        let Some(line) = lines.next_line()? else { return Ok(()) };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object = json::from_slice::<serde_json::Map<String, serde_json::Value>>(line);
        let row =
            object.map_err(|error| format!("not a row of FLAN: {}", json::message(&error))).and_then(|mut object| {
                Row::new(COLUMNS.map(|names| {
                    let value = names.iter().find_map(|name| object.remove(*name)).filter(|value| !value.is_null());
                    value.map(json_text)
                }))
            });
        let line = lines.line();
        see(row.map_err(|message| DataError::Malformed { path: path.to_owned(), line, message })?);
    }
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path, see: &mut dyn FnMut(Row)) -> Result<(), DataError> {
    let table = crate::io::parquet_table::Table::open(path)?;
    let place = |names: &[&str]| names.iter().find_map(|name| table.header().iter().position(|column| column == name));
    let places = COLUMNS.map(place);
    let present: Vec<usize> = places.iter().flatten().copied().collect();
    for row in table.rows(&present)? {
        let (line, fields) = row?;
        let mut fields = fields.into_iter();
        let values = places.map(|place| place.and_then(|_| fields.next()).flatten());
        let row = Row::new(values);
        see(row.map_err(|message| DataError::Malformed { path: path.to_owned(), line, message })?);
    }
    Ok(())
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path, _: &mut dyn FnMut(Row)) -> Result<(), DataError> {
    Err(DataError::Feature { path: path.to_owned(), feature: "parquet" })
}
