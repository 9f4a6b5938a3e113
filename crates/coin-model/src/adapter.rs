//! LoRA adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{NamedTensor, floats, transpose, write_file, write_safetensors};
use crate::{Llama, LoraConfig, ModelError};

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
    target_modules: Vec<String>,
    #[serde(default = "no_bias")]
    bias: String,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    alpha_pattern: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rank_pattern: BTreeMap<String, usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers_to_transform: Option<serde_json::Value>,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    inference_mode: bool,
}

fn no_bias() -> String {
    "none".to_owned()
}

/// The settings of the adapter folder `dir`.
///
/// # Errors
/// The file is absent, damaged, or asks for something unsupported, which is named.
pub fn read_config(dir: &Path) -> Result<LoraConfig, ModelError> {
    let path = dir.join("adapter_config.json");
    let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
    let peft: PeftConfig = serde_json::from_str(&text).map_err(ModelError::malformed(&path))?;
    let unsupported = |key: &str, value: String, expected: &str| ModelError::Unsupported {
        path: path.clone(),
        key: key.to_owned(),
        value,
        expected: expected.to_owned(),
    };
    if peft.peft_type != "LORA" {
        return Err(unsupported("peft_type", peft.peft_type, "LORA"));
    }
    if peft.bias != "none" {
        return Err(unsupported("bias", peft.bias, "none"));
    }
    for (key, value) in
        [("use_rslora", peft.use_rslora), ("use_dora", peft.use_dora), ("fan_in_fan_out", peft.fan_in_fan_out)]
    {
        if value {
            return Err(unsupported(key, "true".to_owned(), "false"));
        }
    }
    for (key, given) in [
        ("alpha_pattern", !peft.alpha_pattern.is_empty()),
        ("rank_pattern", !peft.rank_pattern.is_empty()),
        ("layers_to_transform", peft.layers_to_transform.as_ref().is_some_and(|layers| !layers.is_null())),
    ] {
        if given {
            return Err(unsupported(key, "a value".to_owned(), "none"));
        }
    }
    if let Some(modules) = peft.modules_to_save.filter(|modules| !modules.is_empty()) {
        return Err(unsupported("modules_to_save", modules.join(", "), "null"));
    }
    let config = LoraConfig {
        rank: peft.r,
        alpha: peft.lora_alpha,
        dropout: peft.lora_dropout,
        target_modules: peft.target_modules,
    };
    config.check().map_err(|error| ModelError::Malformed { path, message: error.to_string() })?;
    Ok(config)
}

