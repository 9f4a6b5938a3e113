//! Parses and checks `config.json`.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::{LlamaConfig, ModelType, RopeScaling};
use crate::ModelError;

/// Maximum width of a model and size of a vocabulary, 4,194,304. With it and [`MOST_LAYERS`], every number of bytes fits into
/// 64 bits.
const MOST_WIDTH: usize = 1 << 22;

/// Maximum number of decoder layers.
const MOST_LAYERS: usize = 1 << 12;

impl LlamaConfig {
    /// Parses and checks a `config.json` from its text. Errors name the file `path`.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn from_json(path: &Path, text: &str) -> Result<Self, ModelError> {
        let mut raw: Value = coin_core::json::from_str(text).map_err(ModelError::malformed(path))?;
        let known = ["llama", "mistral", "qwen2"];
        if !raw["model_type"].as_str().is_some_and(|kind| known.contains(&kind)) {
            return Err(unsupported(path, "model_type", &raw["model_type"], "\"llama\", \"mistral\" or \"qwen2\""));
        }
        // transformers 5 has base and scaling of the rotary embedding in one table.
        if let Some(parameters) = raw["rope_parameters"].as_object().cloned() {
            if let Some(theta) = parameters.get("rope_theta") {
                raw["rope_theta"] = theta.clone();
            }
            raw["rope_scaling"] = Value::Object(parameters);
        }
        raw["rope_scaling"] = rope_scaling(path, &raw["rope_scaling"])?;
        refuse_other_settings(path, &raw)?;
        let config: LlamaConfig = serde_json::from_value(raw).map_err(ModelError::malformed(path))?;
        if config.model_type != ModelType::Llama && config.num_key_value_heads.is_none() {
            let message = "`num_key_value_heads` is missing".to_owned();
            return Err(ModelError::Malformed { path: path.to_owned(), message });
        }
        config.check(path)?;
        Ok(config)
    }

    /// Checks the values. Errors name the file `path`.
    ///
    /// # Errors
    /// A value is not supported, or the sizes do not match each other.
    pub fn check(&self, path: &Path) -> Result<(), ModelError> {
        if self.hidden_act != "silu" {
            return Err(unsupported(path, "hidden_act", &self.hidden_act, "\"silu\""));
        }
        let of_llama = [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)];
        for (key, value) in of_llama.into_iter().filter(|_| self.model_type != ModelType::Llama) {
            if value {
                return Err(unsupported(path, key, &value, "false for this model_type"));
            }
        }
        let ids = self.eos_token_ids.iter().map(|&id| ("eos_token_id", id));
        let mut ids = ids.chain(self.bos_token_id.map(|id| ("bos_token_id", id)));
        if let Some((key, id)) = ids.find(|(_, id)| *id as usize >= self.vocab_size) {
            return Err(unsupported(path, key, &id, "an id below vocab_size"));
        }
        if self.max_position_embeddings == 0 {
            return Err(unsupported(path, "max_position_embeddings", &0, "at least 1"));
        }
        let numbers = [("rms_norm_eps", self.rms_norm_eps), ("initializer_range", self.initializer_range)];
        for (key, number) in numbers {
            if !(0.0..=1.0).contains(&number) {
                return Err(unsupported(path, key, &number, "a number from 0 to 1"));
            }
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta.is_finite()) {
            return Err(unsupported(path, "rope_theta", &self.rope_theta, "a number of at least 1"));
        }
        if let Some(scaling) = &self.rope_scaling {
            let sound = match scaling {
                RopeScaling::Linear { factor } => *factor >= 1.0,
                RopeScaling::Llama3 {
                    factor,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_position_embeddings: context,
                } => *factor >= 1.0 && *low > 0.0 && high > low && *context > 0,
            };
            if !sound {
                let expected = "factors of at least 1, high_freq_factor above low_freq_factor, a context of at least 1";
                return Err(unsupported(path, "rope_scaling", scaling, expected));
            }
        }
        let sizes =
            [self.vocab_size, self.hidden_size, self.intermediate_size, self.num_attention_heads, self.kv_heads()];
        let layers = ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS);
        let widths = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.kv_heads()),
            ("head_dim", self.head_dim()),
            ("num_attention_heads * head_dim", self.num_attention_heads.saturating_mul(self.head_dim())),
        ];
        let mut bounded = widths.into_iter().map(|(key, size)| (key, size, MOST_WIDTH)).chain([layers]);
        if let Some((key, size, most)) = bounded.find(|(_, size, most)| size > most) {
            return Err(unsupported(path, key, &size, &format!("at most {most}")));
        }
        let fits = self.num_hidden_layers > 0
            && sizes.iter().all(|&size| size > 0)
            && self.num_attention_heads.is_multiple_of(self.kv_heads())
            && self.head_dim().is_multiple_of(2)
            && (self.head_dim.is_some() || self.hidden_size.is_multiple_of(self.num_attention_heads));
        match fits {
            true => Ok(()),
            false => Err(ModelError::Malformed {
                path: path.to_owned(),
                message: "sizes do not match: expected positive sizes, num_attention_heads divisible by num_key_value_heads, an even head_dim".to_owned(),
            }),
        }
    }
}

