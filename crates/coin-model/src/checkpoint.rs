//! Models in Hugging Face's layout: `config.json` with safetensors or PyTorch weights, whole or in shards.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use half::{bf16, f16};
use safetensors::View;
use safetensors::tensor::Dtype;

use crate::config::ModelType;
use crate::linear_paths::LINEAR_PATHS;
use crate::llama::WeightFormat;
use crate::weight::FloatType;
use crate::weight_file::WeightFiles;
use crate::{Llama, LlamaConfig, ModelError};

/// A model read from a folder.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub model: Llama,
    /// Names of the tensors with NaN or infinite values in the number type in which they were loaded.
    pub not_finite: Vec<String>,
}

impl Loaded {
    /// Returns one line per warning about the weights.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let in_type = match self.model.embedding.val().dtype() {
            DType::F32 => "",
            DType::F16 => " in f16",
            _ => " in bf16",
        };
        self.not_finite.iter().map(move |name| format!("`{name}` contains values that are not finite{in_type}"))
    }
}

/// Reads the model folder `dir` onto `device`.
///
/// Weights may be `model.safetensors` or its shards, or `pytorch_model.bin` or its shards, in f32, f16 or bf16. They are read one
/// tensor at a time and cast to `format`. Linear weights are transposed to `[d_in, d_out]`. Files are mapped into memory, and pages
/// are returned to the system once read.
///
/// # Errors
/// A file is missing or damaged, a key of `config.json` is not supported, or tensors are missing, unexpected or of another shape.
/// The message lists the tensors.
pub fn load(dir: &Path, format: WeightFormat, device: &Device) -> Result<Loaded, ModelError> {
    let config = LlamaConfig::read(dir)?;
    build(&config, WeightFiles::open(dir, "model", "pytorch_model")?, format, device)
}

fn build(
    config: &LlamaConfig,
    WeightFiles { path, mut tensors }: WeightFiles,
    format: WeightFormat,
    device: &Device,
) -> Result<Loaded, ModelError> {
    // Shapes are compared before anything is allocated, since a configuration may contain any size.
    let expected = stored_shapes(config);
    let mut problems = Vec::new();
    for (name, shape) in &expected {
        match tensors.get(name) {
            None => problems.push(format!("`{name}` is missing")),
            Some(tensor) if tensor.shape() != shape => {
                problems.push(format!("`{name}` has shape {:?}, expected {shape:?}", tensor.shape()));
            }
            Some(_) => {}
        }
    }
    // Some programs write these tensors although they can be derived.
    let derived =
        |name: &str| name.ends_with("rotary_emb.inv_freq") || (config.tie_word_embeddings && name == "lm_head.weight");
    let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let strange = tensors.keys().filter(|name| !known.contains(name.as_str()) && !derived(name));
    problems.extend(strange.map(|name| format!("`{name}` is unexpected")));
    if !problems.is_empty() {
        return Err(ModelError::weights(path, problems));
    }
    let mut not_finite = Vec::new();
    let model = Llama::build(config, format, device, |name, shape, dtype| {
        let linear = shape.len() == 2 && !name.contains("embed_tokens");
        let missing = || ModelError::weights(&path, vec![format!("`{name}` is missing")]);
        // Removed from the map, so that no tensor stays in memory longer than needed.
        let (data, finite) = tensors.remove(name).ok_or_else(missing)?.data(name, linear, dtype)?;
        if !finite {
            not_finite.push(name.to_owned());
        }
        Ok(data)
    })?;
    Ok(Loaded { model, not_finite })
}

