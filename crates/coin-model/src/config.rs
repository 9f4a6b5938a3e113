//! A model's `config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// The architecture of a LLaMA, with Hugging Face's key names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Always `llama`.
    pub model_type: String,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream, d_model.
    pub hidden_size: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; absent means as many as query heads.
    #[serde(default)]
    pub num_key_value_heads: Option<usize>,
    /// Width of one head; absent means `hidden_size / num_attention_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
    /// Longest sequence the model was trained on, in tokens.
    pub max_position_embeddings: usize,
    /// Epsilon inside the root of RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    #[serde(default = "default_rope_theta")]
    pub rope_theta: f64,
    /// Rotary scaling; only absent is supported so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<serde_json::Value>,
    /// Activation of the feed-forward block; only `silu`.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    /// Whether the output head is the transposed embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether q, k, v and o have biases; only `false` is supported so far.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether gate, up and down have biases; only `false` is supported so far.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Id of the token that begins a sequence.
    #[serde(default)]
    pub bos_token_id: Option<u32>,
    /// Id of the token that ends a sequence.
    #[serde(default)]
    pub eos_token_id: Option<u32>,
    /// Standard deviation of a new model's weights.
    #[serde(default = "default_initializer_range")]
    pub initializer_range: f64,
}

fn default_rope_theta() -> f64 {
    10_000.0
}

fn default_activation() -> String {
    "silu".to_owned()
}

fn default_initializer_range() -> f64 {
    0.02
}

impl LlamaConfig {
    /// Reads and checks `config.json` of the model folder `dir`.
    ///
    /// # Errors
    /// The file is absent or not JSON, a key is missing, or a key asks for something unsupported, which is named.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let raw: serde_json::Value = serde_json::from_str(&text).map_err(ModelError::malformed(&path))?;
        let kind = raw.get("model_type").cloned().unwrap_or_default();
        if kind != "llama" {
            return Err(unsupported(&path, "model_type", &kind, "\"llama\""));
        }
        let config: LlamaConfig = serde_json::from_value(raw).map_err(ModelError::malformed(&path))?;
        config.check(&path)?;
        Ok(config)
    }

    /// Checks what serde cannot; `path` is named in errors.
    ///
    /// # Errors
    /// A key asks for something unsupported or the sizes do not fit each other.
    pub fn check(&self, path: &Path) -> Result<(), ModelError> {
        if let Some(scaling) = self.rope_scaling.as_ref().filter(|value| !value.is_null()) {
            return Err(unsupported(path, "rope_scaling", scaling, "null"));
        }
        if self.hidden_act != "silu" {
            return Err(unsupported(path, "hidden_act", &self.hidden_act, "\"silu\""));
        }
        for (key, value) in [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)] {
            if value {
                return Err(unsupported(path, key, &value, "false"));
            }
        }
        let sizes =
            [self.vocab_size, self.hidden_size, self.intermediate_size, self.num_attention_heads, self.kv_heads()];
        let fits = self.num_hidden_layers > 0
            && sizes.iter().all(|&size| size > 0)
            && self.num_attention_heads.is_multiple_of(self.kv_heads())
            && self.head_dim().is_multiple_of(2)
            && (self.head_dim.is_some() || self.hidden_size.is_multiple_of(self.num_attention_heads));
        for (key, id) in [("bos_token_id", self.bos_token_id), ("eos_token_id", self.eos_token_id)] {
            if let Some(id) = id.filter(|&id| id as usize >= self.vocab_size) {
                return Err(unsupported(path, key, &id, "an id below vocab_size"));
            }
        }
        if !fits {
            return Err(ModelError::Malformed {
                path: path.to_owned(),
                message: "sizes do not fit: need positive sizes, num_attention_heads divisible by num_key_value_heads, an even head_dim".to_owned(),
            });
        }
        Ok(())
    }

    /// Number of key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Number of parameters, tied head counted once.
    pub fn parameters(&self) -> usize {
        let (d, ff) = (self.hidden_size, self.intermediate_size);
        let q = self.num_attention_heads * self.head_dim();
        let kv = self.kv_heads() * self.head_dim();
        let layer = 2 * d * q + 2 * d * kv + 3 * d * ff + 2 * d;
        let heads = if self.tie_word_embeddings { 1 } else { 2 };
        heads * self.vocab_size * d + self.num_hidden_layers * layer + d
    }
}

fn unsupported(path: &Path, key: &str, value: &impl serde::Serialize, expected: &str) -> ModelError {
    ModelError::Unsupported {
        path: path.to_owned(),
        key: key.to_owned(),
        value: serde_json::to_string(value).unwrap_or_default(),
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model small enough for hand checks.
    pub(crate) fn tiny() -> LlamaConfig {
        LlamaConfig {
            model_type: "llama".to_owned(),
            vocab_size: 23,
            hidden_size: 16,
            intermediate_size: 24,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: Some(2),
            head_dim: None,
            max_position_embeddings: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: None,
            hidden_act: "silu".to_owned(),
            tie_word_embeddings: true,
            attention_bias: false,
            mlp_bias: false,
            bos_token_id: Some(1),
            eos_token_id: Some(2),
            initializer_range: 0.2,
        }
    }

    #[test]
    fn unsupported_keys_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut value = serde_json::to_value(tiny()).unwrap();
        value["rope_scaling"] = serde_json::json!({"type": "dynamic", "factor": 2.0});
        std::fs::write(dir.path().join("config.json"), value.to_string()).unwrap();
        let message = LlamaConfig::read(dir.path()).unwrap_err().to_string();
        assert!(message.contains("rope_scaling") && message.contains("dynamic"), "{message}");
        value["model_type"] = "gpt2".into();
        std::fs::write(dir.path().join("config.json"), value.to_string()).unwrap();
        assert!(LlamaConfig::read(dir.path()).unwrap_err().to_string().contains("model_type"));
    }
}
