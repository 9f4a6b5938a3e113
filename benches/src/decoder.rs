//! Sizes of decoders with random weights.

use coin::model::{FloatType, LlamaConfig, LoraConfig};
use serde_json::json;

/// The sizes of a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Name.
    pub name: &'static str,
    /// `d_model`
    pub width: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Width inside the feed-forward block.
    pub ff: usize,
    /// Number of token ids.
    pub vocab: usize,
    /// Default number of pairs per training step.
    pub pairs: usize,
    /// Default number of tokens per training row.
    pub seq: usize,
}

/// The sizes to measure.
pub const SIZES: [Size; 3] = [
    Size { name: "small", width: 288, layers: 6, heads: 6, ff: 768, vocab: 32000, pairs: 4, seq: 128 },
    Size { name: "medium", width: 768, layers: 12, heads: 12, ff: 2048, vocab: 32000, pairs: 2, seq: 128 },
    Size { name: "large", width: 1024, layers: 16, heads: 16, ff: 2816, vocab: 32000, pairs: 2, seq: 64 },
];

/// Default number of tokens in a prompt for generation.
pub const PROMPT: usize = 100;

/// Default number of answer tokens at the end of a training row.
pub const SUPERVISED: usize = 8;

impl Size {
    /// Returns the architecture, for rows of `seq` tokens.
    pub fn config(&self, seq: usize) -> LlamaConfig {
        let Size { width, layers, heads, ff, vocab, .. } = *self;
        let text = json!({
            "model_type": "llama", "vocab_size": vocab, "hidden_size": width, "intermediate_size": ff,
            "num_hidden_layers": layers, "num_attention_heads": heads, "max_position_embeddings": seq.max(2048),
        });
        LlamaConfig::from_json("sizes".as_ref(), &text.to_string()).expect("the sizes are valid")
    }

    /// Number of weights in a layer's linear matrices.
    pub fn per_layer(&self) -> usize {
        4 * self.width * self.width + 3 * self.width * self.ff
    }
}

/// Settings of the adapters in every run, the paper's: rank 16 on q, k, v and o with dropout 0.05.
pub fn lora() -> LoraConfig {
    LoraConfig::default()
}

/// The token at a position, the same in both languages. Rows differ from their first token on.
pub fn token(row: usize, at: usize, step: usize, vocab: usize) -> u32 {
    ((row * 7919 + at * 104_729 + step * 31) % vocab) as u32
}

/// Name of a dtype in flags and reports.
pub fn dtype_name(dtype: FloatType) -> &'static str {
    match dtype {
        FloatType::F32 => "f32",
        FloatType::F16 => "f16",
        FloatType::Bf16 => "bf16",
    }
}
