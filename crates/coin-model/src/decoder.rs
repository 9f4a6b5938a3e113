//! One decoder layer: attention and feed-forward, each behind an RMSNorm and inside a residual connection.

use burn::module::{Module, Param};
use burn::tensor::activation::silu;
use burn::tensor::{DType, Tensor};

use crate::attention::Attention;
use crate::cache::LayerCache;
use crate::linear::{ForwardContext, LoraLinear};
use crate::rope::Rotary;

/// Root-mean-square normalisation (Zhang and Sennrich 2019), computed in f32.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[d_model]`
    pub weight: Param<Tensor<1>>,
    /// Added inside the root.
    pub epsilon: f64,
}

impl RmsNorm {
    /// `[batch, seq, d_model]` -> the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let scale = (x.clone().square().mean_dim(2) + self.epsilon).sqrt();
        (x / scale).cast(dtype) * self.weight.val().unsqueeze()
    }
}

/// The feed-forward block, `down(silu(gate(x)) * up(x))` (SwiGLU, Shazeer 2020).
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[d_model, d_ff]`
    pub gate_proj: LoraLinear,
    /// `[d_model, d_ff]`
    pub up_proj: LoraLinear,
    /// `[d_ff, d_model]`
    pub down_proj: LoraLinear,
}

impl FeedForward {
    /// `[batch, seq, d_model]` -> the same shape.
    pub fn forward(&self, x: Tensor<3>, context: &ForwardContext) -> Tensor<3> {
        let gate = silu(self.gate_proj.forward(x.clone(), context));
        self.down_proj.forward(gate * self.up_proj.forward(x, context), context)
    }
}

/// A decoder layer.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Norm before attention.
    pub input_norm: RmsNorm,
    /// Attention.
    pub attention: Attention,
    /// Norm before the feed-forward block.
    pub post_attention_norm: RmsNorm,
    /// Feed-forward.
    pub feed_forward: FeedForward,
}

impl DecoderLayer {
    /// `[batch, seq, d_model]` -> the same shape; see [`Attention::forward`] for the other arguments.
    pub fn forward(
        &self,
        x: Tensor<3>,
        rotary: &Rotary,
        bias: &Tensor<4>,
        cache: Option<&mut LayerCache>,
        context: &ForwardContext,
    ) -> Tensor<3> {
        let x = x.clone() + self.attention.forward(self.input_norm.forward(x), rotary, bias, cache, context);
        x.clone() + self.feed_forward.forward(self.post_attention_norm.forward(x), context)
    }

    /// Applies `f` to every linear layer, in the order of [`LINEAR_NAMES`](crate::linear::LINEAR_NAMES).
    pub(crate) fn map_linears(mut self, mut f: impl FnMut(&str, LoraLinear) -> LoraLinear) -> Self {
        let attention = &mut self.attention;
        attention.q_proj = f("q_proj", attention.q_proj.clone());
        attention.k_proj = f("k_proj", attention.k_proj.clone());
        attention.v_proj = f("v_proj", attention.v_proj.clone());
        attention.o_proj = f("o_proj", attention.o_proj.clone());
        let block = &mut self.feed_forward;
        block.gate_proj = f("gate_proj", block.gate_proj.clone());
        block.up_proj = f("up_proj", block.up_proj.clone());
        block.down_proj = f("down_proj", block.down_proj.clone());
        self
    }

    /// Every linear layer with its Hugging Face path within the layer.
    pub(crate) fn linears(&self) -> [(&'static str, &LoraLinear); 7] {
        [
            ("self_attn.q_proj", &self.attention.q_proj),
            ("self_attn.k_proj", &self.attention.k_proj),
            ("self_attn.v_proj", &self.attention.v_proj),
            ("self_attn.o_proj", &self.attention.o_proj),
            ("mlp.gate_proj", &self.feed_forward.gate_proj),
            ("mlp.up_proj", &self.feed_forward.up_proj),
            ("mlp.down_proj", &self.feed_forward.down_proj),
        ]
    }
}
