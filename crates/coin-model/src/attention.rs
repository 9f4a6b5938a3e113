//! Causal self-attention with grouped queries.

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Tensor};

use crate::LlamaConfig;
use crate::cache::LayerCache;
use crate::linear::{ForwardContext, LoraLinear};
use crate::rope::Rotary;

/// Added to the score of a key that must not be seen; finite, so that a padding row's softmax has no NaN.
pub(crate) const MASKED: f32 = -1e9;

/// The attention block of a decoder layer.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[d_model, heads * head_dim]`
    pub q_proj: LoraLinear,
    /// `[d_model, kv_heads * head_dim]`
    pub k_proj: LoraLinear,
    /// `[d_model, kv_heads * head_dim]`
    pub v_proj: LoraLinear,
    /// `[heads * head_dim, d_model]`
    pub o_proj: LoraLinear,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Attention {
    pub(crate) fn new(config: &LlamaConfig, [q_proj, k_proj, v_proj, o_proj]: [LoraLinear; 4]) -> Self {
        Attention {
            q_proj,
            k_proj,
            v_proj,
            o_proj,
            heads: config.num_attention_heads,
            kv_heads: config.kv_heads(),
            head_dim: config.head_dim(),
        }
    }

    /// Attends, and adds this call's keys and values to `cache` if there is one.
    ///
    /// # Shapes
    /// - x, output: `[batch, seq, d_model]`
    /// - bias: `[batch, 1, seq, seen + seq]`, 0 or a large negative number, added to the scores
    ///
    /// Scores and softmax are computed in f32.
    pub fn forward(
        &self,
        x: Tensor<3>,
        rotary: &Rotary,
        bias: &Tensor<4>,
        cache: Option<&mut LayerCache>,
        context: &ForwardContext,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let (heads, kv_heads, head_dim) = (self.heads, self.kv_heads, self.head_dim);
        let split = |x: Tensor<3>, heads: usize| x.reshape([batch, seq, heads, head_dim]).swap_dims(1, 2);
        let q = rotary.forward(split(self.q_proj.forward(x.clone(), context), heads));
        let mut k = rotary.forward(split(self.k_proj.forward(x.clone(), context), kv_heads));
        let mut v = split(self.v_proj.forward(x, context), kv_heads);
        if let Some(cache) = cache {
            if let Some((seen_k, seen_v)) = cache.take() {
                k = Tensor::cat(vec![seen_k, k], 2);
                v = Tensor::cat(vec![seen_v, v], 2);
            }
            *cache = Some((k.clone(), v.clone()));
        }
        let keys = k.dims()[2];
        // The query heads of one group stand one below the other, so that keys and values are not copied per head.
        let group = heads / kv_heads;
        let dtype = q.dtype();
        let q = (q * (head_dim as f64).powf(-0.5)).reshape([batch, kv_heads, group * seq, head_dim]);
        let scores = q.matmul(k.transpose()).cast(DType::F32).reshape([batch, heads, seq, keys]);
        let weights = softmax(scores + bias.clone(), 3).cast(dtype);
        let mixed = weights.reshape([batch, kv_heads, group * seq, keys]).matmul(v);
        let mixed =
            mixed.reshape([batch, heads, seq, head_dim]).swap_dims(1, 2).reshape([batch, seq, heads * head_dim]);
        self.o_proj.forward(mixed, context)
    }
}
