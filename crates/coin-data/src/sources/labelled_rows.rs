//! Reads labeled rows from a file in any format of [`Table`] as instances.

use std::path::Path;

use crate::io::header::{column, is_repeated};
use crate::io::table::Table;
use crate::{DataError, Instance, ReadOptions, ReadReport};
use coin_core::quote::cut;

/// The columns to read.
pub(crate) struct Columns<'a> {
    /// Possible names of the label column. The first existing one is used.
    pub label: Vec<&'a str>,
    /// Field names, each with the possible names of its column.
    pub fields: Vec<(&'a str, Vec<&'a str>)>,
    /// The columns of a TSV file without a header.
    pub without_header: Option<&'a [&'a str]>,
}

/// The valid contents of the label column.
pub(crate) struct Classes<'a> {
    /// Returns the class of a text.
    pub of: &'a dyn Fn(&str) -> Option<usize>,
    /// The expected contents, for error messages.
    pub expected: String,
}

/// Appends the rows of the file `path` to `instances`. [`Instance::row`] counts from `report.rows`.
pub(crate) fn labelled_rows(
    path: &Path,
    task: &str,
    columns: &Columns<'_>,
    classes: &Classes<'_>,
    options: &ReadOptions,
    instances: &mut Vec<Instance>,
    report: &mut ReadReport,
) -> Result<(), DataError> {
    let malformed = |line: usize, message: String| DataError::Malformed { path: path.to_owned(), line, message };
    let table = Table::open(path, &columns.label, columns.without_header)?;
    let header = table.header().to_vec();
    if header.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), what: "row" });
    }
    report.forms.extend(table.quotes().map(|quotes| format!("{}: {quotes}", path.display())));
    let locate = |names: &[&str]| {
        let place = column(&header, names).ok_or_else(|| {
            let (wanted, found) = (names.join("` or `"), header.join(", "));
            let (wanted, found) = (cut(&wanted), cut(&found));
            malformed(table.header_line(), format!("the header has no column `{wanted}`, only: {found}"))
        })?;
        match is_repeated(&header, place) {
            true => {
                let message = format!("the column `{}` occurs twice in the header", cut(&header[place]));
                Err(malformed(table.header_line(), message))
            }
            false => Ok(place),
        }
    };
    let label = locate(&columns.label)?;
    let fields = columns.fields.iter().map(|(_, names)| locate(names)).collect::<Result<Vec<_>, DataError>>()?;
    let places: Vec<usize> = [label].into_iter().chain(fields).collect();

    let before = instances.len();
    let read = |row: Result<(usize, Vec<Option<String>>), DataError>, number: usize| {
        let (line, values) = row?;
        let texts = places.iter().zip(values).map(|(&place, value)| {
            value.ok_or_else(|| malformed(line, format!("column `{}`: no text", cut(&header[place]))))
        });
        let mut texts = texts.collect::<Result<Vec<String>, DataError>>()?.into_iter();
        let found = texts.next().unwrap_or_default();
        let class = (classes.of)(&found).ok_or_else(|| {
            let (found, name, expected) = (cut(&found), cut(&header[label]), cut(&classes.expected));
            malformed(line, format!("unknown label `{found}` in the column `{name}`, expected {expected}"))
        })?;
        let fields = columns.fields.iter().map(|(name, _)| *name).zip(texts);
        Ok(Instance::new(task, number, fields, class))
    };
    for row in table.rows(path, &places, &|text| (classes.of)(text.trim()).is_some())? {
        match read(row, report.rows) {
            Ok(instance) => instances.push(instance),
            Err(DataError::Malformed { path, line, message }) if options.skip_bad => {
                report.skip(line, format!("{}: {message}", path.display()));
            }
            Err(error) => return Err(error),
        }
        report.rows += 1;
    }
    if instances.len() == before {
        return Err(DataError::Empty { path: path.to_owned(), what: "row" });
    }
    Ok(())
}
