//! Reads comma-separated rows one at a time, in the form that pandas writes (RFC 4180).
//!
//! A field that contains a quote, comma or line feed is enclosed in quotes, and quotes inside it are doubled. Rows end in `\n` or
//! `\r\n`; a carriage return anywhere else is text. Empty lines are skipped. Where a lenient reader would guess, this one
//! returns an error with line and column: for a quote inside an unquoted field, text after the closing quote, a quote that
//! is never closed, and a row with more or fewer columns than the header.

use std::path::Path;

use crate::DataError;
use crate::io::lines::{Lines, MAX_ROW, too_long};
use coin_core::quote::cut;

/// A row: its first line, counted from 1, and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) line: usize,
    pub(crate) fields: Vec<String>,
}

/// An error in a row or in the file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// This row cannot be read, but the next one can.
    Row {
        /// The first line of the row.
        line: usize,
        /// The problem: found and expected content.
        message: String,
    },
    /// The rest of the file cannot be read. After a quoting error the end of the row is unknown.
    File(DataError),
}

/// A file with a header, and its rows.
#[derive(Debug)]
pub(crate) struct Records {
    lines: Lines,
    header: Vec<String>,
}

impl Records {
    /// Opens `path` and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let mut records = Records { lines: Lines::open(path)?, header: Vec::new() };
        match records.next_record() {
            Some(Ok(header)) => records.header = header.fields,
            Some(Err(Fault::File(error))) => return Err(error),
            Some(Err(Fault::Row { line, message })) => {
                return Err(DataError::Malformed { path: path.to_owned(), line, message });
            }
            None => {}
        }
        Ok(records)
    }

    /// The column names; empty for a file without rows.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        self.lines.path()
    }

    /// The next row, with as many fields as the header; `None` after the last row.
    pub(crate) fn next_record(&mut self) -> Option<Result<Record, Fault>> {
        let mut row = Row::default();
        let mut start = 0;
        let mut size = 0;
        loop {
            let line = match self.lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) if !row.open => return None,
                Ok(None) => {
                    let message = format!("{}: the quote is never closed", self.column(row.fields.len()));
                    return Some(Err(self.file(start, message)));
                }
                Err(error) => return Some(Err(Fault::File(error))),
            };
            size += line.len() + 1;
            let result = if row.open || !matches!(line, b"" | b"\r") { row.read(line) } else { continue };
            if start == 0 {
                start = self.lines.line();
            }
            match result {
                Err(message) => {
                    let message = format!("{}: {message}", self.column(row.fields.len()));
                    return Some(Err(self.file(self.lines.line(), message)));
                }
                Ok(()) if row.open && size > MAX_ROW => return Some(Err(Fault::File(too_long(self.path(), start)))),
                Ok(()) if row.open => continue,
                Ok(()) => return Some(self.record(start, row.fields)),
            }
        }
    }

    fn record(&self, line: usize, raw: Vec<Vec<u8>>) -> Result<Record, Fault> {
        let (found, expected) = (raw.len(), self.header.len());
        if expected > 0 && found != expected {
            let message = match self.header.get(found) {
                Some(missing) => {
                    format!("the column `{}` is missing: {found} columns, expected {expected}", cut(missing))
                }
                None => format!("{found} columns, expected {expected}: {}", cut(&self.header.join(", "))),
            };
            return Err(Fault::Row { line, message });
        }
        let mut fields = Vec::with_capacity(found);
        for (at, bytes) in raw.into_iter().enumerate() {
            let text = String::from_utf8(bytes)
                .map_err(|_| Fault::Row { line, message: format!("{}: invalid UTF-8", self.column(at)) })?;
            fields.push(text);
        }
        Ok(Record { line, fields })
    }

    fn file(&self, line: usize, message: String) -> Fault {
        Fault::File(DataError::Malformed { path: self.path().to_owned(), line, message })
    }

    fn column(&self, at: usize) -> String {
        match self.header.get(at) {
            Some(name) => format!("column `{}`", cut(name)),
            None => format!("column {}", at + 1),
        }
    }
}

/// A row that is being read.
#[derive(Default)]
struct Row {
    fields: Vec<Vec<u8>>,
    /// The current field.
    field: Vec<u8>,
    /// True if a quoted field continues on the next line.
    open: bool,
}

