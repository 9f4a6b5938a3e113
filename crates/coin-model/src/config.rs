//! A model's `config.json`.

mod parsing;
mod sizes;

use std::path::Path;

use coin_core::model_files::CONFIG;
use serde::{Deserialize, Serialize};

use crate::ModelError;

/// A family of decoders. They differ in the layers that have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    /// LLaMA 1 to 3.2; `attention_bias` and `mlp_bias` set the biases.
    Llama,
    /// Mistral without sliding window; no biases.
    Mistral,
    /// Qwen2 and Qwen2.5; q, k and v have biases.
    Qwen2,
}

impl ModelType {
    /// Returns the name of transformers' class for this family.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            ModelType::Llama => "LlamaForCausalLM",
            ModelType::Mistral => "MistralForCausalLM",
            ModelType::Qwen2 => "Qwen2ForCausalLM",
        }
    }
}

/// A change of the rotary frequencies for contexts longer than the original one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rope_type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Positions are divided by `factor` (Chen et al. 2023).
    Linear {
        /// Ratio of the new context to the original one.
        factor: f64,
    },
    /// Long wavelengths are stretched, short ones are kept, and those between are interpolated (LLaMA 3.1).
    Llama3 {
        /// Factor by which long wavelengths are stretched.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are stretched by the whole factor.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Context length of the original training, in tokens.
        original_max_position_embeddings: usize,
    },
}

/// The architecture of a decoder, with the key names of Hugging Face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// The family.
    pub model_type: ModelType,
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
    /// Maximum sequence length in tokens. Default 2048, the value of the first LLaMA, whose files omit the key.
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Epsilon inside the root of RMSNorm.
    #[serde(default = "default_epsilon")]
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    #[serde(default = "default_rope_theta")]
    pub rope_theta: f64,
    /// Rotary scaling for long contexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
    /// Activation of the feed-forward block; only `silu`.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    /// True if the output head is the transposed embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// True if q, k, v and o have biases. LLaMA only.
    #[serde(default)]
    pub attention_bias: bool,
    /// True if gate, up and down have biases. LLaMA only.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Id of the token at the start of a sequence.
    #[serde(default)]
    pub bos_token_id: Option<u32>,
    /// Ids of the tokens that end a sequence. The file has `null`, one id or a list.
    #[serde(default, rename = "eos_token_id", with = "one_or_many")]
    pub eos_token_ids: Vec<u32>,
    /// Id for padding shorter rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<u32>,
    /// Standard deviation of a new model's weights.
    #[serde(default = "default_initializer_range")]
    pub initializer_range: f64,
}

fn default_positions() -> usize {
    2048
}

fn default_epsilon() -> f64 {
    1e-6
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

/// Ids that a file writes as `null`, a number or a list of numbers.
pub(crate) mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Ids {
        None,
        One(u32),
        Many(Vec<u32>),
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
        Ok(match Ids::deserialize(deserializer)? {
            Ids::None => Vec::new(),
            Ids::One(id) => vec![id],
            Ids::Many(ids) => ids,
        })
    }

    pub(crate) fn serialize<S: Serializer>(ids: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
        match ids {
            [] => Ids::None.serialize(serializer),
            [id] => Ids::One(*id).serialize(serializer),
            ids => Ids::Many(ids.to_vec()).serialize(serializer),
        }
    }
}

impl LlamaConfig {
    /// Reads and checks `config.json` of the model folder `dir`.
    ///
    /// # Errors
    /// The file is missing or not JSON, a key is missing, or a setting is not supported. The message names the key.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        Self::from_json(&path, &text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A model small enough for checks by hand.
    pub(crate) fn tiny() -> LlamaConfig {
        LlamaConfig {
            model_type: ModelType::Llama,
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
            eos_token_ids: vec![2],
            pad_token_id: None,
            initializer_range: 0.2,
        }
    }
}
