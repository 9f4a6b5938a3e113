//! A linear layer with a LoRA adapter in activation space (Hu et al. 2021):
//! `y = x W + scale * dropout(x) A B`, `scale = alpha / rank`.
//!
//! The product `A B` is never materialized and the frozen weight does not get a gradient; this is where LoRA saves memory.
//! As in PEFT, A is initialized Kaiming-uniform (a = sqrt 5) and B to zero.

use std::ops::Range;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::dropout::DropoutKey;
use crate::fused;
use crate::lora::LoraConfig;
use crate::weight::Weight;

/// The two factors of a LoRA update.
#[derive(Module, Debug)]
pub struct LoraAdapter {
    /// `[d_in, rank]`
    pub a: Param<Tensor<2>>,
    /// `[rank, d_out]`
    pub b: Param<Tensor<2>>,
    /// `alpha / rank`, or `alpha / sqrt(rank)` if rank-stabilized.
    pub scale: f64,
    /// Probability of dropping an input feature in training.
    pub dropout: f64,
    /// Number of this layer in the keys of dropout masks; unique within the model.
    pub stream: usize,
    /// True if the product has been added to the layer's matrix.
    pub merged: bool,
}

/// A linear layer with an optional bias and an optional adapter.
#[derive(Module, Debug)]
pub struct LoraLinear {
    /// The matrix, `[d_in, d_out]`.
    pub weight: Weight,
    /// The bias, `[d_out]`, if the layer has one.
    pub bias: Option<Param<Tensor<1>>>,
    /// The adapter, if the layer has one.
    pub lora: Option<LoraAdapter>,
}

/// State that all layers of a forward pass share: the positions of the rows' tokens and, in training, the dropout key.
#[derive(Debug, Clone)]
pub struct ForwardContext<'a> {
    /// The positions of each row's tokens within the padded batch.
    pub spans: &'a [Range<usize>],
    /// Padded length of the batch. An input with fewer positions holds the last ones.
    pub seq: usize,
    /// The key of the dropout masks; `None` turns dropout off.
    pub dropout: Option<&'a DropoutKey>,
}

impl LoraLinear {
    /// A layer without an adapter; `weight` is `[d_in, d_out]`.
    pub fn new(weight: Weight, bias: Option<Tensor<1>>) -> Self {
        LoraLinear { weight, bias: bias.map(Param::from_tensor), lora: None }
    }

    /// Adds a new adapter to the layer: A is uniform in `±1 / sqrt(d_in)` (Kaiming with a = sqrt 5), B is zero.
    pub(crate) fn with_adapter(
        mut self,
        config: &LoraConfig,
        stream: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let [d_in, d_out] = self.weight.dims();
        let bound = 1.0 / (d_in as f32).sqrt();
        let a: Vec<f32> = (0..d_in * config.rank).map(|_| rng.random_range(-bound..bound)).collect();
        let b = vec![0f32; config.rank * d_out];
        let factor = |values, shape, number: usize| {
            let tensor = Tensor::from_data(TensorData::new(values, shape), (device, DType::F32));
            let mut param = Param::from_tensor(tensor);
            // Equal in every process, so that saved optimizer state can be matched to its parameter.
            param.id = ParamId::from((2 * stream + number) as u64);
            param
        };
        self.lora = Some(LoraAdapter {
            a: factor(a, [d_in, config.rank], 0),
            b: factor(b, [config.rank, d_out], 1),
            scale: config.scale(),
            dropout: config.dropout,
            stream,
            merged: false,
        });
        self
    }

    /// `[batch, seq, d_in]` -> `[batch, seq, d_out]`, in x's dtype; the adapter computes in f32.
    pub fn forward(&self, x: Tensor<3>, context: &ForwardContext) -> Tensor<3> {
        let [batch, seq, d_in] = x.dims();
        let [_, d_out] = self.weight.dims();
        let positions = context.seq.saturating_sub(seq)..context.seq;
        let with_bias = |y: Tensor<2>| match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        };
        let lora = self.lora.as_ref().filter(|lora| !lora.merged);
        if let (Some(lora), Weight::Dense(weight)) = (lora, &self.weight)
            && fused::runs_fused(&x)
            && !weight.val().is_tracked()
        {
            let kept = context.dropout.filter(|_| lora.dropout > 0.0);
            let kept = kept.map(|key| key.kept(lora.stream as u64, lora.dropout, context.spans, positions, d_in));
            let factors = [lora.a.val(), lora.b.val()];
            let y = fused::lora_linear(x.reshape([batch * seq, d_in]), weight.val(), factors, kept, lora.scale);
            return with_bias(y).reshape([batch, seq, d_out]);
        }
        let base = with_bias(self.weight.multiply(x.clone().reshape([batch * seq, d_in])));
        let base = base.reshape([batch, seq, d_out]);
        let Some(lora) = lora else { return base };
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let input = match context.dropout {
            Some(key) if lora.dropout > 0.0 => {
                let mask = key.mask(lora.stream as u64, lora.dropout, context.spans, positions, d_in, &x.device());
                x * mask
            }
            _ => x,
        };
        let input = input.reshape([batch * seq, d_in]);
        let update = input.matmul(lora.a.val()).matmul(lora.b.val()) * lora.scale;
        base + update.reshape([batch, seq, d_out]).cast(dtype)
    }

    /// Adds the adapter's product to the matrix, or subtracts it again. A layer without an adapter is returned unchanged.
    ///
    /// The sum is computed in f32 and stored in the matrix's dtype; a packed matrix becomes dense.
    pub(crate) fn set_merged(mut self, merged: bool) -> Self {
        let Some(lora) = self.lora.as_mut().filter(|lora| lora.merged != merged) else { return self };
        let sign = if merged { lora.scale } else { -lora.scale };
        let weight = self.weight.values();
        let dtype = weight.dtype();
        let sum = weight.cast(DType::F32) + lora.a.val().matmul(lora.b.val()) * sign;
        lora.merged = merged;
        self.weight = Weight::Dense(Param::from_tensor(sum.detach().cast(dtype)).set_require_grad(false));
        self
    }
}
