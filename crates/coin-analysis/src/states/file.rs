//! Reads and writes the safetensors file.
//!
//! The header is written here, because the serializer of the safetensors crate needs all tensors in memory. It is parsed with
//! the crate.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use coin_core::quote::cut;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::{Map, Value, json};

use super::labels::Labels;
use super::{Representations, StateLabel};
use crate::AnalysisError;

const FORMAT: &str = "coin.representations";
const VERSION: &str = "1";
/// Maximum size of a header in bytes, as in the safetensors crate.
const MAX_HEADER: u64 = 100_000_000;

/// Writes a file. `write_states` writes the states, `[n, width]` in little-endian f32.
pub(super) fn write(
    path: &Path,
    model: &str,
    width: usize,
    labels: &Labels,
    write_states: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), AnalysisError> {
    let count = labels.len();
    if count == 0 {
        return Err(AnalysisError::Invalid(format!("{}: there are no hidden states to write", path.display())));
    }
    let mut columns: Vec<(&str, Vec<i64>)> = [
        ("task", &labels.task),
        ("level", &labels.level),
        ("instruction", &labels.instruction),
        ("row", &labels.row),
        ("gold", &labels.gold),
    ]
    .map(|(name, column)| (name, column.iter().map(|value| *value as i64).collect()))
    .to_vec();
    if !labels.predicted.is_empty() {
        columns.push(("pred", labels.predicted.clone()));
    }

    let mut header = Map::new();
    let names = |names: &[String]| json!(names).to_string();
    header.insert(
        "__metadata__".to_owned(),
        json!({
            "format": FORMAT, "version": VERSION, "model": model,
            "tasks": names(&labels.tasks), "levels": names(&labels.levels),
        }),
    );
    let mut end = 0;
    let mut tensor = |name: &str, dtype: &str, shape: Value, size: usize| {
        let offsets = [end, end + size];
        end += size;
        header.insert(name.to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
    };
    for (name, _) in &columns {
        tensor(name, "I64", json!([count]), 8 * count);
    }
    tensor("hidden", "F32", json!([count, width]), 4 * count * width);
    let mut header = Value::Object(header).to_string().into_bytes();
    // Spaces after the header align the tensors, so that a memory-mapped file can be used directly.
    header.resize(header.len().next_multiple_of(8), b' ');

    coin_core::file::replace(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for (_, column) in &columns {
            column.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()))?;
        }
        write_states(writer)
    })
    .map_err(AnalysisError::io(path))
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Representations, AnalysisError> {
    let malformed = |message: String| AnalysisError::Malformed { path: path.to_owned(), message };
    let file = File::open(path).map_err(AnalysisError::io(path))?;
    let size = file.metadata().map_err(AnalysisError::io(path))?.len();
    let mut reader = BufReader::new(file);
    let (header, start) = read_header(&mut reader, size).map_err(|fault| fault.named(path))?;

    let names = header.metadata().clone().unwrap_or_default();
    let text = |key: &str| names.get(key).ok_or_else(|| malformed(format!("`{key}` is missing from the metadata")));
    if text("format")? != FORMAT || text("version")? != VERSION {
        let found = format!("is `{}` version {}", cut(text("format")?), cut(text("version")?));
        return Err(malformed(format!("{found}, expected `{FORMAT}` version {VERSION}")));
    }
    let list = |key: &str| -> Result<Vec<String>, AnalysisError> {
        coin_core::json::from_str(text(key)?)
            .map_err(|error| malformed(format!("`{key}` is not a list of names: {}", cut(&error.to_string()))))
    };
    let (tasks, levels, model) = (list("tasks")?, list("levels")?, text("model")?.clone());
    let info = |name: &str| header.info(name).ok_or_else(|| malformed(format!("the tensor `{name}` is missing")));
    let [count, width] = info("hidden")?.shape[..] else {
        return Err(malformed(format!(
            "`hidden` has shape {}, expected [n, d_model]",
            cut(&format!("{:?}", info("hidden")?.shape))
        )));
    };
    if count == 0 || width == 0 {
        return Err(malformed(format!("`hidden` has shape [{count}, {width}], expected at least one state")));
    }

    let mut bytes = |info: &TensorInfo| -> Result<Vec<u8>, AnalysisError> {
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        let read = io::Seek::seek(&mut reader, io::SeekFrom::Start(start + from as u64))
            .and_then(|_| reader.read_exact(&mut bytes));
        read.map(|()| bytes).map_err(AnalysisError::io(path))
    };
    let mut column = |name: &str| -> Result<Vec<i64>, AnalysisError> {
        let info = info(name)?;
        if info.dtype != Dtype::I64 || info.shape != [count] {
            let found = format!("`{name}` is {:?} {}", info.dtype, cut(&format!("{:?}", info.shape)));
            return Err(malformed(format!("{found}, expected I64 [{count}]")));
        }
        let bytes = bytes(info)?;
        Ok(bytes.as_chunks().0.iter().map(|value| i64::from_le_bytes(*value)).collect())
    };
    let predicted = if header.info("pred").is_some() { column("pred")? } else { Vec::new() };
    let [task, level, instruction, row, gold] =
        [column("task")?, column("level")?, column("instruction")?, column("row")?, column("gold")?];
    let mut labels = Labels::default();
    for index in 0..count {
        let number = |name: &str, column: &[i64]| {
            usize::try_from(column[index]).map_err(|_| malformed(format!("`{name}` of state {index} is negative")))
        };
        let name = |key: &str, names: &[String], column: &[i64]| {
            let unknown =
                || malformed(format!("`{key}` of state {index} is {}, which does not have a name", column[index]));
            usize::try_from(column[index]).ok().and_then(|at| names.get(at).cloned()).ok_or_else(unknown)
        };
        let label = StateLabel {
            task: &name("task", &tasks, &task)?,
            level: &name("level", &levels, &level)?,
            instruction: number("instruction", &instruction)?,
            row: number("row", &row)?,
            gold: number("gold", &gold)?,
            predicted: predicted.get(index).copied(),
        };
        labels.push(&label).map_err(|error| malformed(error.to_string()))?;
    }

    let info = info("hidden")?;
    let stored = bytes(info)?;
    let hidden: Vec<f32> = match info.dtype {
        Dtype::F32 => stored.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        Dtype::F16 => stored.as_chunks().0.iter().map(|value| f16::from_le_bytes(*value).to_f32()).collect(),
        Dtype::BF16 => stored.as_chunks().0.iter().map(|value| bf16::from_le_bytes(*value).to_f32()).collect(),
        other => return Err(malformed(format!("`hidden` is {other:?}, expected F32, F16 or BF16"))),
    };
    if let Some(at) = hidden.iter().position(|value| !value.is_finite()) {
        return Err(malformed(format!("state {} is not finite", at / width)));
    }
    Ok(Representations { model, width, labels, hidden })
}

enum Fault {
    Io(io::Error),
    Form(String),
}

impl Fault {
    fn named(self, path: &Path) -> AnalysisError {
        match self {
            Fault::Io(source) => AnalysisError::io(path)(source),
            Fault::Form(message) => AnalysisError::Malformed { path: path.to_owned(), message },
        }
    }
}

/// Reads the header, checks it against the file size, and returns it with the offset of the tensors.
fn read_header(reader: &mut impl Read, size: u64) -> Result<(Metadata, u64), Fault> {
    let short = |what: String| Fault::Form(format!("is truncated or not a safetensors file: {what}"));
    if size < 8 {
        return Err(short(format!("{size} bytes")));
    }
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(Fault::Io)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER || length > size - 8 {
        return Err(short(format!("a header of {length} bytes in a file of {size} bytes")));
    }
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header).map_err(Fault::Io)?;
    let header: Metadata = coin_core::json::from_slice(&header)
        .map_err(|error| Fault::Form(format!("invalid safetensors header: {}", cut(&error.to_string()))))?;
    let (data, expected) = (size - 8 - length, header.data_len() as u64);
    if data != expected {
        return Err(short(format!("{data} bytes of tensors, expected {expected}")));
    }
    Ok((header, 8 + length))
}
