//! LoRA adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`. An `adapter_model.bin` can be read too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{NamedTensor, write_file, write_safetensors};
use crate::linear_paths::LINEAR_PATHS;
use crate::weight::FloatType;
use crate::weight_file::WeightFiles;
use crate::{Llama, LoraConfig, ModelError, TargetModules, TokenBatch};

/// The keys of `adapter_config.json` that this crate reads and writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PeftConfig {
    peft_type: String,
    #[serde(default)]
    task_type: Option<String>,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: TargetModules,
    #[serde(default = "no_bias")]
    bias: String,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    layers_to_transform: Option<Layers>,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    inference_mode: bool,
}

/// One layer's index or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Layers {
    One(usize),
    Many(Vec<usize>),
}

fn no_bias() -> String {
    "none".to_owned()
}

/// Keys of `adapter_config.json` that change the result and are not implemented, with the value that is accepted besides `null`.
const REFUSED: [(&str, &str); 14] = [
    ("fan_in_fan_out", "false"),
    ("use_dora", "false"),
    ("use_qalora", "false"),
    ("lora_bias", "false"),
    ("alpha_pattern", "{}"),
    ("rank_pattern", "{}"),
    ("modules_to_save", "[]"),
    ("layers_pattern", "[]"),
    ("exclude_modules", "[]"),
    ("target_parameters", "[]"),
    ("trainable_token_indices", "[]"),
    ("layer_replication", "[]"),
    ("arrow_config", "null"),
    ("alora_invocation_tokens", "null"),
];

/// Reads the settings of the adapter in the folder `dir`.
///
/// # Errors
/// The file is missing or damaged, or a setting is not supported. The message names the key.
pub fn read_config(dir: &Path) -> Result<LoraConfig, ModelError> {
    let path = dir.join("adapter_config.json");
    let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
    let raw: Value = coin_core::json::from_str(&text).map_err(ModelError::malformed(&path))?;
    let unsupported = |key: &str, value: &Value, expected: &str| ModelError::Unsupported {
        path: path.clone(),
        key: key.to_owned(),
        value: value.to_string(),
        expected: expected.to_owned(),
    };
    for (key, expected) in REFUSED {
        let value = &raw[key];
        let accepted: Value = serde_json::from_str(expected).map_err(ModelError::malformed(&path))?;
        if !value.is_null() && *value != accepted {
            return Err(unsupported(key, value, expected));
        }
    }
    // These methods also change the base weights, which are not saved with the adapter.
    let start = &raw["init_lora_weights"];
    let of_base = ["pissa", "olora", "loftq", "corda"];
    if start.as_str().is_some_and(|name| of_base.iter().any(|of_base| name.to_lowercase().starts_with(of_base))) {
        return Err(unsupported("init_lora_weights", start, "an initialization that does not change the base"));
    }
    let peft: PeftConfig = serde_json::from_value(raw.clone()).map_err(ModelError::malformed(&path))?;
    for (key, value, expected) in [("peft_type", &peft.peft_type, "LORA"), ("bias", &peft.bias, "none")] {
        if value != expected {
            return Err(unsupported(key, &raw[key], expected));
        }
    }
    let config = LoraConfig {
        rank: peft.r,
        alpha: peft.lora_alpha,
        rank_stabilized: peft.use_rslora,
        dropout: peft.lora_dropout,
        target_modules: peft.target_modules,
        layers: peft.layers_to_transform.map(|layers| match layers {
            Layers::One(layer) => vec![layer],
            Layers::Many(layers) => layers,
        }),
    };
    config.check().map_err(ModelError::malformed(path))?;
    Ok(config)
}

