//! The decoder: embedding, layers, final norm, output head.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attention::{Attention, MASKED};
use crate::decoder::{DecoderLayer, FeedForward, RmsNorm};
use crate::linear::{ForwardContext, LINEAR_NAMES};
use crate::rope::Rotary;
use crate::{DropoutKey, KvCache, LlamaConfig, LoraConfig, LoraLinear, ModelError, TokenBatch};

/// A decoder of the LLaMA family.
#[derive(Module, Debug)]
pub struct Llama {
    /// `[vocab, d_model]`
    pub embedding: Param<Tensor<2>>,
    /// The layers, first to last.
    pub layers: Vec<DecoderLayer>,
    /// The norm after the last layer.
    pub norm: RmsNorm,
    /// `[d_model, vocab]`; absent where the head is the transposed embedding.
    pub head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: LlamaConfig,
}

impl Llama {
    /// A model out of weights that `weight` hands over by Hugging Face's name and shape (linear layers already
    /// transposed to `[d_in, d_out]`).
    pub(crate) fn build<E>(
        config: &LlamaConfig,
        device: &Device,
        mut weight: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let (d, ff, vocab) = (config.hidden_size, config.intermediate_size, config.vocab_size);
        let (q, kv) = (config.num_attention_heads * config.head_dim(), config.kv_heads() * config.head_dim());
        let mut tensor = |name: &str, shape: &[usize]| Ok(TensorData::new(weight(name, shape)?, shape.to_vec()));
        let embedding = Param::from_data(tensor("model.embed_tokens.weight", &[vocab, d])?, device);
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let mut of = |name: &str, shape: &[usize]| tensor(&format!("model.layers.{index}.{name}.weight"), shape);
            let input = of("input_layernorm", &[d])?;
            let post = of("post_attention_layernorm", &[d])?;
            let mut linear = |name: &str, d_in, d_out| {
                Ok(LoraLinear::from_weight(Tensor::from_data(of(name, &[d_in, d_out])?, device)))
            };
            let attention = [
                linear("self_attn.q_proj", d, q)?,
                linear("self_attn.k_proj", d, kv)?,
                linear("self_attn.v_proj", d, kv)?,
                linear("self_attn.o_proj", q, d)?,
            ];
            let feed_forward = FeedForward {
                gate_proj: linear("mlp.gate_proj", d, ff)?,
                up_proj: linear("mlp.up_proj", d, ff)?,
                down_proj: linear("mlp.down_proj", ff, d)?,
            };
            let norm = |weight| RmsNorm { weight: Param::from_data(weight, device), epsilon: config.rms_norm_eps };
            layers.push(DecoderLayer {
                input_norm: norm(input),
                attention: Attention::new(config, attention),
                post_attention_norm: norm(post),
                feed_forward,
            });
        }
        let norm = RmsNorm {
            weight: Param::from_data(tensor("model.norm.weight", &[d])?, device),
            epsilon: config.rms_norm_eps,
        };
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(Param::from_data(tensor("lm_head.weight", &[d, vocab])?, device)),
        };
        Ok(Llama { embedding, layers, norm, head, config: config.clone() })
    }

    /// A new model with weights drawn from `seed`: normal with the configuration's `initializer_range`, norms one.
    ///
    /// # Errors
    /// The configuration's sizes do not fit each other.
    pub fn new(config: &LlamaConfig, seed: u64, device: &Device) -> Result<Self, ModelError> {
        config.check(std::path::Path::new("configuration"))?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Llama::build(config, device, |name, shape| {
            let count: usize = shape.iter().product();
            Ok(match name.contains("norm") {
                true => vec![1.0; count],
                false => (0..count).map(|_| normal(&mut rng, config.initializer_range)).collect(),
            })
        })
    }

    /// The architecture.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.embedding.val().device()
    }

    /// Freezes every weight and adds new adapters, drawn from `seed`, to the targets of every layer.
    ///
    /// # Errors
    /// See [`LoraConfig::check`].
    pub fn with_lora(self, config: &LoraConfig, seed: u64) -> Result<Self, ModelError> {
        config.check()?;
        let device = self.device();
        let mut model = self.no_grad();
        let layers = std::mem::take(&mut model.layers);
        model.layers = layers
            .into_iter()
            .enumerate()
            .map(|(index, layer)| {
                layer.map_linears(|name, linear| {
                    let place = LINEAR_NAMES.iter().position(|known| *known == name).unwrap_or_default();
                    let stream = index * LINEAR_NAMES.len() + place;
                    if !config.target_modules.iter().any(|target| target == name) {
                        return linear;
                    }
                    let mut rng = ChaCha8Rng::seed_from_u64(seed);
                    rng.set_stream(stream as u64);
                    linear.with_adapter(config, stream, &mut rng, &device)
                })
            })
            .collect();
        Ok(model)
    }

    /// The same model with another dropout probability in every adapter.
    pub fn with_dropout(mut self, probability: f64) -> Self {
        for layer in std::mem::take(&mut self.layers) {
            self.layers.push(layer.map_linears(|_, mut linear| {
                if let Some(lora) = linear.lora.as_mut() {
                    lora.dropout = probability;
                }
                linear
            }));
        }
        self
    }

    /// Hidden states after the final norm.
    ///
    /// With a cache, the batch continues the cached rows, and is added to the cache.
    ///
    /// # Shapes
    /// - output: `[batch, seq, d_model]`; what stands at padding positions is meaningless
    ///
    /// # Panics
    /// If cache and batch differ in their number of rows.
    pub fn hidden(
        &self,
        batch: &TokenBatch,
        mut cache: Option<&mut KvCache>,
        dropout: Option<&DropoutKey>,
    ) -> Tensor<3> {
        let device = batch.ids.device();
        let rows = batch.pads.len();
        let seq = batch.seq;
        let start = |row: usize| cache.as_ref().map_or(0, |cache| cache.lengths[row]);
        let uniform = batch.pads.iter().all(|&pad| pad == 0)
            && cache
                .as_ref()
                .is_none_or(|c| c.real[0].iter().all(|&real| real) && c.real.windows(2).all(|w| w[0] == w[1]));
        // Rows that are all alike share one row of positions and masks.
        let distinct = if uniform { 1 } else { rows };
        let positions: Vec<Vec<usize>> = (0..distinct)
            .map(|row| (0..seq).map(|at| start(row) + at.saturating_sub(batch.pads[row])).collect())
            .collect();
        let rotary = Rotary::new(&self.config, &positions, &device);
        let seen = cache.as_ref().map_or(0, |cache| cache.real[0].len());
        let keys = seen + seq;
        let mut bias = vec![MASKED; distinct * seq * keys];
        for row in 0..distinct {
            let earlier = cache.as_ref().map_or(&[][..], |cache| &cache.real[row]);
            for query in 0..seq {
                let line = &mut bias[(row * seq + query) * keys..][..keys];
                for (value, _) in line.iter_mut().zip(earlier).filter(|(_, real)| **real) {
                    *value = 0.0;
                }
                if query >= batch.pads[row] {
                    line[seen + batch.pads[row]..=seen + query].fill(0.0);
                }
            }
        }
        let bias = Tensor::from_data(TensorData::new(bias, [distinct, 1, seq, keys]), &device);
        let context = ForwardContext { pads: &batch.pads, dropout };

        let ids: Tensor<1, Int> = batch.ids.clone().reshape([rows * seq]);
        let mut x = self.embedding.val().select(0, ids).reshape([rows, seq, self.config.hidden_size]);
        for (index, layer) in self.layers.iter().enumerate() {
            let layer_cache = cache.as_mut().map(|cache| &mut cache.layers[index]);
            x = layer.forward(x, &rotary, &bias, layer_cache, &context);
        }
        if let Some(cache) = cache {
            for row in 0..rows {
                cache.lengths[row] += seq - batch.pads[row];
                cache.real[row].extend((0..seq).map(|at| at >= batch.pads[row]));
            }
        }
        self.norm.forward(x)
    }

    /// Scores of every token id for some hidden states: `[n, d_model]` -> `[n, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => hidden.matmul(head.val()),
            None => hidden.matmul(self.embedding.val().transpose()),
        }
    }
}

