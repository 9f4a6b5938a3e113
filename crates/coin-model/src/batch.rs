//! Ragged rows of token ids as one batch, padded on the left.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::ModelError;

/// A left-padded batch of token ids.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    /// `[batch, seq]`
    pub ids: Tensor<2, Int>,
    /// Number of padding tokens before each row.
    pub pads: Vec<usize>,
    /// Padded length, in tokens.
    pub seq: usize,
}

impl TokenBatch {
    /// Pads `rows` on the left with `pad_id` to the longest of them, rounded up to a multiple of `multiple_of`.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if there is no row or one of them is empty.
    pub fn left_padded(
        rows: &[Vec<u32>],
        pad_id: u32,
        multiple_of: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        if let Some(row) = rows.iter().position(Vec::is_empty) {
            return Err(ModelError::Invalid(format!("row {row} of the batch has no token")));
        }
        let Some(longest) = rows.iter().map(Vec::len).max() else {
            return Err(ModelError::Invalid("a batch needs at least one row".to_owned()));
        };
        let seq = longest.next_multiple_of(multiple_of.max(1));
        let mut ids = Vec::with_capacity(rows.len() * seq);
        let mut pads = Vec::with_capacity(rows.len());
        for row in rows {
            pads.push(seq - row.len());
            ids.resize(ids.len() + seq - row.len(), pad_id as i32);
            ids.extend(row.iter().map(|&id| id as i32));
        }
        Ok(TokenBatch { ids: Tensor::from_data(TensorData::new(ids, [rows.len(), seq]), device), pads, seq })
    }

    /// True at real tokens, `[batch, seq]`.
    pub fn mask(&self) -> Tensor<2, Bool> {
        let real: Vec<bool> = self.pads.iter().flat_map(|&pad| (0..self.seq).map(move |at| at >= pad)).collect();
        Tensor::from_data(TensorData::new(real, [self.pads.len(), self.seq]), &self.ids.device())
    }
}