/// Returns `rope_scaling` with the key names of newer files, or `null` if it changes nothing.
fn rope_scaling(path: &Path, given: &Value) -> Result<Value, ModelError> {
    let Some(table) = given.as_object() else { return Ok(Value::Null) };
    let kind = table.get("rope_type").or_else(|| table.get("type")).cloned().unwrap_or_default();
    match kind.as_str() {
        Some("default") => Ok(Value::Null),
        Some("linear" | "llama3") => {
            let mut table = table.clone();
            table.insert("rope_type".to_owned(), kind);
            Ok(Value::Object(table))
        }
        _ => Err(unsupported(path, "rope_scaling.rope_type", &kind, "\"linear\", \"llama3\" or no rope_scaling")),
    }
}

/// Rejects settings that change the result and are not implemented.
fn refuse_other_settings(path: &Path, raw: &Value) -> Result<(), ModelError> {
    let is_null = |value: &Value| value.is_null();
    let is_zero = |value: &Value| value.is_null() || value.as_f64() == Some(0.0);
    let is_one = |value: &Value| value.is_null() || value.as_f64() == Some(1.0);
    let is_off = |value: &Value| value.is_null() || value == &Value::Bool(false);
    let all_full = |value: &Value| value.as_array().into_iter().flatten().all(|kind| kind == "full_attention");
    // Qwen2 files contain a window, which `use_sliding_window` switches on.
    let windowless = |value: &Value| is_null(value) || raw["model_type"] == "qwen2";
    let check = |key: &str, supported: &dyn Fn(&Value) -> bool, expected: &str| match supported(&raw[key]) {
        true => Ok(()),
        false => Err(unsupported(path, key, &raw[key], expected)),
    };
    check("sliding_window", &windowless, "null")?;
    check("use_sliding_window", &is_off, "false")?;
    check("layer_types", &all_full, "\"full_attention\" in every layer")?;
    check("quantization_config", &is_null, "weights that are not quantized; quantize while loading")?;
    check("partial_rotary_factor", &is_one, "1")?;
    check("attention_dropout", &is_zero, "0")
}

