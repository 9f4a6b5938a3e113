//! Reads flat columns of a Parquet file as text, in batches of rows (feature `parquet`).
//!
//! Columns may contain text, integers, floating-point numbers and booleans, in plain or Snappy-compressed pages. The file is
//! untrusted: a dictionary that claims more values than it has bytes is refused before memory is allocated, and a panic
//! inside the crate `parquet` on a damaged file becomes an error.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::Type;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use coin_core::panic::caught;
use coin_core::quote::cut;

use crate::DataError;

/// Number of rows decoded at a time.
const BATCH: usize = 1024;

/// An open file with known columns.
pub(crate) struct Table {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    header: Vec<String>,
}

/// A row: its number, counted from 1, and the texts of the chosen columns, `None` for a null.
pub(crate) type Row = (usize, Vec<Option<String>>);

impl Table {
    /// Opens `path` and reads its schema.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io(path))?;
        if file.metadata().map_err(DataError::io(path))?.is_dir() {
            return Err(DataError::io(path)(std::io::ErrorKind::IsADirectory.into()));
        }
        guarded(path, || {
            let reader = SerializedFileReader::new(file).map_err(|error| broken(path, 0, &error))?;
            let fields = reader.metadata().file_metadata().schema().get_fields();
            let header = fields.iter().map(|field| field.name().to_owned()).collect();
            Ok(Table { path: path.to_owned(), reader, header })
        })
    }

    /// The column names.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Returns the rows with the columns at `places`, in this order.
    pub(crate) fn rows(self, places: &[usize]) -> Result<Rows, DataError> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let mut leaves = Vec::with_capacity(places.len());
        for &place in places {
            let name = &self.header[place];
            let flat = |column: &parquet::schema::types::ColumnDescPtr| {
                let known = !matches!(column.physical_type(), Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY);
                known && column.max_rep_level() == 0 && *column.path().parts() == [name.clone()]
            };
            let leaf = schema.columns().iter().position(flat).ok_or_else(|| {
                let message = format!("column `{}` is not of plain text or numbers", cut(name));
                DataError::Malformed { path: self.path.clone(), line: 0, message }
            })?;
            leaves.push((name.clone(), leaf));
        }
        Ok(Rows { table: self, leaves, group: 0, columns: Vec::new(), left: 0, batch: Vec::new().into_iter(), row: 0 })
    }
}

/// The rows of a [`Table`]. After an error the iterator ends.
pub(crate) struct Rows {
    table: Table,
    /// The chosen columns: name, and index among the leaves of the schema.
    leaves: Vec<(String, usize)>,
    /// The next row group.
    group: usize,
    /// The columns of the current row group.
    columns: Vec<ColumnReader>,
    /// Rows of the current group that are not yet decoded.
    left: usize,
    batch: std::vec::IntoIter<Vec<Option<String>>>,
    row: usize,
}

impl Iterator for Rows {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.batch.len() == 0 {
            let path = self.table.path.clone();
            match guarded(&path, || self.decode()) {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(error) => {
                    (self.left, self.group) = (0, usize::MAX);
                    self.columns.clear();
                    return Some(Err(error));
                }
            }
        }
        let fields = self.batch.next()?;
        self.row += 1;
        Some(Ok((self.row, fields)))
    }
}

impl Rows {
    /// Decodes the next rows; returns no rows at the end of the file.
    fn decode(&mut self) -> Result<Vec<Vec<Option<String>>>, DataError> {
        let path = &self.table.path;
        let broken = |error: ParquetError| broken(path, self.row + 1, &error);
        while self.left == 0 {
            if self.group >= self.table.reader.num_row_groups() {
                return Ok(Vec::new());
            }
            let group = self.table.reader.get_row_group(self.group).map_err(broken)?;
            self.group += 1;
            self.left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            self.columns.clear();
            for &(_, leaf) in &self.leaves {
                let pages = CheckedPages(group.get_column_page_reader(leaf).map_err(broken)?);
                let column = group.metadata().column(leaf).column_descr_ptr();
                self.columns.push(get_column_reader(column, Box::new(pages)));
            }
        }
        let wanted = self.left.min(BATCH);
        let mut rows = vec![Vec::with_capacity(self.columns.len()); wanted];
        for (column, (name, _)) in self.columns.iter_mut().zip(&self.leaves) {
            let malformed = |message: String| DataError::Malformed {
                path: path.clone(),
                line: self.row + 1,
                message: format!("column `{}`: {message}", cut(name)),
            };
            let values = texts(column, wanted).map_err(malformed)?;
            if values.len() != wanted {
                return Err(malformed(format!("ends {} rows early", wanted - values.len().min(wanted))));
            }
            for (row, value) in rows.iter_mut().zip(values) {
                row.push(value);
            }
        }
        self.left -= wanted;
        Ok(rows)
    }
}

/// Returns the next values of `column`, at most `wanted`.
fn texts(column: &mut ColumnReader, wanted: usize) -> Result<Vec<Option<String>>, String> {
    match column {
        ColumnReader::BoolColumnReader(column) => values(column, wanted, |value| Ok(value.to_string())),
        ColumnReader::Int32ColumnReader(column) => values(column, wanted, |value| Ok(value.to_string())),
        ColumnReader::Int64ColumnReader(column) => values(column, wanted, |value| Ok(value.to_string())),
        ColumnReader::FloatColumnReader(column) => values(column, wanted, |value| Ok(value.to_string())),
        ColumnReader::DoubleColumnReader(column) => values(column, wanted, |value| Ok(value.to_string())),
        ColumnReader::ByteArrayColumnReader(column) => values(column, wanted, |value| {
            std::str::from_utf8(value.data()).map(str::to_owned).map_err(|_| "invalid UTF-8".to_owned())
        }),
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err("neither text nor numbers".to_owned())
        }
    }
}

fn values<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    wanted: usize,
    text: impl Fn(&T::T) -> Result<String, String>,
) -> Result<Vec<Option<String>>, String> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (rows, ..) =
        column.read_records(wanted, Some(&mut levels), None, &mut values).map_err(|error| error.to_string())?;
    let mut values = values.iter();
    // A required column has no definition levels.
    let present = |at: usize| levels.get(at).is_none_or(|&level| level > 0);
    let mut value = |at: usize| match present(at).then(|| values.next()).flatten() {
        Some(value) => text(value).map(Some),
        None => Ok(None),
    };
    (0..rows).map(&mut value).collect()
}

/// A page reader that refuses a dictionary with more values than bytes.
struct CheckedPages(Box<dyn PageReader>);

impl Iterator for CheckedPages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let page = self.0.get_next_page()?;
        if let Some(Page::DictionaryPage { buf, num_values, .. }) = &page
            && *num_values as usize > buf.len()
        {
            return Err(ParquetError::General(format!("a dictionary of {num_values} values in {} bytes", buf.len())));
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.skip_next_page()
    }
}

fn broken(path: &Path, line: usize, error: &ParquetError) -> DataError {
    // Some messages have several lines.
    let error = error.to_string().replace('\n', " ");
    let error = cut(&error);
    DataError::Malformed { path: path.to_owned(), line, message: format!("not a readable Parquet file: {error}") }
}

/// Runs `read` and turns a panic of the crate `parquet` into an error. After an error, the reader must not be used again.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    caught(read).unwrap_or_else(|_| {
        let message = "not a readable Parquet file: it is damaged".to_owned();
        Err(DataError::Malformed { path: path.to_owned(), line: 0, message })
    })
}
