//! Keys and values of the tokens a generation has already seen.

use burn::tensor::{Int, Tensor};

/// One layer's keys and values, `[batch, kv_heads, seen, head_dim]` each.
pub type LayerCache = Option<(Tensor<4>, Tensor<4>)>;

/// The cache of a batch: a [`LayerCache`] per layer, and how the rows are padded.
#[derive(Debug, Clone)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    /// Real tokens seen so far, per row.
    pub(crate) lengths: Vec<usize>,
    /// For every row and every cached position, whether it is a real token.
    pub(crate) real: Vec<Vec<bool>>,
}

impl KvCache {
    /// An empty cache for `batch` rows of a model with `layers` layers.
    pub fn new(layers: usize, batch: usize) -> Self {
        KvCache { layers: vec![None; layers], lengths: vec![0; batch], real: vec![Vec::new(); batch] }
    }

    /// Number of rows.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// The cache of one row, repeated for `batch` rows.
    ///
    /// # Panics
    /// If this cache does not hold exactly one row.
    pub fn repeat(&self, batch: usize) -> Self {
        assert_eq!(self.batch(), 1, "only a cache of one row can be repeated");
        let repeat = |tensor: &Tensor<4>| tensor.clone().repeat_dim(0, batch);
        KvCache {
            layers: self.layers.iter().map(|layer| layer.as_ref().map(|(k, v)| (repeat(k), repeat(v)))).collect(),
            lengths: vec![self.lengths[0]; batch],
            real: vec![self.real[0].clone(); batch],
        }
    }

    /// The cache of the rows `keep`, in that order.
    pub fn select(&self, keep: &[usize]) -> Self {
        let index: Vec<i32> = keep.iter().map(|&row| row as i32).collect();
        let select = |tensor: &Tensor<4>| {
            let index = Tensor::<1, Int>::from_data(index.as_slice(), &tensor.device());
            tensor.clone().select(0, index)
        };
        KvCache {
            layers: self.layers.iter().map(|layer| layer.as_ref().map(|(k, v)| (select(k), select(v)))).collect(),
            lengths: keep.iter().map(|&row| self.lengths[row]).collect(),
            real: keep.iter().map(|&row| self.real[row].clone()).collect(),
        }
    }
}
