//! Rows of token ids of different lengths, padded into one batch.

use std::ops::Range;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::ModelError;

/// The side on which shorter rows are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaddingSide {
    /// Before the tokens: every row ends at the last position.
    Left,
    /// After the tokens: every row begins at the first position.
    Right,
}

/// A padded batch of token ids.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    /// `[batch, seq]`
    pub ids: Tensor<2, Int>,
    /// The positions of each row's tokens.
    pub spans: Vec<Range<usize>>,
    /// Padded length, in tokens.
    pub seq: usize,
}

impl TokenBatch {
    /// Pads `rows` with `pad_id` to the length of the longest row, rounded up to a multiple of `multiple_of`.
    ///
    /// # Errors
    /// [`ModelError::Invalid`] if `rows` is empty or a row is empty, since such a row would consist of padding only.
    pub fn padded(
        rows: &[Vec<u32>],
        side: PaddingSide,
        pad_id: u32,
        multiple_of: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        if let Some(row) = rows.iter().position(Vec::is_empty) {
            return Err(ModelError::Invalid(format!("row {row} of the batch is empty, expected at least one token")));
        }
        let Some(longest) = rows.iter().map(Vec::len).max() else {
            return Err(ModelError::Invalid("a batch needs at least one row".to_owned()));
        };
        let seq = longest.next_multiple_of(multiple_of.max(1));
        let mut ids = vec![pad_id as i32; rows.len() * seq];
        let mut spans = Vec::with_capacity(rows.len());
        for (row, line) in rows.iter().zip(ids.chunks_exact_mut(seq)) {
            let start = match side {
                PaddingSide::Left => seq - row.len(),
                PaddingSide::Right => 0,
            };
            spans.push(start..start + row.len());
            for (place, &id) in line[start..].iter_mut().zip(row) {
                *place = id as i32;
            }
        }
        Ok(TokenBatch { ids: Tensor::from_data(TensorData::new(ids, [rows.len(), seq]), device), spans, seq })
    }

    /// Calls [`padded`](Self::padded) with [`PaddingSide::Left`].
    ///
    /// # Errors
    /// Same as [`padded`](Self::padded).
    pub fn left_padded(
        rows: &[Vec<u32>],
        pad_id: u32,
        multiple_of: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        Self::padded(rows, PaddingSide::Left, pad_id, multiple_of, device)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.spans.len()
    }

    /// True if no row has padding.
    pub(crate) fn is_full(&self) -> bool {
        self.spans.iter().all(|span| *span == (0..self.seq))
    }

    /// True at real tokens, `[batch, seq]`.
    pub fn mask(&self) -> Tensor<2, Bool> {
        let real: Vec<bool> =
            self.spans.iter().flat_map(|span| (0..self.seq).map(move |at| span.contains(&at))).collect();
        Tensor::from_data(TensorData::new(real, [self.rows(), self.seq]), &self.ids.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_on_either_side() {
        let device = Device::flex();
        let rows = [vec![7, 8, 9], vec![5]];
        let left = TokenBatch::padded(&rows, PaddingSide::Left, 0, 4, &device).unwrap();
        assert_eq!(left.ids.clone().try_into_vec_as::<i32>().unwrap(), [0, 7, 8, 9, 0, 0, 0, 5]);
        assert_eq!(left.spans, [1..4, 3..4]);
        let right = TokenBatch::padded(&rows, PaddingSide::Right, 0, 1, &device).unwrap();
        assert_eq!(right.ids.clone().try_into_vec_as::<i32>().unwrap(), [7, 8, 9, 5, 0, 0]);
        assert_eq!(right.mask().into_data().try_to_vec::<bool>().unwrap(), [true, true, true, true, false, false]);
        assert!(right.spans[0] == (0..3) && !right.is_full());
        assert!(TokenBatch::left_padded(&[vec![1], vec![]], 0, 1, &device).unwrap_err().to_string().contains("row 1"));
        assert!(TokenBatch::left_padded(&[], 0, 1, &device).is_err());
    }
}