fn unsupported(path: &Path, key: &str, value: &impl Serialize, expected: &str) -> ModelError {
    ModelError::Unsupported {
        path: path.to_owned(),
        key: key.to_owned(),
        value: serde_json::to_string(value).unwrap_or_default(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::tiny;
    use super::*;
    use crate::weight::FloatType;

    fn read(change: impl FnOnce(&mut Value)) -> Result<LlamaConfig, ModelError> {
        let mut value = serde_json::to_value(tiny()).unwrap();
        change(&mut value);
        LlamaConfig::from_json(Path::new("config.json"), &value.to_string())
    }

    #[test]
    fn sizes_larger_than_any_model_are_rejected() {
        let sizes = ["vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "head_dim"];
        for key in sizes.into_iter().chain(["num_key_value_heads", "num_hidden_layers"]) {
            for size in [10_u64.pow(7), 10_u64.pow(18)] {
                let message = read(|v| v[key] = size.into()).unwrap_err().to_string();
                assert!(message.contains(key) && message.contains("at most"), "{key}: {message}");
            }
        }
        let width = 1 << 22;
        let largest = LlamaConfig {
            vocab_size: width,
            hidden_size: width,
            intermediate_size: width,
            num_attention_heads: width / 2,
            num_key_value_heads: None,
            head_dim: Some(2),
            num_hidden_layers: 1 << 12,
            ..tiny()
        };
        largest.check(Path::new("config.json")).unwrap();
        assert!(largest.weight_bytes(FloatType::F32, None) as f64 > 1e18);
    }

    #[test]
    fn numbers_outside_their_domain_are_named() {
        let cases = [
            ("max_position_embeddings", json!(0)),
            ("rms_norm_eps", json!(-1e-6)),
            ("rms_norm_eps", json!(1e300)),
            ("initializer_range", json!(-0.1)),
            ("rope_theta", json!(0.0)),
            ("rope_theta", json!(-1e4)),
        ];
        for (key, value) in cases {
            let message = read(|v| v[key] = value.clone()).unwrap_err().to_string();
            assert!(message.contains(key) && message.contains("expected"), "{key} {value}: {message}");
        }
    }

    #[test]
    fn a_duplicate_key_is_rejected() {
        let text =
            serde_json::to_string(&tiny()).unwrap().replace("\"vocab_size\":23", "\"vocab_size\":23,\"vocab_size\":24");
        let message = LlamaConfig::from_json(Path::new("config.json"), &text).unwrap_err().to_string();
        assert!(message.contains("duplicate key `vocab_size`"), "{message}");
    }

    #[test]
    fn long_values_are_cut() {
        let message = read(|v| v["model_type"] = "x".repeat(10_000_000).into()).unwrap_err().to_string();
        assert!(message.len() < 500 && message.contains("(10000002 characters)"), "{}", message.len());
        let message = read(|v| v["hidden_size"] = "y".repeat(1_000_000).into()).unwrap_err().to_string();
        assert!(message.len() < 500, "{}", message.len());
    }

    #[test]
    fn unsupported_keys_are_named() {
        type Change = fn(&mut Value);
        let cases: [(&str, Change); 13] = [
            ("`max_position_embeddings` = 0", |v| v["max_position_embeddings"] = 0.into()),
            ("`rope_theta` = -1.0", |v| v["rope_theta"] = json!(-1.0)),
            ("`rms_norm_eps` = -1.0", |v| v["rms_norm_eps"] = json!(-1.0)),
            ("dynamic", |v| v["rope_scaling"] = json!({"type": "dynamic", "factor": 2.0})),
            ("yarn", |v| v["rope_parameters"] = json!({"rope_type": "yarn", "rope_theta": 1e4})),
            ("model_type", |v| v["model_type"] = "gpt2".into()),
            ("hidden_act", |v| v["hidden_act"] = "gelu".into()),
            ("attention_bias", |v| {
                v["model_type"] = "mistral".into();
                v["attention_bias"] = true.into();
            }),
            ("sliding_window", |v| {
                v["model_type"] = "mistral".into();
                v["sliding_window"] = 4096.into();
            }),
            ("use_sliding_window", |v| {
                v["model_type"] = "qwen2".into();
                v["use_sliding_window"] = true.into();
            }),
            ("quantization_config", |v| v["quantization_config"] = json!({"quant_method": "gptq"})),
            ("eos_token_id", |v| v["eos_token_id"] = json!([2, 23])),
            ("num_key_value_heads", |v| v["num_key_value_heads"] = 3.into()),
        ];
        for (name, change) in cases {
            let message = read(change).unwrap_err().to_string();
            assert!(message.contains(name), "{name}: {message}");
        }
    }

    #[test]
    fn old_and_new_spellings_mean_the_same() {
        let linear = |value: &mut Value| value["rope_scaling"] = json!({"type": "linear", "factor": 4.0});
        let config = read(linear).unwrap();
        assert_eq!(config.rope_scaling, Some(RopeScaling::Linear { factor: 4.0 }));
        let newer = read(|value| {
            value["rope_parameters"] = json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5});
        });
        assert_eq!(newer.unwrap(), LlamaConfig { rope_theta: 5e5, ..config });
        let plain = read(|value| value["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 1e4}));
        assert_eq!(plain.unwrap(), tiny());
        let many = read(|value| value["eos_token_id"] = json!([2, 5])).unwrap();
        assert_eq!(many.eos_token_ids, [2, 5]);
        assert_eq!(serde_json::to_value(&many).unwrap()["eos_token_id"], json!([2, 5]));
        assert!(read(|value| value["eos_token_id"] = Value::Null).unwrap().eos_token_ids.is_empty());
    }
}