/// Returns the name and shape of every tensor in the files of a model, in the order of the forward pass.
fn stored_shapes(config: &LlamaConfig) -> Vec<(String, Vec<usize>)> {
    let (d, vocab) = (config.hidden_size, config.vocab_size);
    let mut shapes = vec![("model.embed_tokens.weight".to_owned(), vec![vocab, d])];
    for layer in 0..config.num_hidden_layers {
        let mut of = |name: &str, shape: Vec<usize>| shapes.push((format!("model.layers.{layer}.{name}"), shape));
        of("input_layernorm.weight", vec![d]);
        for (path, (d_in, d_out, has_bias)) in LINEAR_PATHS.iter().zip(config.linears()) {
            of(&format!("{path}.weight"), vec![d_out, d_in]);
            if has_bias {
                of(&format!("{path}.bias"), vec![d_out]);
            }
        }
        of("post_attention_layernorm.weight", vec![d]);
    }
    shapes.push(("model.norm.weight".to_owned(), vec![d]));
    if !config.tie_word_embeddings {
        shapes.push(("lm_head.weight".to_owned(), vec![vocab, d]));
    }
    shapes
}

/// Returns the format's name of a number type.
fn stored_type(dtype: FloatType) -> Dtype {
    match dtype {
        FloatType::F32 => Dtype::F32,
        FloatType::F16 => Dtype::F16,
        FloatType::Bf16 => Dtype::BF16,
    }
}

/// Returns the bytes of `values` in a file. Errors name the tensor `name`.
///
/// # Errors
/// A finite value is outside the range of the number type.
fn stored_bytes(name: &str, dtype: FloatType, values: &[f32]) -> Result<Vec<u8>, ModelError> {
    let convert: fn(f32) -> f32 = match dtype {
        FloatType::F32 => |value| value,
        FloatType::F16 => |value| f16::from_f32(value).to_f32(),
        FloatType::Bf16 => |value| bf16::from_f32(value).to_f32(),
    };
    if let Some(value) = values.iter().find(|value| value.is_finite() && !convert(**value).is_finite()) {
        let (dtype, most) = match dtype {
            FloatType::F16 => ("f16", f16::MAX.to_f32()),
            _ => ("bf16", bf16::MAX.to_f32()),
        };
        return Err(ModelError::Invalid(format!(
            "`{name}` contains {value:e}, which exceeds the largest {dtype}, {most:e}"
        )));
    }
    Ok(match dtype {
        FloatType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        FloatType::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        FloatType::Bf16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
    })
}

/// A tensor with its name in a file. Its values are read from the device when it is written.
pub struct NamedTensor {
    name: String,
    shape: Vec<usize>,
    read: Box<dyn Fn() -> Result<Vec<f32>, ModelError>>,
}

impl NamedTensor {
    /// Names `tensor`.
    pub fn new<const D: usize>(name: impl Into<String>, tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let read = move || {
            let values = tensor.clone().cast(DType::F32).try_into_vec_as::<f32>();
            values.map_err(ModelError::device("a tensor"))
        };
        NamedTensor { name: name.into(), shape, read: Box::new(read) }
    }

    /// Returns the name in the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the extents, outermost first.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Reads the values from the device.
    pub(crate) fn values(&self) -> Result<Vec<f32>, ModelError> {
        (self.read)()
    }
}

/// A [`NamedTensor`] as safetensors' writer reads it.
struct OnTheWay<'a> {
    tensor: &'a NamedTensor,
    dtype: FloatType,
    /// The first failure to read or convert a tensor, which the format's trait cannot return.
    failure: &'a RefCell<Option<ModelError>>,
}

impl View for OnTheWay<'_> {
    fn dtype(&self) -> Dtype {
        stored_type(self.dtype)
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        let nothing = || vec![0; self.data_len()].into();
        // The file is discarded after a failure.
        if self.failure.borrow().is_some() {
            return nothing();
        }
        match self.tensor.values().and_then(|values| stored_bytes(&self.tensor.name, self.dtype, &values)) {
            Ok(bytes) => bytes.into(),
            Err(error) => {
                *self.failure.borrow_mut() = Some(error);
                nothing()
            }
        }
    }

    fn data_len(&self) -> usize {
        self.tensor.shape.iter().product::<usize>() * stored_type(self.dtype).bitsize() / 8
    }
}

