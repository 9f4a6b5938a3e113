//! Weights in Hugging Face's layout: `config.json` with `model.safetensors` or its shards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, View};

use crate::{Llama, LlamaConfig, ModelError};

/// Reads the model folder `dir` onto `device`, as f32.
///
/// Linear weights are transposed to `[d_in, d_out]`. Files are mapped into memory, not read whole.
///
/// # Errors
/// A file is absent or damaged, a key of `config.json` is unsupported, or tensors are missing, unexpected or of
/// another shape; all of them are listed.
pub fn load(dir: &Path, device: &Device) -> Result<Llama, ModelError> {
    let config = LlamaConfig::read(dir)?;
    let files = weight_files(dir)?;
    let maps = files.iter().map(|path| map(path)).collect::<Result<Vec<_>, _>>()?;
    let mut tensors = BTreeMap::new();
    for (path, bytes) in files.iter().zip(&maps) {
        let parsed = SafeTensors::deserialize(bytes).map_err(ModelError::malformed(path))?;
        tensors.extend(parsed.tensors());
    }
    build(&config, tensors, &files[0], device)
}

/// Reads a model from the bytes of a `config.json` and a `model.safetensors`; `name` stands for them in errors.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(name: &str, config: &str, weights: &[u8], device: &Device) -> Result<Llama, ModelError> {
    let path = PathBuf::from(name);
    let config: LlamaConfig = serde_json::from_str(config).map_err(ModelError::malformed(&path))?;
    config.check(&path)?;
    let parsed = SafeTensors::deserialize(weights).map_err(ModelError::malformed(&path))?;
    build(&config, parsed.tensors().into_iter().collect(), &path, device)
}

fn build(
    config: &LlamaConfig,
    mut tensors: BTreeMap<String, TensorView>,
    path: &Path,
    device: &Device,
) -> Result<Llama, ModelError> {
    let mut problems = Vec::new();
    let model = Llama::build(config, device, |name, shape| {
        let Some(view) = tensors.remove(name) else {
            problems.push(format!("`{name}` is missing"));
            return Ok::<_, ModelError>(vec![0.0; shape.iter().product()]);
        };
        let linear = shape.len() == 2 && !name.contains("embed_tokens");
        let stored: Vec<usize> = if linear { vec![shape[1], shape[0]] } else { shape.to_vec() };
        if view.shape() != stored {
            problems.push(format!("`{name}` has shape {:?}, expected {stored:?}", view.shape()));
            return Ok(vec![0.0; shape.iter().product()]);
        }
        let values = floats(&view, name, path)?;
        Ok(if linear { transpose(&values, stored[0], stored[1]) } else { values })
    })?;
    // Written by some programs although they can be derived.
    let derived =
        |name: &str| name.ends_with("rotary_emb.inv_freq") || (config.tie_word_embeddings && name == "lm_head.weight");
    problems.extend(tensors.keys().filter(|name| !derived(name)).map(|name| format!("`{name}` is unexpected")));
    if problems.is_empty() {
        return Ok(model);
    }
    let total = problems.len();
    if total > 8 {
        problems.truncate(8);
        problems.push(format!("and {} more", total - 8));
    }
    Err(ModelError::Weights { path: path.to_owned(), problems: problems.join(", ") })
}

/// The folder's weight files: one, or the shards of an index.
fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let single = dir.join("model.safetensors");
    let index = dir.join("model.safetensors.index.json");
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    let text = std::fs::read_to_string(&index).map_err(ModelError::io(&index))?;
    let parsed: serde_json::Value = serde_json::from_str(&text).map_err(ModelError::malformed(&index))?;
    let names: BTreeSet<&str> =
        parsed["weight_map"].as_object().into_iter().flatten().filter_map(|(_, file)| file.as_str()).collect();
    match names.is_empty() {
        true => Err(ModelError::Malformed { path: index, message: "`weight_map` names no file".to_owned() }),
        false => Ok(names.into_iter().map(|name| dir.join(name)).collect()),
    }
}

fn map(path: &Path) -> Result<Mmap, ModelError> {
    let file = File::open(path).map_err(ModelError::io(path))?;
    // SAFETY: the map is read-only and private; another program that shortens the file while it is mapped could
    // fault this one, as with every mapped file.
    unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))
}

/// The values of a tensor as f32.
pub(crate) fn floats(view: &TensorView, name: &str, path: &Path) -> Result<Vec<f32>, ModelError> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        other => {
            let message = format!("`{name}` has type {other:?}, expected F32, F16 or BF16");
            return Err(ModelError::Malformed { path: path.to_owned(), message });
        }
    })
}

/// `[rows, columns]` -> `[columns, rows]`.
pub(crate) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

/// The number type of weights in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredType {
    /// 32 bits.
    F32,
    /// 16 bits with f32's range.
    Bf16,
}

/// One tensor on its way into a file.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes[..]).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A tensor's name, shape and values on the way into a file.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl NamedTensor {
    /// Reads `tensor` back from its device.
    ///
    /// # Errors
    /// The device fails.
    pub fn new<const D: usize>(name: impl Into<String>, tensor: Tensor<D>) -> Result<Self, ModelError> {
        let shape = tensor.dims().to_vec();
        let values = tensor
            .try_into_vec_as::<f32>()
            .map_err(|error| ModelError::Invalid(format!("cannot read a tensor back: {error:?}")))?;
        Ok(NamedTensor { name: name.into(), shape, values })
    }
}

