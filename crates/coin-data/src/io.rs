//! Readers of files of rows: CSV, TSV, JSON lines and Parquet.

pub(crate) mod csv;
pub(crate) mod header;
mod json_text;
pub(crate) mod lines;
#[cfg(feature = "parquet")]
pub(crate) mod parquet_table;
pub(crate) mod python_literal;
mod read_report;
pub(crate) mod table;
mod tsv;

pub(crate) use json_text::json_text;
pub use read_report::{ReadOptions, ReadReport};