/// Loads the adapter folder `dir` (`adapter_model.safetensors` or `.bin`) onto `model`, whose own weights become frozen.
///
/// # Errors
/// As [`read_config`]; or a target matches no layer, or tensors are missing, unexpected or of another shape.
pub fn load(model: Llama, dir: &Path) -> Result<Llama, ModelError> {
    let config = read_config(dir)?;
    let WeightFiles { path, tensors } = WeightFiles::open(dir, "adapter_model", "adapter_model")?;
    let mut tensors: BTreeMap<String, _> =
        tensors.into_iter().map(|(name, tensor)| (canonical(&name), tensor)).collect();
    // Shapes are compared before anything is allocated: the settings may name any rank.
    let targets = config.targets(model.layers.len())?;
    let targeted = model.linears().zip(targets.iter().flatten()).filter(|(_, hit)| **hit);
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for ((path, linear), _) in targeted {
        let [d_in, d_out] = linear.weight.dims();
        for (factor, shape) in [("lora_A", [config.rank, d_in]), ("lora_B", [d_out, config.rank])] {
            let name = format!("{path}.{factor}.weight");
            match tensors.get(&name) {
                None => problems.push(format!("`{name}` is missing")),
                Some(tensor) if tensor.shape() != shape => {
                    problems.push(format!("`{name}` has shape {:?}, expected {shape:?}", tensor.shape()));
                }
                Some(_) => {}
            }
            known.insert(name);
        }
    }
    let strange = tensors.keys().filter(|name| !known.contains(*name));
    problems.extend(strange.map(|name| format!("`{name}` is unexpected")));
    if !problems.is_empty() {
        return Err(ModelError::weights(path, problems));
    }
    let device = model.device();
    let model = model.with_lora(&config, 0)?;
    let mut failure = None;
    let model = model.map_linears(|index, place, mut linear| {
        let Some(lora) = linear.lora.as_mut() else { return linear };
        for (factor, param) in [("lora_A", &mut lora.a), ("lora_B", &mut lora.b)] {
            let name = format!("model.layers.{index}.{}.{factor}.weight", LINEAR_PATHS[place]);
            let Some(tensor) = tensors.remove(&name) else { continue };
            match tensor.data(&name, true, FloatType::F32) {
                Ok((data, _)) => {
                    let id = param.id;
                    *param = Param::from_tensor(Tensor::from_data(data, (&device, DType::F32)));
                    param.id = id;
                }
                Err(error) => failure = Some(error),
            }
        }
        linear
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(model),
    }
}

/// Returns the name of an adapter's tensor in the form `model.layers.0.self_attn.q_proj.lora_A.weight`. PEFT adds the prefix
/// `base_model.model.`, and some versions insert the adapter's name, `default`.
fn canonical(name: &str) -> String {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    name.replace(".default.weight", ".weight")
}

/// Writes the adapters of `model` to `dir` in PEFT's layout, reads them back and compares.
///
/// # Errors
/// A file cannot be written, the model does not have an adapter, or the values read back differ.
pub fn save(model: &Llama, config: &LoraConfig, base: Option<&str>, dir: &Path) -> Result<(), ModelError> {
    let mut tensors = Vec::new();
    for (path, factors) in factors(model) {
        for (factor, param) in ["lora_A", "lora_B"].into_iter().zip(factors) {
            let name = format!("base_model.model.{path}.{factor}.weight");
            tensors.push(NamedTensor::new(name, param.val().transpose()));
        }
    }
    if tensors.is_empty() {
        return Err(ModelError::Invalid("the model has no adapter to save".to_owned()));
    }
    let weights = dir.join("adapter_model.safetensors");
    write_safetensors(&weights, &tensors)?;
    compare(&weights, dir, &tensors)?;
    let peft = PeftConfig {
        peft_type: "LORA".to_owned(),
        task_type: Some("CAUSAL_LM".to_owned()),
        base_model_name_or_path: base.map(str::to_owned),
        r: config.rank,
        lora_alpha: config.alpha,
        lora_dropout: config.dropout,
        target_modules: config.target_modules.clone(),
        bias: no_bias(),
        fan_in_fan_out: false,
        use_rslora: config.rank_stabilized,
        use_dora: false,
        layers_to_transform: config.layers.clone().map(Layers::Many),
        modules_to_save: None,
        inference_mode: true,
    };
    let path = dir.join("adapter_config.json");
    let text = serde_json::to_string_pretty(&peft).map_err(ModelError::malformed(&path))?;
    write_file(&path, (text + "\n").as_bytes())
}

/// Compares the written file with the tensors.
fn compare(path: &Path, dir: &Path, tensors: &[NamedTensor]) -> Result<(), ModelError> {
    let written = WeightFiles::open(dir, "adapter_model", "adapter_model")?.tensors;
    for tensor in tensors {
        let same = match written.get(tensor.name()) {
            Some(stored) => stored.shape() == tensor.shape() && stored.floats(tensor.name())? == tensor.values()?,
            None => false,
        };
        if !same {
            let message = format!("`{}` was read back differently", tensor.name());
            return Err(ModelError::Malformed { path: path.to_owned(), message });
        }
    }
    Ok(())
}

/// Adds every adapter to its layer's matrix in f32, or subtracts it again. The model keeps the adapters, which are inactive while
/// they are merged.
pub fn set_merged(model: Llama, merged: bool) -> Llama {
    model.map_linears(|_, _, linear| linear.set_merged(merged))
}

/// Merges the adapters permanently. Returns the model and the largest absolute difference of the logits of `probe` before and
/// after.
///
/// # Errors
/// The model does not have an adapter, a weight or logit is not finite, or the device fails.
pub fn merge(model: Llama, probe: &TokenBatch) -> Result<(Llama, f32), ModelError> {
    if parameters(&model) == 0 {
        return Err(ModelError::Invalid("the model has no adapter to merge".to_owned()));
    }
    let mask: Tensor<2> = probe.mask().float();
    let logits = |model: &Llama| {
        let hidden = model.hidden(probe, None, None);
        let [rows, seq, d_model] = hidden.dims();
        model.logits(hidden.reshape([rows * seq, d_model])) * mask.clone().reshape([rows * seq, 1])
    };
    let before = logits(&model);
    let merged = set_merged(model, true).map_linears(|_, _, mut linear| {
        linear.lora = None;
        linear
    });
    // Checks the weights too, since the probe does not use all of them.
    let matrices = merged.linears().map(|(path, linear)| (path, linear.weight.values()));
    let embedding = ("model.embed_tokens".to_owned(), merged.embedding.val());
    for (name, weight) in matrices.chain([embedding]) {
        let values = NamedTensor::new(name.as_str(), weight).values()?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(ModelError::Invalid(format!(
                "`{name}.weight` contains values that are not finite after merging"
            )));
        }
    }
    // A difference is not finite if one of the two logits is not.
    let differences = NamedTensor::new("logits", logits(&merged) - before).values()?;
    match differences.iter().all(|value| value.is_finite()) {
        true => Ok((merged, differences.iter().fold(0.0, |most: f32, value| most.max(value.abs())))),
        false => Err(ModelError::Invalid("a logit of the model is not finite before or after merging".to_owned())),
    }
}