/// Writes tensors in f32 to a safetensors file. It is written under a temporary name in the same folder, synced and renamed.
///
/// # Errors
/// The file cannot be written, or a tensor cannot be read from its device.
pub fn write_safetensors(path: &Path, tensors: &[NamedTensor]) -> Result<(), ModelError> {
    write_tensors(path, tensors, FloatType::F32)
}

/// Writes tensors like [`write_safetensors`], in the number type `dtype`. One tensor at a time is in memory.
pub(crate) fn write_tensors(path: &Path, tensors: &[NamedTensor], dtype: FloatType) -> Result<(), ModelError> {
    let failure = RefCell::new(None);
    let views = tensors.iter().map(|tensor| (tensor.name.as_str(), OnTheWay { tensor, dtype, failure: &failure }));
    let views: BTreeMap<_, _> = views.collect();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let file = temporary_beside(path)?;
    safetensors::serialize_to_file(views, Some(metadata), file.path()).map_err(ModelError::malformed(path))?;
    if let Some(error) = failure.into_inner() {
        return Err(error);
    }
    // The format's writer creates another file and renames it to the temporary name. So that file, and not `file`, gets the usual
    // permissions and is synced.
    let written = std::fs::File::options().write(true).open(file.path()).map_err(ModelError::io(path))?;
    let permissions = file.as_file().metadata().map_err(ModelError::io(path))?.permissions();
    written.set_permissions(permissions).map_err(ModelError::io(path))?;
    keep(&written, file.into_temp_path(), path)
}

/// Writes a file under a temporary name in the same folder, syncs it and renames it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes).map_err(ModelError::io(path))?;
    let (file, name) = file.into_parts();
    keep(&file, name, path)
}

fn temporary_beside(path: &Path) -> Result<tempfile::NamedTempFile, ModelError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(ModelError::io(dir))?;
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default, but the result must have the permissions of an ordinary new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(dir).map_err(ModelError::io(dir))
}

/// Syncs `file`, which has the temporary name `name`, and renames it to `path`.
fn keep(file: &std::fs::File, name: tempfile::TempPath, path: &Path) -> Result<(), ModelError> {
    file.sync_all().map_err(ModelError::io(path))?;
    name.persist(path).map_err(|error| ModelError::Io { path: path.to_owned(), source: error.error })
}

