//! Tensors in files: safetensors, which are mapped into memory, and PyTorch's `.bin`, which is read one tensor at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::TensorData;
use coin_core::quote::cut;
use coin_core::{CoreError, model_files};
use half::{bf16, f16};
use memmap2::Mmap;
use pytorch_reader::PytorchReader;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::ModelError;
use crate::weight::FloatType;

/// The tensors of a folder's weight files by name. Values are read on demand.
#[derive(Debug)]
pub(crate) struct WeightFiles {
    /// The file, or the index of the shards.
    pub(crate) path: PathBuf,
    pub(crate) tensors: BTreeMap<String, StoredTensor>,
}

/// One tensor of a file.
#[derive(Debug)]
pub(crate) struct StoredTensor {
    path: PathBuf,
    shape: Vec<usize>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Safetensors { dtype: Dtype, map: Arc<Mmap>, range: Range<usize> },
    Pytorch(pytorch_reader::Tensor),
}

/// Returns the pages of `range` to the system. They will not be read again.
fn release(map: &Mmap, range: &Range<usize>) {
    #[cfg(unix)]
    // SAFETY: the map is read-only and backed by a file, so a returned page is read from the file again on access. If the call
    // fails, the pages stay in memory.
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
    #[cfg(not(unix))]
    let _ = (map, range);
}

impl WeightFiles {
    /// Opens the weights named `stem` in the folder `dir`: `stem.safetensors` or its shards, or otherwise the PyTorch file
    /// `pytorch_stem.bin` or its shards.
    ///
    /// # Errors
    /// There is no such file, an index names a missing file, or a file is damaged.
    pub(crate) fn open(dir: &Path, stem: &str, pytorch_stem: &str) -> Result<Self, ModelError> {
        let names = [format!("{stem}.safetensors"), format!("{pytorch_stem}.bin")];
        for name in &names {
            let (single, index) = (dir.join(name), dir.join(format!("{name}.index.json")));
            if single.exists() {
                let tensors = tensors_of(&single)?;
                return Ok(WeightFiles { path: single, tensors });
            }
            if index.exists() {
                let mut tensors = BTreeMap::new();
                for shard in shard_paths(&index)? {
                    tensors.extend(tensors_of(&shard)?);
                }
                return Ok(WeightFiles { path: index, tensors });
            }
        }
        let missing = std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!("no weights found: expected {} or {}, or an index of its shards (.index.json)", names[0], names[1]),
        );
        Err(ModelError::Io { path: dir.to_owned(), source: missing })
    }
}

/// Returns the paths of the files that the index at `index` lists.
fn shard_paths(index: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let names = model_files::shards(index).map_err(|error| match error {
        CoreError::Io { path, source } => ModelError::Io { path, source },
        CoreError::Malformed { path, line: 0, message } => ModelError::Malformed { path, message },
        CoreError::Malformed { path, line, message } => {
            ModelError::Malformed { path, message: format!("line {line}: {message}") }
        }
        other => ModelError::malformed(index)(other),
    })?;
    let fault = |message: String| Err(ModelError::Malformed { path: index.to_owned(), message });
    let mut files = Vec::with_capacity(names.len());
    for name in &names {
        if Path::new(name).file_name().is_none_or(|file| file != name.as_str()) {
            return fault(format!("it lists `{}`, which is not a plain file name", cut(name)));
        }
        let file = index.with_file_name(name);
        if !file.is_file() {
            return fault(format!("it lists `{}`, which is not in the folder", cut(name)));
        }
        files.push(file);
    }
    Ok(files)
}

fn tensors_of(path: &Path) -> Result<BTreeMap<String, StoredTensor>, ModelError> {
    if path.extension().is_some_and(|kind| kind == "bin") {
        let reader = PytorchReader::new(path).map_err(ModelError::malformed(path))?;
        let stored = reader.into_tensors().into_iter().map(|(name, tensor)| {
            let shape = tensor.shape().to_vec();
            (name, StoredTensor { path: path.to_owned(), shape, content: Content::Pytorch(tensor) })
        });
        return Ok(stored.collect());
    }
    let file = File::open(path).map_err(ModelError::io(path))?;
    // SAFETY: the map is read-only and private. As with every mapped file, a program that shortens the file meanwhile could crash
    // this one.
    let map = Arc::new(unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))?);
    let parsed = SafeTensors::deserialize(&map).map_err(ModelError::malformed(path))?;
    // The reader keeps the last of two tensors of the same name, so duplicate names are checked here. It has checked that the header
    // is inside the file.
    let length = map.first_chunk().map_or(0, |length| u64::from_le_bytes(*length) as usize);
    let header = map.get(8..8_usize.saturating_add(length)).unwrap_or_default();
    coin_core::json::from_slice::<serde::de::IgnoredAny>(header).map_err(ModelError::malformed(path))?;
    let base = map.as_ptr() as usize;
    let stored = parsed.tensors().into_iter().map(|(name, view)| {
        let start = view.data().as_ptr() as usize - base;
        let range = start..start + view.data().len();
        let content = Content::Safetensors { dtype: view.dtype(), map: map.clone(), range };
        (name, StoredTensor { path: path.to_owned(), shape: view.shape().to_vec(), content })
    });
    Ok(stored.collect())
}

