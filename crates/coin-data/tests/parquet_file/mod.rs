//! Writes small Parquet files for the tests.
#![allow(dead_code)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A column of text, which may be null, or of integers.
pub enum Column<'a> {
    Text(&'a [Option<&'a str>]),
    Numbers(&'a [i64]),
}

/// Writes the columns to `path`, in groups of `group` rows.
pub fn write(path: &Path, columns: &[(&str, Column<'_>)], compression: Compression, group: usize) {
    let fields: String = columns
        .iter()
        .map(|(name, column)| match column {
            Column::Text(_) => format!("optional binary {name} (UTF8); "),
            Column::Numbers(_) => format!("required int64 {name}; "),
        })
        .collect();
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {fields} }}")).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let rows = columns.iter().map(|(_, column)| match column {
        Column::Text(values) => values.len(),
        Column::Numbers(values) => values.len(),
    });
    let rows = rows.max().unwrap_or(0);
    for start in (0..rows).step_by(group.max(1)) {
        let end = rows.min(start + group);
        let mut written = writer.next_row_group().unwrap();
        for (_, column) in columns {
            let mut open = written.next_column().unwrap().unwrap();
            match column {
                Column::Text(values) => {
                    let values = &values[start..end];
                    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                    let texts: Vec<ByteArray> = values.iter().flatten().map(|&text| text.into()).collect();
                    open.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
                }
                Column::Numbers(values) => {
                    open.typed::<Int64Type>().write_batch(&values[start..end], None, None).unwrap();
                }
            }
            open.close().unwrap();
        }
        written.close().unwrap();
    }
    writer.close().unwrap();
}
