//! The decoder: embedding, layers, final norm, output head.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::attention::{Attention, Geometry};
use crate::decoder::{DecoderLayer, FeedForward, RmsNorm};
use crate::fused;
use crate::linear::ForwardContext;
use crate::linear_paths::LINEAR_PATHS;
use crate::weight::{FloatType, PackedWeight, Quantization, Weight, packs_on};
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
    /// `[d_model, vocab]`; `None` if the head is the transposed embedding.
    pub head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: LlamaConfig,
}

/// The format in which the weights of a model are stored and used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WeightFormat {
    /// Dtype of the dense weights and of the residual stream. Default f32.
    pub dtype: FloatType,
    /// Quantization of the linear layers' matrices; embedding, head, norms and biases stay dense. Default none.
    pub quantization: Option<Quantization>,
}

impl Llama {
    /// Builds a model from the weights that `weight` returns for a Hugging Face name, shape and dtype, called in the order
    /// of the forward pass. Matrices of linear layers must already be transposed to `[d_in, d_out]`.
    pub(crate) fn build(
        config: &LlamaConfig,
        format: WeightFormat,
        device: &Device,
        mut weight: impl FnMut(&str, &[usize], FloatType) -> Result<TensorData, ModelError>,
    ) -> Result<Self, ModelError> {
        if format.quantization.is_some() && !packs_on(device) {
            let missing = "packed weights on a GPU need the coin-model feature for that backend, such as `wgpu`";
            return Err(ModelError::Invalid(missing.to_owned()));
        }
        let (d, vocab) = (config.hidden_size, config.vocab_size);
        let dtype = DType::from(format.dtype);
        if !device.supports_dtype(dtype) {
            let name = dtype.name();
            return Err(ModelError::Invalid(format!("the device does not support {name}; f32 works on every device")));
        }
        let matrix = |data| Tensor::<2>::from_data(data, (device, dtype));
        let vector = |data| Tensor::<1>::from_data(data, (device, dtype));
        let norm = |data| RmsNorm { weight: Param::from_tensor(vector(data)), epsilon: config.rms_norm_eps };
        let embedding = matrix(weight("model.embed_tokens.weight", &[vocab, d], format.dtype)?);
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let mut of =
                |name: &str, shape: &[usize], dtype| weight(&format!("model.layers.{index}.{name}"), shape, dtype);
            let input_norm = norm(of("input_layernorm.weight", &[d], format.dtype)?);
            let mut linear = |place: usize| {
                let (path, (d_in, d_out, has_bias)) = (LINEAR_PATHS[place], config.linears()[place]);
                let mut matrix_of = |dtype| of(&format!("{path}.weight"), &[d_in, d_out], dtype);
                let weight = match format.quantization {
                    Some(quantization) => {
                        let data = matrix_of(FloatType::F32)?;
                        let values =
                            data.as_slice::<f32>().map_err(|error| ModelError::Invalid(format!("{error:?}")))?;
                        Weight::Packed(PackedWeight::new(values, [d_in, d_out], quantization, device))
                    }
                    None => Weight::dense(matrix(matrix_of(format.dtype)?)),
                };
                let bias = has_bias.then(|| of(&format!("{path}.bias"), &[d_out], format.dtype)).transpose()?;
                Ok::<_, ModelError>(LoraLinear::new(weight, bias.map(vector)))
            };
            let attention = Attention {
                q_proj: linear(0)?,
                k_proj: linear(1)?,
                v_proj: linear(2)?,
                o_proj: linear(3)?,
                heads: config.num_attention_heads,
                kv_heads: config.kv_heads(),
                head_dim: config.head_dim(),
            };
            let feed_forward = FeedForward { gate_proj: linear(4)?, up_proj: linear(5)?, down_proj: linear(6)? };
            let post_attention_norm = norm(of("post_attention_layernorm.weight", &[d], format.dtype)?);
            layers.push(DecoderLayer { input_norm, attention, post_attention_norm, feed_forward });
        }
        let norm = norm(weight("model.norm.weight", &[d], format.dtype)?);
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(Param::from_tensor(matrix(weight("lm_head.weight", &[d, vocab], format.dtype)?))),
        };
        Ok(Llama { embedding: Param::from_tensor(embedding), layers, norm, head, config: config.clone() })
    }

    /// A new model with random weights drawn from `seed`. Matrices are normal with standard deviation `initializer_range`
    /// of the configuration, norms are one, biases are zero.
    ///
    /// # Errors
    /// The sizes in the configuration are inconsistent.
    pub fn new(config: &LlamaConfig, seed: u64, device: &Device) -> Result<Self, ModelError> {
        Self::with_format(config, WeightFormat::default(), seed, device)
    }

    /// As [`new`](Self::new), with weights in the given format.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_format(
        config: &LlamaConfig,
        format: WeightFormat,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ModelError> {
        config.check(std::path::Path::new("configuration"))?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Llama::build(config, format, device, |name, shape, dtype| {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = match (name.contains("norm"), name.ends_with("bias")) {
                (true, _) => vec![1.0; count],
                (_, true) => vec![0.0; count],
                _ => (0..count).map(|_| normal(&mut rng, config.initializer_range)).collect(),
            };
            Ok(TensorData::new(values, shape.to_vec()).convert_dtype(dtype.into()))
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

    /// Applies `f` to every linear layer. `f` also gets the index of the decoder layer and the index in [`LINEAR_PATHS`].
    pub(crate) fn map_linears(mut self, mut f: impl FnMut(usize, usize, LoraLinear) -> LoraLinear) -> Self {
        let layers = std::mem::take(&mut self.layers).into_iter().enumerate();
        self.layers = layers.map(|(index, layer)| layer.map_linears(|place, linear| f(index, place, linear))).collect();
        self
    }

    /// Every linear layer with its path, `model.layers.0.self_attn.q_proj` and so on.
    pub(crate) fn linears(&self) -> impl Iterator<Item = (String, &LoraLinear)> {
        self.layers.iter().enumerate().flat_map(|(index, layer)| {
            layer.linears().map(|(path, linear)| (format!("model.layers.{index}.{path}"), linear))
        })
    }

    /// Path, shape `[d_in, d_out]` and number of adapter parameters of every linear layer, in model order.
    pub fn linear_sizes(&self) -> impl Iterator<Item = (String, [usize; 2], usize)> {
        self.linears().map(|(path, linear)| {
            (path, linear.weight.dims(), linear.lora.as_ref().map_or(0, |lora| lora.num_params()))
        })
    }

    /// Freezes every weight and adds adapters to the target layers, initialized from `seed`.
    ///
    /// # Errors
    /// See [`LoraConfig::targets`].
    pub fn with_lora(self, config: &LoraConfig, seed: u64) -> Result<Self, ModelError> {
        let targets = config.targets(self.layers.len())?;
        let device = self.device();
        Ok(self.no_grad().map_linears(|index, place, linear| {
            if !targets[index][place] {
                return linear;
            }
            let stream = index * LINEAR_PATHS.len() + place;
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream as u64);
            linear.with_adapter(config, stream, &mut rng, &device)
        }))
    }

    /// The same model with another dropout probability in every adapter.
    pub fn with_dropout(self, probability: f64) -> Self {
        self.map_linears(|_, _, mut linear| {
            if let Some(lora) = linear.lora.as_mut() {
                lora.dropout = probability;
            }
            linear
        })
    }

    /// Checks that every row has at least one token, only ids of the vocabulary, and room for `new_tokens` more tokens.
    ///
    /// # Errors
    /// Names the first row at fault and its token or length.
    pub fn check_rows(&self, rows: &[Vec<u32>], new_tokens: usize) -> Result<(), ModelError> {
        let (vocabulary, limit) = (self.config.vocab_size, self.config.max_position_embeddings);
        for (index, row) in rows.iter().enumerate() {
            let fault = match row.iter().position(|&id| id as usize >= vocabulary) {
                _ if row.is_empty() => "is empty".to_owned(),
                Some(at) => {
                    format!("has token id {} at position {at}, but the vocabulary has {vocabulary} ids", row[at])
                }
                None if row.len().saturating_add(new_tokens) > limit => {
                    let more = if new_tokens > 0 { format!(" and {new_tokens} new ones") } else { String::new() };
                    format!("has {} tokens{more}, but the model has {limit} positions", row.len())
                }
                None => continue,
            };
            return Err(ModelError::Invalid(format!("row {index} {fault}")));
        }
        Ok(())
    }

    /// Hidden states after the final norm.
    ///
    /// With a cache, the batch continues the cached rows and is added to the cache.
    ///
    /// # Shapes
    /// - output: `[batch, seq, d_model]`; values at padding positions are meaningless
    ///
    /// # Panics
    /// If cache and batch have different numbers of rows, or an id is outside the vocabulary.
    pub fn hidden(&self, batch: &TokenBatch, cache: Option<&mut KvCache>, dropout: Option<&DropoutKey>) -> Tensor<3> {
        self.last_hidden(batch, batch.seq, cache, dropout)
    }

    /// As [`hidden`](Self::hidden), for the last `count` positions only. At the other positions the last layer computes
    /// only keys and values. Positions are those of the padded batch; with padding on the right some may be padding.
    ///
    /// # Shapes
    /// - output: `[batch, count, d_model]`; `count` is clamped to between 1 and the length of the batch
    ///
    /// # Panics
    /// As [`hidden`](Self::hidden).
    pub fn last_hidden(
        &self,
        batch: &TokenBatch,
        count: usize,
        mut cache: Option<&mut KvCache>,
        dropout: Option<&DropoutKey>,
    ) -> Tensor<3> {
        let geometry = Geometry::new(&self.config, batch, cache.as_deref(), &batch.ids.device());
        let context = ForwardContext { spans: &batch.spans, seq: batch.seq, dropout };
        let mut x = self.embed(batch);
        for (index, layer) in self.layers.iter().enumerate() {
            let layer_cache = cache.as_mut().map(|cache| &mut cache.layers[index]);
            x = layer.forward(x, &self.geometry_of(index, &geometry, count), layer_cache, &context);
        }
        if let Some(cache) = cache {
            cache.extend(batch);
        }
        self.norm.forward(x)
    }

    /// The geometry of layer `layer`. In the last layer, only the last `count` positions are queries.
    pub(crate) fn geometry_of(&self, layer: usize, geometry: &Geometry, count: usize) -> Geometry {
        match layer + 1 == self.layers.len() {
            true => geometry.with_queries(count.max(1)),
            false => geometry.clone(),
        }
    }

    /// The embeddings of a batch, `[batch, seq, d_model]`.
    pub(crate) fn embed(&self, batch: &TokenBatch) -> Tensor<3> {
        let count = batch.rows() * batch.seq;
        let rows = self.embedding.val().select(0, batch.ids.clone().reshape([count]));
        rows.reshape([batch.rows(), batch.seq, self.config.hidden_size])
    }

    /// The logits of every token id for each hidden state: `[n, d_model]` -> `[n, vocab]`, f32.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let head = match &self.head {
            Some(head) => head.val(),
            None => self.embedding.val().transpose(),
        };
        fused::linear(hidden, head).cast(DType::F32)
    }

    /// True if the matrices of the linear layers are packed.
    pub fn is_packed(&self) -> bool {
        self.linears().any(|(_, linear)| matches!(linear.weight, Weight::Packed(_)))
    }

    /// Bytes of the weights in memory, adapters included.
    pub fn weight_bytes(&self) -> usize {
        let dense = |count: usize, dtype: DType| count * dtype.size();
        let embedding = dense(self.embedding.lazy_shape().num_elements(), self.embedding.val().dtype());
        let head = self.head.as_ref().map_or(0, |head| dense(head.lazy_shape().num_elements(), head.val().dtype()));
        let linears = self.linears().map(|(_, linear)| {
            let matrix = match &linear.weight {
                Weight::Dense(weight) => dense(weight.lazy_shape().num_elements(), weight.val().dtype()),
                Weight::Packed(weight) => weight.bytes(),
            };
            let bias = linear.bias.as_ref().map_or(0, |bias| dense(bias.num_params(), bias.val().dtype()));
            matrix + bias + linear.lora.as_ref().map_or(0, |lora| 4 * lora.num_params())
        });
        let norms = (2 * self.layers.len() + 1) * self.config.hidden_size;
        embedding + head + linears.sum::<usize>() + dense(norms, self.norm.weight.val().dtype())
    }
}

