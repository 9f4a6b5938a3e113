//! Causal self-attention with grouped queries.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::cache::LayerCache;
use crate::fused;
use crate::linear::{ForwardContext, LoraLinear};
use crate::rope::Rotary;
use crate::{KvCache, LlamaConfig, TokenBatch};

/// Added to the score of a masked key. Finite, so that the softmax of a padding position does not produce NaN.
pub(crate) const MASKED: f32 = -1e9;

/// Positions and attention mask of a batch, computed once and used by every layer.
#[derive(Debug, Clone)]
pub struct Geometry {
    /// The rotation of each of the batch's `seq` positions.
    pub rotary: Rotary,
    /// `[batch or 1, 1, queries, seen + seq]`, f32: 0, or a large negative number at masked keys. The queries are the last
    /// positions of the batch; a layer outputs only these.
    pub bias: Tensor<4>,
}

impl Geometry {
    /// The geometry of `batch` after the positions in `cache`.
    pub(crate) fn new(config: &LlamaConfig, batch: &TokenBatch, cache: Option<&KvCache>, device: &Device) -> Self {
        let seq = batch.seq;
        let start = |row: usize| cache.map_or(0, |cache| cache.lengths[row]);
        // If all rows are full, they share one row of positions and mask.
        let alike = batch.is_full() && cache.is_none_or(KvCache::is_full);
        let rows = if alike { 1 } else { batch.rows() };
        let positions: Vec<Vec<usize>> = (0..rows)
            .map(|row| (0..seq).map(|at| start(row) + at.saturating_sub(batch.spans[row].start)).collect())
            .collect();
        let seen = cache.map_or(0, KvCache::seen);
        let keys = seen + seq;
        let mut bias = vec![MASKED; rows * seq * keys];
        for row in 0..rows {
            let earlier = cache.map_or(&[][..], |cache| &cache.real[row]);
            let span = &batch.spans[row];
            for query in 0..seq {
                let line = &mut bias[(row * seq + query) * keys..][..keys];
                for (value, _) in line.iter_mut().zip(earlier).filter(|(_, real)| **real) {
                    *value = 0.0;
                }
                if span.contains(&query) {
                    line[seen + span.start..=seen + query].fill(0.0);
                }
            }
        }
        Geometry {
            rotary: Rotary::new(config, &positions, device),
            bias: Tensor::from_data(TensorData::new(bias, [rows, 1, seq, keys]), (device, DType::F32)),
        }
    }

    /// The same geometry with only the last `count` positions as queries, or all of them if there are fewer.
    pub(crate) fn with_queries(&self, count: usize) -> Self {
        let [_, _, queries, _] = self.bias.dims();
        match count < queries {
            true => Geometry { bias: self.bias.clone().narrow(2, queries - count, count), ..self.clone() },
            false => self.clone(),
        }
    }
}

/// The last `count` positions of `[batch, seq, d_model]`.
pub(crate) fn last_positions(x: Tensor<3>, count: usize) -> Tensor<3> {
    let [_, seq, _] = x.dims();
    if count < seq { x.narrow(1, seq - count, count) } else { x }
}

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
    /// Applies attention. Keys and values are appended to `cache` if one is given.
    ///
    /// # Shapes
    /// - x: `[batch, seq, d_model]`
    /// - output: `[batch, queries, d_model]`
    ///
    /// Scores and softmax are computed in f32.
    pub fn forward(
        &self,
        x: Tensor<3>,
        Geometry { rotary, bias }: &Geometry,
        cache: Option<&mut LayerCache>,
        context: &ForwardContext,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let (heads, kv_heads, head_dim) = (self.heads, self.kv_heads, self.head_dim);
        let [_, _, queries, _] = bias.dims();
        let split = |x: Tensor<3>, heads: usize| {
            let [_, positions, _] = x.dims();
            x.reshape([batch, positions, heads, head_dim])
        };
        let of_queries = if queries < seq { &rotary.last(queries) } else { rotary };
        let q = self.q_proj.forward(last_positions(x.clone(), queries), context);
        let q = of_queries.forward(split(q, heads)).swap_dims(1, 2);
        let mut k = rotary.forward(split(self.k_proj.forward(x.clone(), context), kv_heads)).swap_dims(1, 2);
        let mut v = split(self.v_proj.forward(x, context), kv_heads).swap_dims(1, 2);
        if let Some(cache) = cache {
            (k, v) = cache.extend(k, v);
        }
        let mixed = fused::attend(q, k, v, bias.clone());
        self.o_proj.forward(mixed, context)
    }
}
