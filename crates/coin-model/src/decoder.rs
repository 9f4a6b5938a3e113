//! A decoder layer: attention and feed-forward, each preceded by an RMSNorm and wrapped in a residual connection.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::attention::{Attention, Geometry, last_positions};
use crate::cache::LayerCache;
use crate::fused;
use crate::linear::{ForwardContext, LoraLinear};
use crate::linear_paths::LINEAR_PATHS;

/// Root-mean-square normalization (Zhang and Sennrich 2019), computed in f32.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[d_model]`
    pub weight: Param<Tensor<1>>,
    /// Added under the square root.
    pub epsilon: f64,
}

impl RmsNorm {
    /// `[batch, seq, d_model]` -> the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        fused::rms_norm(x, self.weight.val(), self.epsilon)
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
        let gate = self.gate_proj.forward(x.clone(), context);
        self.down_proj.forward(fused::swiglu(gate, self.up_proj.forward(x, context)), context)
    }
}

/// A decoder layer.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Norm before attention.
    pub input_norm: RmsNorm,
    /// The attention block.
    pub attention: Attention,
    /// Norm before the feed-forward block.
    pub post_attention_norm: RmsNorm,
    /// The feed-forward block.
    pub feed_forward: FeedForward,
}

impl DecoderLayer {
    /// `[batch, seq, d_model]` -> `[batch, queries, d_model]`, where the geometry sets the number of queries. See
    /// [`Attention::forward`] for the other arguments.
    pub fn forward(
        &self,
        x: Tensor<3>,
        geometry: &Geometry,
        cache: Option<&mut LayerCache>,
        context: &ForwardContext,
    ) -> Tensor<3> {
        let mixed = self.attention.forward(self.input_norm.forward(x.clone()), geometry, cache, context);
        let [_, queries, _] = mixed.dims();
        let x = last_positions(x, queries) + mixed;
        x.clone() + self.feed_forward.forward(self.post_attention_norm.forward(x), context)
    }

    /// Applies `f` to every linear layer, in the order of [`LINEAR_PATHS`].
    pub(crate) fn map_linears(self, mut f: impl FnMut(usize, LoraLinear) -> LoraLinear) -> Self {
        let DecoderLayer { input_norm, attention, post_attention_norm, feed_forward } = self;
        let attention = Attention {
            q_proj: f(0, attention.q_proj),
            k_proj: f(1, attention.k_proj),
            v_proj: f(2, attention.v_proj),
            o_proj: f(3, attention.o_proj),
            ..attention
        };
        let feed_forward = FeedForward {
            gate_proj: f(4, feed_forward.gate_proj),
            up_proj: f(5, feed_forward.up_proj),
            down_proj: f(6, feed_forward.down_proj),
        };
        DecoderLayer { input_norm, attention, post_attention_norm, feed_forward }
    }

    /// Every linear layer with its Hugging Face path within the layer.
    pub(crate) fn linears(&self) -> [(&'static str, &LoraLinear); 7] {
        let (attention, block) = (&self.attention, &self.feed_forward);
        let linears = [
            &attention.q_proj,
            &attention.k_proj,
            &attention.v_proj,
            &attention.o_proj,
            &block.gate_proj,
            &block.up_proj,
            &block.down_proj,
        ];
        std::array::from_fn(|place| (LINEAR_PATHS[place], linears[place]))
    }
}