impl StoredTensor {
    /// Returns the extents, outermost first.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Reads the values as f32, row by row. Errors name the tensor `name`.
    ///
    /// # Errors
    /// The type is not a float of at most 32 bits, or the file cannot be read.
    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        self.converted(name, false, &mut |value| value)
    }

    /// Reads the values in the number type `dtype`, row by row of the matrix or of its transpose. Also returns true if all are finite
    /// in that type. Allocates only the result.
    ///
    /// # Errors
    /// See [`floats`](Self::floats).
    pub(crate) fn data(
        &self,
        name: &str,
        transposed: bool,
        dtype: FloatType,
    ) -> Result<(TensorData, bool), ModelError> {
        let mut shape = self.shape.clone();
        if transposed {
            shape.reverse();
        }
        let mut finite = true;
        // A value outside the range of the number type becomes infinite.
        let data = match dtype {
            FloatType::F32 => {
                let mut as_it_is = |value: f32| {
                    finite &= value.is_finite();
                    value
                };
                TensorData::new(self.converted(name, transposed, &mut as_it_is)?, shape)
            }
            FloatType::F16 => {
                let mut rounded = |value: f32| {
                    let value = f16::from_f32(value);
                    finite &= value.is_finite();
                    value
                };
                TensorData::new(self.converted(name, transposed, &mut rounded)?, shape)
            }
            FloatType::Bf16 => {
                let mut rounded = |value: f32| {
                    let value = bf16::from_f32(value);
                    finite &= value.is_finite();
                    value
                };
                TensorData::new(self.converted(name, transposed, &mut rounded)?, shape)
            }
        };
        Ok((data, finite))
    }

    fn converted<T: Copy + Default>(
        &self,
        name: &str,
        transposed: bool,
        convert: &mut impl FnMut(f32) -> T,
    ) -> Result<Vec<T>, ModelError> {
        let unsupported = |dtype: &dyn std::fmt::Debug| {
            let message = format!("`{}` has type {dtype:?}, expected F32, F16 or BF16", cut(name));
            ModelError::Malformed { path: self.path.clone(), message }
        };
        // A vector is one row.
        let [rows, columns] = match self.shape[..] {
            [rows, columns] if transposed => [rows, columns],
            _ => [1, self.shape.iter().product()],
        };
        let mut of = |dtype: FloatType, stored: &[u8]| match dtype {
            FloatType::F32 => turn(stored, rows, columns, &mut |b: [u8; 4]| convert(f32::from_le_bytes(b))),
            FloatType::F16 => turn(stored, rows, columns, &mut |b: [u8; 2]| convert(f16::from_le_bytes(b).to_f32())),
            FloatType::Bf16 => turn(stored, rows, columns, &mut |b: [u8; 2]| convert(bf16::from_le_bytes(b).to_f32())),
        };
        match &self.content {
            Content::Safetensors { dtype, map, range } => {
                let dtype = match dtype {
                    Dtype::F32 => FloatType::F32,
                    Dtype::F16 => FloatType::F16,
                    Dtype::BF16 => FloatType::Bf16,
                    other => return Err(unsupported(other)),
                };
                let values = of(dtype, &map[range.clone()]);
                release(map, range);
                Ok(values)
            }
            Content::Pytorch(tensor) => {
                let dtype = match tensor.dtype() {
                    pytorch_reader::DType::F32 => FloatType::F32,
                    pytorch_reader::DType::F16 => FloatType::F16,
                    pytorch_reader::DType::BF16 => FloatType::Bf16,
                    other => return Err(unsupported(&other)),
                };
                // The reader returns native bytes, which are little-endian on every supported platform.
                Ok(of(dtype, &tensor.read().map_err(ModelError::io(&self.path))?))
            }
        }
    }
}

/// Returns the numbers of `stored`, a matrix of `rows` by `columns`, in column order.
fn turn<const N: usize, T: Copy + Default>(
    stored: &[u8],
    rows: usize,
    columns: usize,
    number: &mut impl FnMut([u8; N]) -> T,
) -> Vec<T> {
    /// Side of the square tiles that are transposed together. Two tiles fit into the first-level cache.
    const TILE: usize = 32;
    let (numbers, _) = stored.as_chunks::<N>();
    if rows == 1 {
        return numbers.iter().map(|&bytes| number(bytes)).collect();
    }
    let mut out = vec![T::default(); numbers.len()];
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for row in top..rows.min(top + TILE) {
                for column in left..columns.min(left + TILE) {
                    out[column * rows + row] = number(numbers[row * columns + column]);
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_name_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let tensor = |from: usize| format!(r#""a":{{"dtype":"F32","shape":[1],"data_offsets":[{from},{}]}}"#, from + 4);
        for (count, refused) in [(1, false), (2, true)] {
            let header = format!("{{{}}}", (0..count).map(|at| tensor(4 * at)).collect::<Vec<_>>().join(","));
            // The reader requires that the tensors it keeps fill the file from the start.
            let header = if refused { header.replace("[4,8]", "[0,4]") } else { header };
            let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &1_f32.to_le_bytes()].concat();
            std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
            let found = WeightFiles::open(dir.path(), "model", "pytorch_model").map_err(|error| error.to_string());
            match refused {
                false => assert_eq!(found.unwrap().tensors["a"].floats("a").unwrap(), [1.0]),
                true => assert!(found.unwrap_err().contains("duplicate key `a`")),
            }
        }
        let index = r#"{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}"#;
        std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
        std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        let message = WeightFiles::open(dir.path(), "model", "pytorch_model").unwrap_err().to_string();
        assert!(message.contains("index.json") && message.contains("duplicate key `a`"), "{message}");
    }
}