/// Draws from a normal distribution with mean 0 and standard deviation `deviation` (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng, deviation: f64) -> f32 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * deviation) as f32
}

#[cfg(test)]
mod tests {
    use burn::module::{Lora, ParamGroup};
    use burn::optim::GradientsParams;

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
    fn padding_and_cache_do_not_change_the_output() {
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
        let mut cache = KvCache::new(2, 1, 4);
        model.hidden(&TokenBatch::left_padded(&[vec![1]], 0, 1, &device).unwrap(), Some(&mut cache), None);
        let mut cache = cache.repeat(2, 7);
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
    fn last_hidden_matches_hidden() {
        let device = Device::flex();
        let model = Llama::new(&tiny(), 3, &device).unwrap();
        let batch = |rows: &[Vec<u32>]| TokenBatch::left_padded(rows, 0, 1, &device).unwrap();
        let prompts = batch(&[vec![1, 5, 9], vec![1, 7, 8, 2, 11, 12]]);
        let next = batch(&[vec![4, 3], vec![6]]);
        let whole = model.hidden(&prompts, None, None);
        let mut cache = KvCache::new(2, 2, 8);
        model.hidden(&prompts, Some(&mut cache), None);
        let after = model.hidden(&next, Some(&mut cache), None);
        for count in 1..=6 {
            let mut cache = KvCache::new(2, 2, 8);
            let some = model.last_hidden(&prompts, count, Some(&mut cache), None);
            assert_eq!(some.dims(), [2, count, 16]);
            let expected = whole.clone().narrow(1, 6 - count, count);
            close(&some.try_into_vec_as::<f32>().unwrap(), &expected.try_into_vec_as::<f32>().unwrap());
            // The cache is complete.
            close(&last(model.last_hidden(&next, 1, Some(&mut cache), None), 1), &last(after.clone(), 1));
        }
    }

    #[test]
    fn only_adapters_have_gradients() {
        let device = Device::flex().autodiff();
        let lora = LoraConfig { rank: 2, dropout: 0.0, ..LoraConfig::default() };
        let model = Llama::new(&tiny(), 3, &device).unwrap().with_lora(&lora, 1).unwrap();
        let batch = TokenBatch::left_padded(&[vec![1, 5, 9]], 0, 1, &device).unwrap();
        let gradients = model.hidden(&batch, None, None).sum().backward();
        let q = &model.layers[0].attention.q_proj;
        assert!(q.weight.values().grad(&gradients).is_none());
        assert!(model.embedding.val().grad(&gradients).is_none());
        let adapter = model.layers[0].attention.v_proj.lora.as_ref().unwrap();
        assert!(adapter.b.val().grad(&gradients).unwrap().abs().sum().into_scalar::<f32>() > 0.0);
    }

    /// burn's LoRA computes the matrix from a frozen matrix and two factors, so it is not a leaf of the graph.
    #[test]
    fn a_computed_matrix_propagates_its_gradient() {
        let device = Device::flex().autodiff();
        let model = Llama::new(&tiny(), 3, &device).unwrap().no_grad();
        let Weight::Dense(weight) = &model.layers[0].attention.q_proj.weight else { panic!("a dense matrix") };
        let group = ParamGroup::from_ids(vec![weight.id]);
        let model = model.apply_lora(Lora::new(2, 4.0).set_param_group(group));
        let batch = TokenBatch::left_padded(&[vec![1, 5, 9]], 0, 1, &device).unwrap();
        let loss = model.hidden(&batch, None, None).powi_scalar(3).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        assert!(!gradients.is_empty());
    }

    #[test]
    fn a_new_adapter_is_neutral_and_dropout_needs_a_key() {
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
