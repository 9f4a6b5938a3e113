//! Decoders with random weights, by their sizes.

use coin::model::{FloatType, LlamaConfig, LoraConfig};
use serde_json::json;

/// The sizes of a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// What it is called.
    pub name: &'static str,
    /// `d_model`
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside the feed-forward block.
    pub ff: usize,
    /// Token ids.
    pub vocab: usize,
    /// Pairs of a training step, unless another number is asked for.
    pub pairs: usize,
    /// Tokens of a training row, unless another number is asked for.
    pub seq: usize,
}

/// The sizes that are measured.
pub const SIZES: [Size; 3] = [
    Size { name: "small", width: 288, layers: 6, heads: 6, ff: 768, vocab: 32000, pairs: 4, seq: 128 },
    Size { name: "medium", width: 768, layers: 12, heads: 12, ff: 2048, vocab: 32000, pairs: 2, seq: 128 },
    Size { name: "large", width: 1024, layers: 16, heads: 16, ff: 2816, vocab: 32000, pairs: 2, seq: 64 },
];

/// Tokens of a prompt that is continued, unless another number is asked for.
pub const PROMPT: usize = 100;

/// Tokens of an answer, at a training row's end, unless another number is asked for.
pub const SUPERVISED: usize = 8;

impl Size {
    /// The architecture, for rows of `seq` tokens.
    pub fn config(&self, seq: usize) -> LlamaConfig {
        let Size { width, layers, heads, ff, vocab, .. } = *self;
        let text = json!({
            "model_type": "llama", "vocab_size": vocab, "hidden_size": width, "intermediate_size": ff,
            "num_hidden_layers": layers, "num_attention_heads": heads, "max_position_embeddings": seq.max(2048),
        });
        LlamaConfig::from_json("sizes".as_ref(), &text.to_string()).expect("the sizes give a model")
    }

    /// Weights of the linear matrices of a layer.
    pub fn per_layer(&self) -> usize {
        4 * self.width * self.width + 3 * self.width * self.ff
    }
}

/// The adapters of every run: the paper's, rank 16 on q, k, v and o with dropout 0.05.
pub fn lora() -> LoraConfig {
    LoraConfig::default()
}

/// The token at a place, the same in both languages: all rows differ from their first token on.
pub fn token(row: usize, at: usize, step: usize, vocab: usize) -> u32 {
    ((row * 7919 + at * 104_729 + step * 31) % vocab) as u32
}

/// A number type as flags and reports have it.
pub fn dtype_name(dtype: FloatType) -> &'static str {
    match dtype {
        FloatType::F32 => "f32",
        FloatType::F16 => "f16",
        FloatType::Bf16 => "bf16",
    }
}