/// Writes tensors as f32 to a safetensors file: a temporary name beside it, synced, renamed.
///
/// # Errors
/// The file cannot be written.
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor]) -> Result<(), ModelError> {
    write_tensors(path, tensors, StoredType::F32)
}

/// As [`write_safetensors`], in the number type asked for.
pub(crate) fn write_tensors(path: &Path, tensors: &[NamedTensor], dtype: StoredType) -> Result<(), ModelError> {
    let stored: BTreeMap<&str, Stored> = tensors
        .iter()
        .map(|NamedTensor { name, shape, values }| {
            let (dtype, bytes) = match dtype {
                StoredType::F32 => (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
                StoredType::Bf16 => {
                    (Dtype::BF16, values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect())
                }
            };
            (name.as_str(), Stored { dtype, shape: shape.clone(), bytes })
        })
        .collect();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let bytes = safetensors::serialize(stored.iter().map(|(name, view)| (*name, view)), Some(metadata))
        .map_err(ModelError::malformed(path))?;
    write_file(path, &bytes)
}

/// Writes a file under a temporary name beside it, syncs it, renames it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    use std::io::Write;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(ModelError::io(dir))?;
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default; the result shall have the rights of an ordinary new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(dir).map_err(ModelError::io(dir))?;
    file.write_all(bytes).map_err(ModelError::io(path))?;
    file.as_file().sync_all().map_err(ModelError::io(path))?;
    file.persist(path).map_err(|error| ModelError::Io { path: path.to_owned(), source: error.error })?;
    Ok(())
}

/// Writes the base weights of `model` to `dir`: `config.json` and `model.safetensors`. Adapters are not written.
///
/// # Errors
/// A file cannot be written.
pub fn save(model: &Llama, dir: &Path, dtype: StoredType) -> Result<(), ModelError> {
    let mut tensors = vec![NamedTensor::new("model.embed_tokens.weight", model.embedding.val())?];
    for (index, layer) in model.layers.iter().enumerate() {
        for (name, norm) in
            [("input_layernorm", &layer.input_norm), ("post_attention_layernorm", &layer.post_attention_norm)]
        {
            tensors.push(NamedTensor::new(format!("model.layers.{index}.{name}.weight"), norm.weight.val())?);
        }
        for (name, linear) in layer.linears() {
            // Hugging Face's files hold `[d_out, d_in]`.
            let weight = linear.weight.val().transpose();
            tensors.push(NamedTensor::new(format!("model.layers.{index}.{name}.weight"), weight)?);
        }
    }
    tensors.push(NamedTensor::new("model.norm.weight", model.norm.weight.val())?);
    if let Some(head) = &model.head {
        tensors.push(NamedTensor::new("lm_head.weight", head.val().transpose())?);
    }
    write_tensors(&dir.join("model.safetensors"), &tensors, dtype)?;
    let mut config = serde_json::to_value(model.config()).map_err(ModelError::malformed(dir))?;
    config["architectures"] = serde_json::json!(["LlamaForCausalLM"]);
    config["torch_dtype"] = serde_json::json!(match dtype {
        StoredType::F32 => "float32",
        StoredType::Bf16 => "bfloat16",
    });
    let text = serde_json::to_string_pretty(&config).map_err(ModelError::malformed(dir))?;
    write_file(&dir.join("config.json"), (text + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenBatch;
    use crate::config::tests::tiny;

    #[test]
    fn a_saved_model_is_the_same_model() {
        let device = Device::flex();
        let dir = tempfile::tempdir().unwrap();
        let config = LlamaConfig { tie_word_embeddings: false, ..tiny() };
        let model = Llama::new(&config, 5, &device).unwrap();
        save(&model, dir.path(), StoredType::F32).unwrap();
        let again = load(dir.path(), &device).unwrap();
        let batch = TokenBatch::left_padded(&[vec![1, 2, 3]], 0, 1, &device).unwrap();
        assert_eq!(model.hidden(&batch, None, None).into_data(), again.hidden(&batch, None, None).into_data());
    }

    #[test]
    fn damaged_weights_are_named() {
        let device = Device::flex();
        let dir = tempfile::tempdir().unwrap();
        save(&Llama::new(&tiny(), 5, &device).unwrap(), dir.path(), StoredType::Bf16).unwrap();
        let file = dir.path().join("model.safetensors");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        assert!(load(dir.path(), &device).unwrap_err().to_string().contains("model.safetensors"));
        std::fs::write(&file, &bytes).unwrap();
        let config = LlamaConfig { num_hidden_layers: 3, intermediate_size: 20, ..tiny() };
        std::fs::write(dir.path().join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
        let message = load(dir.path(), &device).unwrap_err().to_string();
        assert!(message.contains("has shape") && message.contains("more"), "{message}");
        assert!(load(&dir.path().join("absent"), &device).unwrap_err().to_string().contains("config.json"));
    }
}