/// A normal draw with mean 0 and standard deviation `deviation` (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng, deviation: f64) -> f32 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * deviation) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;

    fn last(hidden: Tensor<3>, row: usize) -> Vec<f32> {
        let [_, seq, d] = hidden.dims();
        hidden.slice([row..row + 1, seq - 1..seq, 0..d]).try_into_vec_as().unwrap()
    }

    fn close(a: &[f32], b: &[f32]) {
        // Sums of a few hundred f32 products of order 1.
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
    }

    #[test]
    fn padding_and_cache_change_nothing() {
        let device = Device::flex();
        let model = Llama::new(&tiny(), 3, &device).unwrap();
        let (short, long) = (vec![1, 5, 9], vec![1, 7, 8, 2, 11, 12]);
        let batch = TokenBatch::left_padded(&[short.clone(), long.clone()], 0, 8, &device).unwrap();
        let together = model.hidden(&batch, None, None);
        for (row, ids) in [&short, &long].into_iter().enumerate() {
            let alone = TokenBatch::left_padded(std::slice::from_ref(ids), 0, 1, &device).unwrap();
            close(&last(together.clone(), row), &last(model.hidden(&alone, None, None), 0));
        }
        // A shared prefix of one token, then the rest with padding, then one more token each.
        let mut cache = KvCache::new(2, 1);
        model.hidden(&TokenBatch::left_padded(&[vec![1]], 0, 1, &device).unwrap(), Some(&mut cache), None);
        let mut cache = cache.repeat(2);
        let rest = [short[1..].to_vec(), long[1..].to_vec()];
        let hidden = model.hidden(&TokenBatch::left_padded(&rest, 0, 1, &device).unwrap(), Some(&mut cache), None);
        close(&last(hidden.clone(), 0), &last(together.clone(), 0));
        close(&last(hidden, 1), &last(together, 1));
        let next = TokenBatch::left_padded(&[vec![4], vec![6]], 0, 1, &device).unwrap();
        let hidden = model.hidden(&next, Some(&mut cache), None);
        let whole = TokenBatch::left_padded(&[[short, vec![4]].concat()], 0, 1, &device).unwrap();
        close(&last(hidden, 0), &last(model.hidden(&whole, None, None), 0));
    }

    #[test]
    fn only_adapters_have_gradients() {
        let device = Device::flex().autodiff();
        let lora = LoraConfig { rank: 2, dropout: 0.0, ..LoraConfig::default() };
        let model = Llama::new(&tiny(), 3, &device).unwrap().with_lora(&lora, 1).unwrap();
        let batch = TokenBatch::left_padded(&[vec![1, 5, 9]], 0, 1, &device).unwrap();
        let gradients = model.hidden(&batch, None, None).sum().backward();
        let q = &model.layers[0].attention.q_proj;
        assert!(q.weight.val().grad(&gradients).is_none());
        assert!(model.embedding.val().grad(&gradients).is_none());
        let adapter = model.layers[0].attention.v_proj.lora.as_ref().unwrap();
        assert!(adapter.b.val().grad(&gradients).unwrap().abs().sum().into_scalar::<f32>() > 0.0);
    }

    #[test]
    fn a_new_adapter_changes_nothing_and_dropout_only_when_asked() {
        let device = Device::flex();
        let base = Llama::new(&tiny(), 3, &device).unwrap();
        let lora = LoraConfig { rank: 2, dropout: 0.5, ..LoraConfig::default() };
        let batch = TokenBatch::left_padded(&[vec![1, 5, 9]], 0, 1, &device).unwrap();
        let plain = last(base.hidden(&batch, None, None), 0);
        let mut model = base.with_lora(&lora, 1).unwrap();
        assert_eq!(plain, last(model.hidden(&batch, None, None), 0));
        let adapter = model.layers[0].attention.v_proj.lora.as_mut().unwrap();
        adapter.b = Param::from_tensor(Tensor::ones([2, 8], &device));
        let key = |step| DropoutKey { seed: 1, step, rows: vec![0] };
        let with = |step| last(model.hidden(&batch, None, Some(&key(step))), 0);
        assert_eq!(with(0), with(0));
        assert_ne!(with(0), with(1));
    }
}