impl Row {
    /// Reads a line, given without its line feed.
    fn read(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let mut rest = line;
        loop {
            if !self.open && rest.first() == Some(&b'"') {
                self.open = true;
                rest = &rest[1..];
            }
            if self.open {
                let Some(quote) = rest.iter().position(|&byte| byte == b'"') else {
                    self.field.extend_from_slice(rest);
                    self.field.push(b'\n');
                    return Ok(());
                };
                self.field.extend_from_slice(&rest[..quote]);
                rest = &rest[quote + 1..];
                if rest.first() == Some(&b'"') {
                    self.field.push(b'"');
                    rest = &rest[1..];
                    continue;
                }
                self.open = false;
                if !matches!(rest, b"" | b"\r" | [b',', ..]) {
                    return Err("text after the closing quote; a quote inside a quoted field is doubled");
                }
            } else {
                let end = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
                let field = &rest[..end];
                if field.contains(&b'"') {
                    return Err("a quote inside a field without quotes; such a field is quoted and its quotes doubled");
                }
                let at_end = end == rest.len();
                self.field.extend_from_slice(if at_end { field.strip_suffix(b"\r").unwrap_or(field) } else { field });
                rest = &rest[end..];
            }
            self.fields.push(std::mem::take(&mut self.field));
            match rest.split_first() {
                Some((b',', after)) => rest = after,
                _ => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows after the header, with their lines, or the first error.
    fn rows(bytes: impl AsRef<[u8]>) -> Result<Vec<(usize, Vec<String>)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let name = |error: DataError| error.to_string().replace(&file.path().display().to_string(), "F");
        let mut records = Records::open(file.path()).map_err(name)?;
        let mut rows = Vec::new();
        while let Some(row) = records.next_record() {
            match row {
                Ok(row) => rows.push((row.line, row.fields)),
                Err(Fault::File(error)) => return Err(name(error)),
                Err(Fault::Row { line, message }) => return Err(format!("row F:{line}: {message}")),
            }
        }
        Ok(rows)
    }

    fn fields(text: &str) -> Vec<Vec<String>> {
        rows(text).unwrap().into_iter().map(|(_, fields)| fields).collect()
    }

    #[test]
    fn quoted_fields_hold_anything() {
        let text = "a,b\n\"one, two\",\"say \"\"no\"\"\"\r\n\"\",\n,\"\"\"\"\n";
        assert_eq!(fields(text), [["one, two", "say \"no\""], ["", ""], ["", "\""]]);
        assert_eq!(fields("a,b\na\rb,c\r\n"), [["a\rb", "c"]]);
        assert_eq!(fields("\u{feff}\"a\",b\nx,y"), [["x", "y"]]);
        assert_eq!(fields("a\n\"b\"\n"), [["b"]]);
    }

    #[test]
    fn lines_are_counted_through_breaks_and_empty_lines() {
        let read = rows("a,b\n\n\"x\r\ny\n\",1\n\r\nz,2\n").unwrap();
        assert_eq!(read[0], (3, vec!["x\r\ny\n".to_owned(), "1".to_owned()]));
        assert_eq!(read[1].0, 7);
        assert_eq!(rows("").unwrap(), []);
    }

    #[test]
    fn faults_name_line_and_column() {
        let message = |text: &str| rows(text).unwrap_err();
        assert!(message("a,b\nx,y\nx,a 5\" nail\n").starts_with("F:3: column `b`: a quote inside a field without quo"));
        assert!(message("a,b\n\"x\" y,z\n").starts_with("F:2: column `a`: text after the closing quote"));
        assert_eq!(message("a,b\nx,y\n\"x,y\nx,y\n"), "F:3: column `a`: the quote is never closed");
        assert_eq!(message("a,b\nx,y\nx\n"), "row F:3: the column `b` is missing: 1 columns, expected 2");
        assert_eq!(message("a,b\nx,y,z\n"), "row F:2: 3 columns, expected 2: a, b");
        assert_eq!(rows(b"a,b\nx,caf\xe9\n").unwrap_err(), "row F:2: column `b`: invalid UTF-8");
        assert!(message("a\"b\n").starts_with("F:1: column 1: a quote inside"));
    }
}