/// Writes the base weights of `model` to `dir`, as `config.json` and `model.safetensors`. Adapters are not written, and packed
/// matrices are written dense.
///
/// # Errors
/// A file cannot be written, or a value is outside the range of `dtype`. The message names the tensor and the value.
pub fn save(model: &Llama, dir: &Path, dtype: FloatType) -> Result<(), ModelError> {
    let mut tensors = vec![NamedTensor::new("model.embed_tokens.weight", model.embedding.val())];
    for (index, layer) in model.layers.iter().enumerate() {
        for (name, norm) in
            [("input_layernorm", &layer.input_norm), ("post_attention_layernorm", &layer.post_attention_norm)]
        {
            tensors.push(NamedTensor::new(format!("model.layers.{index}.{name}.weight"), norm.weight.val()));
        }
    }
    for (path, linear) in model.linears() {
        // Hugging Face's files have `[d_out, d_in]`.
        tensors.push(NamedTensor::new(format!("{path}.weight"), linear.weight.values().transpose()));
        if let Some(bias) = &linear.bias {
            tensors.push(NamedTensor::new(format!("{path}.bias"), bias.val()));
        }
    }
    tensors.push(NamedTensor::new("model.norm.weight", model.norm.weight.val()));
    if let Some(head) = &model.head {
        tensors.push(NamedTensor::new("lm_head.weight", head.val().transpose()));
    }
    write_tensors(&dir.join("model.safetensors"), &tensors, dtype)?;
    let mut config = serde_json::to_value(model.config()).map_err(ModelError::malformed(dir))?;
    config["architectures"] = serde_json::json!([model.config().model_type.architecture()]);
    if model.config().model_type == ModelType::Mistral {
        // Without this key, transformers assumes a window of 4096.
        config["sliding_window"] = serde_json::Value::Null;
    }
    config["torch_dtype"] = serde_json::json!(match dtype {
        FloatType::F32 => "float32",
        FloatType::F16 => "float16",
        FloatType::Bf16 => "bfloat16",
    });
    let text = serde_json::to_string_pretty(&config).map_err(ModelError::malformed(dir))?;
    write_file(&dir.join("config.json"), (text + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenBatch;
    use crate::config::tests::tiny;
    use crate::weight::Quantization;

    fn open(dir: &Path) -> Result<Loaded, ModelError> {
        load(dir, WeightFormat::default(), &Device::flex())
    }

    fn hidden(model: &Llama) -> burn::tensor::TensorData {
        let batch = TokenBatch::left_padded(&[vec![1, 2, 3]], 0, 1, &model.device()).unwrap();
        model.hidden(&batch, None, None).into_data()
    }

    /// A model with every kind of tensor.
    fn biased() -> LlamaConfig {
        LlamaConfig { tie_word_embeddings: false, attention_bias: true, mlp_bias: true, ..tiny() }
    }

    #[test]
    fn a_saved_model_is_the_same_model() {
        let dir = tempfile::tempdir().unwrap();
        let model = Llama::new(&biased(), 5, &Device::flex()).unwrap();
        save(&model, dir.path(), FloatType::F32).unwrap();
        let again = open(dir.path()).unwrap();
        assert_eq!(hidden(&model), hidden(&again.model));
        assert!(again.not_finite.is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[cfg(unix)]
    #[test]
    fn written_files_have_ordinary_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ordinary"), "").unwrap();
        save(&Llama::new(&tiny(), 5, &Device::flex()).unwrap(), dir.path(), FloatType::F32).unwrap();
        let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        for name in ["model.safetensors", "config.json"] {
            assert_eq!(mode(name), mode("ordinary"), "{name}");
        }
    }

    #[test]
    fn damaged_weights_are_named() {
        let dir = tempfile::tempdir().unwrap();
        save(&Llama::new(&tiny(), 5, &Device::flex()).unwrap(), dir.path(), FloatType::Bf16).unwrap();
        let file = dir.path().join("model.safetensors");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("model.safetensors"));
        std::fs::write(&file, &bytes).unwrap();
        let config = LlamaConfig { num_hidden_layers: 3, intermediate_size: 20, ..tiny() };
        std::fs::write(dir.path().join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
        let message = open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("has shape") && message.contains("more"), "{message}");
        assert!(open(&dir.path().join("absent")).unwrap_err().to_string().contains("config.json"));
    }

    #[test]
    fn a_size_that_the_tensors_contradict_allocates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        save(&Llama::new(&biased(), 5, &Device::flex()).unwrap(), dir.path(), FloatType::F32).unwrap();
        // The largest accepted size: such a matrix would take 70 TB.
        let config = LlamaConfig { hidden_size: 1 << 22, intermediate_size: 1 << 22, ..biased() };
        std::fs::write(dir.path().join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
        let message = open(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("`model.embed_tokens.weight` has shape [23, 16], expected [23, 4194304]"),
            "{message}"
        );
    }

    #[test]
    fn an_index_must_name_existing_files() {
        let dir = tempfile::tempdir().unwrap();
        save(&Llama::new(&tiny(), 5, &Device::flex()).unwrap(), dir.path(), FloatType::F32).unwrap();
        std::fs::rename(dir.path().join("model.safetensors"), dir.path().join("one.safetensors")).unwrap();
        let index = |file: &str| {
            let map = serde_json::json!({"weight_map": {"model.norm.weight": file, "b": "one.safetensors"}});
            std::fs::write(dir.path().join("model.safetensors.index.json"), map.to_string()).unwrap();
            open(dir.path())
        };
        assert!(index("one.safetensors").is_ok());
        assert!(index("two.safetensors").unwrap_err().to_string().contains("`two.safetensors`, which is not"));
        assert!(index("../one.safetensors").unwrap_err().to_string().contains("not a plain file name"));
        std::fs::remove_file(dir.path().join("model.safetensors.index.json")).unwrap();
        let message = open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("model.safetensors") && message.contains("pytorch_model.bin"), "{message}");
    }

    #[test]
    fn weights_that_are_not_finite_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Llama::new(&tiny(), 5, &Device::flex()).unwrap();
        let weight = model.norm.weight.val() * f32::NAN;
        model.norm.weight = burn::module::Param::from_tensor(weight);
        save(&model, dir.path(), FloatType::F32).unwrap();
        let warnings: Vec<_> = open(dir.path()).unwrap().warnings().collect();
        assert_eq!(warnings, ["`model.norm.weight` contains values that are not finite"]);
    }

    #[test]
    fn a_value_outside_the_range_of_the_number_type_is_not_written_as_infinity() {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Llama::new(&tiny(), 5, &Device::flex()).unwrap();
        let of = |value: f32| burn::module::Param::from_tensor(Tensor::full([16], value, &Device::flex()));
        let file = dir.path().join("model.safetensors");
        for (value, dtype, range) in [
            (-70_000.0, FloatType::F16, "which exceeds the largest f16, 6.5504e4"),
            (f32::MAX, FloatType::Bf16, "bf16, 3.38"),
        ] {
            model.norm.weight = of(value);
            let error = save(&model, dir.path(), dtype).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`model.norm.weight` contains {value:e}")) && error.contains(range),
                "{error}"
            );
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        }
        // The last value that f16 rounds down, and a value that is already infinite.
        for value in [65_519.0, f32::INFINITY] {
            model.norm.weight = of(value);
            save(&model, dir.path(), FloatType::F16).unwrap();
            std::fs::remove_file(&file).unwrap();
        }
        // Loading rounds in the same way, with a warning.
        model.norm.weight = of(70_000.0);
        save(&model, dir.path(), FloatType::F32).unwrap();
        assert!(open(dir.path()).unwrap().not_finite.is_empty());
        let half = WeightFormat { dtype: FloatType::F16, ..WeightFormat::default() };
        let warnings: Vec<_> = load(dir.path(), half, &Device::flex()).unwrap().warnings().collect();
        assert_eq!(warnings, ["`model.norm.weight` contains values that are not finite in f16"]);
    }

    #[test]
    fn other_formats_compute_nearly_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let model = Llama::new(&biased(), 5, &Device::flex()).unwrap();
        save(&model, dir.path(), FloatType::F32).unwrap();
        let exact = hidden(&model).try_to_vec::<f32>().unwrap();
        let packed = |quantization| WeightFormat { quantization: Some(quantization), ..WeightFormat::default() };
        let typed = |dtype| WeightFormat { dtype, ..WeightFormat::default() };
        // Relative to states of standard deviation 1: 8 bits of mantissa; 11 bits; steps of 1/127 and 1/7.
        for (format, tolerance, bytes) in [
            (typed(FloatType::Bf16), 0.05, 0.5),
            (typed(FloatType::F16), 0.01, 0.5),
            (packed(Quantization::Int8), 0.05, 0.65),
            (packed(Quantization::Int4), 0.7, 0.55),
        ] {
            let other = load(dir.path(), format, &Device::flex()).unwrap().model;
            let values = hidden(&other).convert::<f32>().try_to_vec::<f32>().unwrap();
            let distance: f32 = exact.iter().zip(&values).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            let distance = (distance / exact.len() as f32).sqrt();
            assert!(distance > 1e-6 && distance < tolerance, "{format:?}: {distance}");
            let share = other.weight_bytes() as f64 / model.weight_bytes() as f64;
            assert!(share < bytes + 0.01, "{format:?}: {share}");
        }
    }
}
