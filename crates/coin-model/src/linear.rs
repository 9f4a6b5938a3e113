//! A linear layer with a LoRA adapter in activation space (Hu et al. 2021):
//! `y = x W + scale * dropout(x) A B`, `scale = alpha / rank`.
//!
//! The product `A B` is never built and the frozen weight has no gradient: that is LoRA's saving. A starts
//! Kaiming-uniform (a = sqrt 5) and B zero, as PEFT has them.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::dropout::DropoutKey;

/// The linear layers of a decoder layer, by Hugging Face's names, in their order in memory.
pub const LINEAR_NAMES: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// Settings of the adapters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Inner width r. Default 16 (the paper's).
    #[serde(default = "sixteen")]
    pub rank: usize,
    /// The adapter's output is scaled by `alpha / rank`. Default 16 (the paper's).
    #[serde(default = "sixteen_f64")]
    pub alpha: f64,
    /// Probability with which an input feature of the adapter is dropped in training. Default 0.05 (the paper's).
    #[serde(default = "default_dropout")]
    pub dropout: f64,
    /// Names of the layers that get an adapter. Default q, k, v and o (the paper's).
    #[serde(default = "default_targets")]
    pub target_modules: Vec<String>,
}

fn sixteen() -> usize {
    16
}

fn sixteen_f64() -> f64 {
    16.0
}

fn default_dropout() -> f64 {
    0.05
}

fn default_targets() -> Vec<String> {
    LINEAR_NAMES[..4].iter().map(|name| (*name).to_owned()).collect()
}

impl Default for LoraConfig {
    fn default() -> Self {
        LoraConfig { rank: 16, alpha: 16.0, dropout: default_dropout(), target_modules: default_targets() }
    }
}

impl LoraConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] names the value outside its domain, or the target that no layer has.
    pub fn check(&self) -> Result<(), ModelError> {
        let invalid = |message: String| Err(ModelError::Invalid(message));
        if self.rank == 0 {
            return invalid("lora rank must be at least 1, got 0".to_owned());
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return invalid(format!("lora alpha must be positive, got {}", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return invalid(format!("lora dropout must be in [0, 1), got {}", self.dropout));
        }
        if self.target_modules.is_empty() {
            return invalid("lora target_modules is empty".to_owned());
        }
        for target in &self.target_modules {
            if !LINEAR_NAMES.contains(&target.as_str()) {
                return invalid(format!(
                    "lora target `{target}` is no layer, expected some of: {}",
                    LINEAR_NAMES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// The two factors of a LoRA update.
#[derive(Module, Debug)]
pub struct LoraAdapter {
    /// `[d_in, rank]`
    pub a: Param<Tensor<2>>,
    /// `[rank, d_out]`
    pub b: Param<Tensor<2>>,
    /// `alpha / rank`
    pub scale: f64,
    /// Probability of dropping an input feature in training.
    pub dropout: f64,
    /// Number that tells this layer's dropout masks from the others'.
    pub stream: usize,
}

/// A bias-free linear layer, with or without an adapter.
#[derive(Module, Debug)]
pub struct LoraLinear {
    /// `[d_in, d_out]`: the transpose of what Hugging Face files hold.
    pub weight: Param<Tensor<2>>,
    /// The adapter, if the layer has one.
    pub lora: Option<LoraAdapter>,
}

/// What a forward pass shares among its layers: how rows are padded, and the dropout masks' key in training.
#[derive(Debug, Clone)]
pub struct ForwardContext<'a> {
    /// Number of padding tokens before each row.
    pub pads: &'a [usize],
    /// The masks' key; without one nothing is dropped.
    pub dropout: Option<&'a DropoutKey>,
}

impl LoraLinear {
    /// A layer with this weight, `[d_in, d_out]`, and no adapter.
    pub fn from_weight(weight: Tensor<2>) -> Self {
        LoraLinear { weight: Param::from_tensor(weight), lora: None }
    }

    /// Gives the layer a new adapter: A uniform in `±1 / sqrt(d_in)` (Kaiming with a = sqrt 5), B zero.
    pub(crate) fn with_adapter(
        mut self,
        config: &LoraConfig,
        stream: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let [d_in, d_out] = self.weight.lazy_shape().dims();
        let bound = 1.0 / (d_in as f32).sqrt();
        let a: Vec<f32> = (0..d_in * config.rank).map(|_| rng.random_range(-bound..bound)).collect();
        self.lora = Some(LoraAdapter {
            a: Param::from_tensor(Tensor::from_data(TensorData::new(a, [d_in, config.rank]), device)),
            b: Param::from_tensor(Tensor::zeros([config.rank, d_out], device)),
            scale: config.alpha / config.rank as f64,
            dropout: config.dropout,
            stream,
        });
        self
    }

    /// `[batch, seq, d_in]` -> `[batch, seq, d_out]`.
    pub fn forward(&self, x: Tensor<3>, context: &ForwardContext) -> Tensor<3> {
        let base = x.clone().matmul(self.weight.val().unsqueeze());
        let Some(lora) = &self.lora else { return base };
        let input = match context.dropout {
            Some(key) if lora.dropout > 0.0 => {
                let [_, seq, width] = x.dims();
                let mask = key.mask(lora.stream as u64, lora.dropout, context.pads, seq, width, &x.device());
                x * mask
            }
            _ => x,
        };
        base + input.matmul(lora.a.val().unsqueeze()).matmul(lora.b.val().unsqueeze()) * lora.scale
    }
}
