//! Numbers that follow from a configuration: widths, biases, parameters, bytes.

use super::{LlamaConfig, ModelType};
use crate::weight::{FloatType, Quantization};

/// The linear layers that have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Biases {
    /// q, k and v.
    qkv: bool,
    /// o.
    output: bool,
    /// gate, up and down.
    feed_forward: bool,
}

impl LlamaConfig {
    /// Returns the number of key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Returns the width of one head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    fn biases(&self) -> Biases {
        match self.model_type {
            ModelType::Llama => {
                Biases { qkv: self.attention_bias, output: self.attention_bias, feed_forward: self.mlp_bias }
            }
            ModelType::Mistral => Biases { qkv: false, output: false, feed_forward: false },
            ModelType::Qwen2 => Biases { qkv: true, output: false, feed_forward: false },
        }
    }

    /// Returns (d_in, d_out, true if there is a bias) of each linear layer of one decoder layer, in the order of
    /// [`LINEAR_PATHS`](crate::LINEAR_PATHS).
    pub(crate) fn linears(&self) -> [(usize, usize, bool); 7] {
        let (d, ff) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.num_attention_heads * self.head_dim(), self.kv_heads() * self.head_dim());
        let Biases { qkv, output, feed_forward } = self.biases();
        [
            (d, q, qkv),
            (d, kv, qkv),
            (d, kv, qkv),
            (q, d, output),
            (d, ff, feed_forward),
            (d, ff, feed_forward),
            (ff, d, feed_forward),
        ]
    }

    /// Describes the layers that have biases.
    pub fn describe_biases(&self) -> &'static str {
        match self.biases() {
            Biases { qkv: false, output: false, feed_forward: false } => "none",
            Biases { qkv: true, output: false, feed_forward: false } => "q, k, v",
            Biases { qkv: true, output: true, feed_forward: false } => "q, k, v, o",
            Biases { qkv: false, output: false, feed_forward: true } => "gate, up, down",
            _ => "every linear layer",
        }
    }

    /// Returns the number of bytes of the weights in memory, without adapters.
    pub fn weight_bytes(&self, dtype: FloatType, quantization: Option<Quantization>) -> usize {
        let dense = if dtype == FloatType::F32 { 4 } else { 2 };
        let matrices = self.linears().into_iter().map(|(d_in, d_out, _)| d_in * d_out);
        let in_matrices = self.num_hidden_layers * matrices.clone().sum::<usize>();
        let matrix_bytes = match quantization {
            None => in_matrices * dense,
            Some(packing) => self.num_hidden_layers * matrices.map(|count| packing.bytes(count)).sum::<usize>(),
        };
        matrix_bytes + (self.parameters() - in_matrices) * dense
    }

    /// Returns the number of parameters. A tied head counts once.
    pub fn parameters(&self) -> usize {
        let d = self.hidden_size;
        let linears = self.linears().into_iter().map(|(d_in, d_out, bias)| d_in * d_out + usize::from(bias) * d_out);
        let layer = linears.sum::<usize>() + 2 * d;
        let heads = if self.tie_word_embeddings { 1 } else { 2 };
        heads * self.vocab_size * d + self.num_hidden_layers * layer + d
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tiny;
    use super::*;

    #[test]
    fn parameters_are_counted() {
        // Embedding 23*16; per layer q, o 16*16, k, v 16*8, three of 16*24, two norms; the last norm.
        assert_eq!(tiny().parameters(), 368 + 2 * (512 + 256 + 1152 + 32) + 16);
        let qwen = LlamaConfig { model_type: ModelType::Qwen2, tie_word_embeddings: false, ..tiny() };
        assert_eq!(qwen.parameters(), tiny().parameters() + 368 + 2 * (16 + 8 + 8));
    }
}
