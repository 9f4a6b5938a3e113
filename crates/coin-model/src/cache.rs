//! The key-value cache: keys and values of the tokens already processed.

use burn::tensor::{Int, Tensor};

use crate::TokenBatch;

/// Keys and values of one layer. The tensors are allocated once, for the whole sequence, and filled from the front.
#[derive(Debug, Clone, Default)]
pub struct LayerCache {
    /// Keys and values, `[batch, kv_heads, capacity, head_dim]` each.
    tensors: Option<(Tensor<4>, Tensor<4>)>,
    /// Positions filled so far.
    seen: usize,
    capacity: usize,
}

impl LayerCache {
    /// Appends keys and values, `[batch, kv_heads, seq, head_dim]`, and returns all keys and values so far.
    pub(crate) fn extend(&mut self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let [batch, heads, seq, width] = k.dims();
        let end = self.seen + seq;
        if self.capacity < end {
            self.reserve(end.next_power_of_two());
        }
        let capacity = self.capacity;
        let (all_k, all_v) = self.tensors.take().unwrap_or_else(|| {
            let empty =
                |like: &Tensor<4>| Tensor::zeros([batch, heads, capacity, width], (&like.device(), like.dtype()));
            (empty(&k), empty(&v))
        });
        let place = [0..batch, 0..heads, self.seen..end, 0..width];
        let all_k = all_k.slice_assign(place.clone(), k);
        let all_v = all_v.slice_assign(place, v);
        self.seen = end;
        let seen = (all_k.clone().narrow(2, 0, end), all_v.clone().narrow(2, 0, end));
        self.tensors = Some((all_k, all_v));
        seen
    }

    /// Makes room for `capacity` positions.
    fn reserve(&mut self, capacity: usize) {
        let seen = self.seen;
        self.capacity = capacity;
        self.map(|tensor| {
            let [batch, heads, _, width] = tensor.dims();
            let larger = Tensor::zeros([batch, heads, capacity, width], (&tensor.device(), tensor.dtype()));
            larger.slice_assign([0..batch, 0..heads, 0..seen, 0..width], tensor.narrow(2, 0, seen))
        });
    }

    fn map(&mut self, f: impl Fn(Tensor<4>) -> Tensor<4>) {
        self.tensors = self.tensors.take().map(|(k, v)| (f(k), f(v)));
    }
}

/// The cache of a batch: a [`LayerCache`] per layer, and the padding of each row.
#[derive(Debug, Clone)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    /// Number of tokens so far per row, padding excluded.
    pub(crate) lengths: Vec<usize>,
    /// For each row and cached position, true if it holds a token and not padding.
    pub(crate) real: Vec<Vec<bool>>,
}

impl KvCache {
    /// An empty cache for `batch` rows of a model with `layers` layers, with room for `capacity` positions, padding
    /// included. A cache that exceeds its capacity is copied to larger tensors.
    pub fn new(layers: usize, batch: usize, capacity: usize) -> Self {
        KvCache {
            layers: vec![LayerCache { capacity, ..LayerCache::default() }; layers],
            lengths: vec![0; batch],
            real: vec![Vec::new(); batch],
        }
    }

    /// Number of rows.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Positions filled so far, padding included.
    pub fn seen(&self) -> usize {
        self.real.first().map_or(0, Vec::len)
    }

    /// True if no row has padding.
    pub(crate) fn is_full(&self) -> bool {
        self.lengths.iter().all(|&length| length == self.seen())
    }

    /// Records the lengths and padding of an added `batch`.
    pub(crate) fn extend(&mut self, batch: &TokenBatch) {
        for (row, span) in batch.spans.iter().enumerate() {
            self.lengths[row] += span.len();
            self.real[row].extend((0..batch.seq).map(|at| span.contains(&at)));
        }
    }

    /// The cache of one row, repeated for `batch` rows, with room for `capacity` positions.
    ///
    /// # Panics
    /// If this cache does not hold exactly one row.
    pub fn repeat(&self, batch: usize, capacity: usize) -> Self {
        assert_eq!(self.batch(), 1, "only a cache of one row can be repeated");
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            let seen = layer.seen;
            layer.map(|tensor| tensor.narrow(2, 0, seen).repeat_dim(0, batch));
            layer.reserve(capacity.max(seen));
        }
        KvCache { layers, lengths: vec![self.lengths[0]; batch], real: vec![self.real[0].clone(); batch] }
    }

    /// The cache of the rows `keep`, in that order.
    pub fn select(&self, keep: &[usize]) -> Self {
        let index: Vec<i32> = keep.iter().map(|&row| row as i32).collect();
        let mut layers = self.layers.clone();
        for layer in &mut layers {
            layer.map(|tensor| {
                let index = Tensor::<1, Int>::from_data(index.as_slice(), &tensor.device());
                tensor.select(0, index)
            });
        }
        KvCache {
            layers,
            lengths: keep.iter().map(|&row| self.lengths[row]).collect(),
            real: keep.iter().map(|&row| self.real[row].clone()).collect(),
        }
    }
}