/// Loads the adapter folder `dir` onto `model`, whose own weights become frozen.
///
/// # Errors
/// As [`read_config`]; or tensors are missing, unexpected or of another shape; all of them are listed.
pub fn load(model: Llama, dir: &Path) -> Result<Llama, ModelError> {
    let config = read_config(dir)?;
    let path = dir.join("adapter_model.safetensors");
    let bytes = std::fs::read(&path).map_err(ModelError::io(&path))?;
    let parsed = SafeTensors::deserialize(&bytes).map_err(ModelError::malformed(&path))?;
    // PEFT has written `lora_A.weight` and, in some versions, `lora_A.default.weight`.
    let mut tensors: BTreeMap<String, _> =
        parsed.tensors().into_iter().map(|(name, view)| (name.replace(".default.weight", ".weight"), view)).collect();
    let device = model.device();
    let mut model = model.with_lora(&config, 0)?;
    let mut problems = Vec::new();
    for index in 0..model.layers.len() {
        let paths: Vec<&str> = model.layers[index].linears().iter().map(|(path, _)| *path).collect();
        let mut paths = paths.into_iter();
        let mut failure = None;
        let layer = model.layers[index].clone().map_linears(|_, mut linear| {
            let place = paths.next().unwrap_or_default();
            let Some(lora) = linear.lora.as_mut() else { return linear };
            for (factor, param) in [("lora_A", &mut lora.a), ("lora_B", &mut lora.b)] {
                let name = format!("base_model.model.model.layers.{index}.{place}.{factor}.weight");
                let [d_in, d_out]: [usize; 2] = param.lazy_shape().dims();
                match tensors.remove(&name) {
                    None => problems.push(format!("`{name}` is missing")),
                    Some(view) if view.shape() != [d_out, d_in] => {
                        problems.push(format!("`{name}` has shape {:?}, expected {:?}", view.shape(), [d_out, d_in]));
                    }
                    Some(view) => match floats(&view, &name, &path) {
                        Ok(values) => {
                            let data = TensorData::new(transpose(&values, d_out, d_in), [d_in, d_out]);
                            *param = Param::from_tensor(Tensor::from_data(data, &device));
                        }
                        Err(error) => failure = Some(error),
                    },
                }
            }
            linear
        });
        model.layers[index] = layer;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    problems.extend(tensors.keys().map(|name| format!("`{name}` is unexpected")));
    match problems.is_empty() {
        true => Ok(model),
        false => Err(ModelError::Weights { path, problems: problems.join(", ") }),
    }
}

/// Writes the adapters of `model` to `dir`, as PEFT writes them.
///
/// # Errors
/// A file cannot be written, or the model has no adapter.
pub fn save(model: &Llama, config: &LoraConfig, base: Option<&str>, dir: &Path) -> Result<(), ModelError> {
    let mut tensors = Vec::new();
    for (index, layer) in model.layers.iter().enumerate() {
        for (place, linear) in layer.linears() {
            let Some(lora) = &linear.lora else { continue };
            for (factor, param) in [("lora_A", &lora.a), ("lora_B", &lora.b)] {
                let name = format!("base_model.model.model.layers.{index}.{place}.{factor}.weight");
                tensors.push(NamedTensor::new(name, param.val().transpose())?);
            }
        }
    }
    if tensors.is_empty() {
        return Err(ModelError::Invalid("the model has no adapter to save".to_owned()));
    }
    write_safetensors(&dir.join("adapter_model.safetensors"), &tensors)?;
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
        use_rslora: false,
        use_dora: false,
        alpha_pattern: BTreeMap::new(),
        rank_pattern: BTreeMap::new(),
        layers_to_transform: None,
        modules_to_save: None,
        inference_mode: true,
    };
    let path = dir.join("adapter_config.json");
    let text = serde_json::to_string_pretty(&peft).map_err(ModelError::malformed(&path))?;
    write_file(&path, (text + "\n").as_bytes())
}

/// The number of trainable parameters in `model`'s adapters.
pub fn parameters(model: &Llama) -> usize {
    let linears = model.layers.iter().flat_map(|layer| layer.linears());
    linears.filter_map(|(_, linear)| linear.lora.as_ref()).map(Module::num_params).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenBatch;
    use crate::config::tests::tiny;
    use burn::tensor::Device;

    #[test]
    fn a_saved_adapter_is_the_same_adapter() {
        let device = Device::flex();
        let dir = tempfile::tempdir().unwrap();
        let lora =
            LoraConfig { rank: 2, alpha: 4.0, dropout: 0.0, target_modules: vec!["v_proj".into(), "up_proj".into()] };
        let base = Llama::new(&tiny(), 5, &device).unwrap();
        let mut model = base.clone().with_lora(&lora, 1).unwrap();
        let adapter = model.layers[1].attention.v_proj.lora.as_mut().unwrap();
        adapter.b = Param::from_tensor(Tensor::from_data([[1.0, -1.0, 0.5, 2.0, 0.0, 1.0, 3.0, 1.0]; 2], &device));
        save(&model, &lora, None, dir.path()).unwrap();
        assert_eq!(read_config(dir.path()).unwrap(), lora);
        let again = load(base.clone(), dir.path()).unwrap();
        let batch = TokenBatch::left_padded(&[vec![1, 2, 3]], 0, 1, &device).unwrap();
        let hidden = |model: &Llama| model.hidden(&batch, None, None).into_data();
        assert_eq!(hidden(&model), hidden(&again));
        assert_ne!(hidden(&base), hidden(&again));
        // layer 1 of 2 has four factors: two targets.
        assert_eq!(parameters(&model), 2 * (2 * (16 + 8) + 2 * (16 + 24)));
    }

    #[test]
    fn an_adapter_of_another_model_is_refused() {
        let device = Device::flex();
        let dir = tempfile::tempdir().unwrap();
        let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
        let model = Llama::new(&tiny(), 5, &device).unwrap().with_lora(&lora, 1).unwrap();
        save(&model, &lora, None, dir.path()).unwrap();
        let other = crate::LlamaConfig { hidden_size: 32, num_hidden_layers: 1, ..tiny() };
        let message = load(Llama::new(&other, 5, &device).unwrap(), dir.path()).unwrap_err().to_string();
        assert!(message.contains("has shape") && message.contains("unexpected"), "{message}");
    }
}