/// Returns the two factors of every adapter, A `[d_in, rank]` and B `[rank, d_out]`, with the path of their layer, such as
/// `model.layers.0.self_attn.q_proj`.
pub fn factors(model: &Llama) -> impl Iterator<Item = (String, [&Param<Tensor<2>>; 2])> {
    model.linears().filter_map(|(path, linear)| linear.lora.as_ref().map(|lora| (path, [&lora.a, &lora.b])))
}

/// Returns the number of trainable parameters in the adapters of `model`.
pub fn parameters(model: &Llama) -> usize {
    model.linears().filter_map(|(_, linear)| linear.lora.as_ref()).map(Module::num_params).sum()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use serde_json::json;

    use super::*;
    use crate::config::tests::tiny;

    fn hidden(model: &Llama) -> TensorData {
        let batch = TokenBatch::left_padded(&[vec![1, 2, 3]], 0, 1, &model.device()).unwrap();
        model.hidden(&batch, None, None).into_data()
    }

    /// A model with adapters that are not zero.
    fn adapted(lora: &LoraConfig) -> Llama {
        let model = Llama::new(&tiny(), 5, &Device::flex()).unwrap().with_lora(lora, 1).unwrap();
        model.map_linears(|index, place, mut linear| {
            if let Some(lora) = linear.lora.as_mut() {
                let [rank, d_out]: [usize; 2] = lora.b.lazy_shape().dims();
                let values = (0..rank * d_out).map(|at| ((at * 7 + index * 3 + place) % 11) as f32 * 0.1 - 0.5);
                let data = TensorData::new(values.collect::<Vec<f32>>(), [rank, d_out]);
                lora.b = Param::from_tensor(Tensor::from_data(data, &Device::flex()));
            }
            linear
        })
    }

    #[test]
    fn a_saved_adapter_is_the_same_adapter() {
        let dir = tempfile::tempdir().unwrap();
        let lora = LoraConfig {
            rank: 2,
            alpha: 4.0,
            rank_stabilized: true,
            dropout: 0.0,
            target_modules: ["v_proj", "up_proj"].into(),
            layers: Some(vec![1]),
        };
        let base = Llama::new(&tiny(), 5, &Device::flex()).unwrap();
        let model = adapted(&lora);
        save(&model, &lora, None, dir.path()).unwrap();
        assert_eq!(read_config(dir.path()).unwrap(), lora);
        let again = load(base.clone(), dir.path()).unwrap();
        assert_eq!(hidden(&model), hidden(&again));
        assert_ne!(hidden(&base), hidden(&again));
        // Two targets in one layer have four factors.
        assert_eq!(parameters(&model), 2 * (16 + 8) + 2 * (16 + 24));
    }

    #[test]
    fn an_adapter_of_another_model_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
        save(&adapted(&lora), &lora, None, dir.path()).unwrap();
        let refused = |other: crate::LlamaConfig| {
            load(Llama::new(&other, 5, &Device::flex()).unwrap(), dir.path()).unwrap_err().to_string()
        };
        let message = refused(crate::LlamaConfig { hidden_size: 32, ..tiny() });
        assert!(message.contains("q_proj.lora_A.weight` has shape [2, 16], expected [2, 32]"), "{message}");
        assert!(message.contains("and 8 more"), "{message}");
        assert!(refused(crate::LlamaConfig { num_hidden_layers: 1, ..tiny() }).contains("is unexpected"));
        assert!(refused(crate::LlamaConfig { num_hidden_layers: 3, ..tiny() }).contains("layers.2.self_attn"));
    }

    #[test]
    fn unsupported_settings_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let given = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]});
        for (key, value) in [
            ("use_dora", json!(true)),
            ("modules_to_save", json!(["lm_head"])),
            ("rank_pattern", json!({"q_proj": 4})),
            ("bias", json!("all")),
            ("peft_type", json!("IA3")),
            ("init_lora_weights", json!("pissa_niter_4")),
            ("exclude_modules", json!("q_proj")),
        ] {
            let mut config = given.clone();
            config[key] = value;
            std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
            let message = read_config(dir.path()).unwrap_err().to_string();
            assert!(message.contains(key), "{key}: {message}");
        }
        let mut config = given;
        config["layers_to_transform"] = json!(1);
        config["modules_to_save"] = json!([]);
        config["init_lora_weights"] = json!("gaussian");
        std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
        assert_eq!(read_config(dir.path()).unwrap().layers, Some(vec![1]));
    }

    #[test]
    fn merging_changes_the_form_and_not_the_result() {
        let lora =
            LoraConfig { rank: 2, target_modules: TargetModules::Pattern("all-linear".into()), ..Default::default() };
        let model = adapted(&lora);
        let plain = hidden(&Llama::new(&tiny(), 5, &Device::flex()).unwrap()).try_to_vec::<f32>().unwrap();
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
        let with = hidden(&model).try_to_vec::<f32>().unwrap();
        let merged = set_merged(model.clone(), true);
        assert!(!close(&with, &plain));
        assert!(close(&hidden(&merged).try_to_vec::<f32>().unwrap(), &with));
        // Merging twice adds the product once.
        assert_eq!(hidden(&set_merged(merged.clone(), true)), hidden(&merged));
        let back = set_merged(merged, false);
        assert!(close(&hidden(&back).try_to_vec::<f32>().unwrap(), &with));
        let weight = |model: &Llama| model.layers[0].attention.q_proj.weight.values().into_data();
        weight(&back).assert_approx_eq::<f32>(&weight(&model), burn::tensor::Tolerance::absolute(1e-5));

        let probe = TokenBatch::left_padded(&[vec![1, 2, 3], vec![4]], 0, 1, &Device::flex()).unwrap();
        let (merged, difference) = merge(model, &probe).unwrap();
        assert!(difference > 0.0 && difference < 1e-4, "{difference}");
        assert_eq!(parameters(&merged), 0);
        assert!(merge(merged, &probe).is_err());
    }

    #[test]
    fn values_that_are_not_finite_are_not_merged() {
        let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
        let probe = TokenBatch::left_padded(&[vec![1, 2, 3]], 0, 1, &Device::flex()).unwrap();
        let message = |model: Llama| merge(model, &probe).unwrap_err().to_string();
        let nothing = |tensor: Tensor<2>| Param::from_tensor(tensor * f32::NAN);
        let mut model = adapted(&lora);
        let adapter = model.layers[1].attention.k_proj.lora.as_mut().unwrap();
        adapter.b = nothing(adapter.b.val());
        assert!(message(model).contains("`model.layers.1.self_attn.k_proj.weight` contains"));
        // A row of the embedding that the probe does not use, in a model whose head is not tied.
        let mut model = adapted(&lora);
        model.head = Some(Param::from_tensor(model.embedding.val().transpose()));
        let row = Tensor::full([1, 16], f32::NAN, &Device::flex());
        model.embedding = Param::from_tensor(model.embedding.val().slice_assign([22..23, 0..16], row));
        assert!(message(model).contains("`model.embed_tokens.weight`"));
        let mut model = adapted(&lora);
        model.norm.weight = Param::from_tensor(model.norm.weight.val() * f32::INFINITY);
        assert!(message(model).contains("a logit of the model is not finite"));
    }

    #[test]
    fn a_rank_that_the_tensors_contradict_allocates_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
        save(&adapted(&lora), &lora, None, dir.path()).unwrap();
        let path = dir.path().join("adapter_config.json");
        let config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (rank, words) in [(65_536_u64, "expected [65536, 16]"), (10_u64.pow(12), "lora rank must be at most 65536")]
        {
            let mut config = config.clone();
            config["r"] = rank.into();
            std::fs::write(&path, config.to_string()).unwrap();
            let message = load(Llama::new(&tiny(), 5, &Device::flex()).unwrap(), dir.path()).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
