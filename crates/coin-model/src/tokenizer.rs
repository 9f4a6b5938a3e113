//! `tokenizer.json` and the special tokens around a text.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::{LlamaConfig, ModelError};

/// A model folder's tokenizer: text to ids and back, with an explicit beginning-of-sequence policy.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    bos: Option<u32>,
    eos: Option<u32>,
}

impl TextTokenizer {
    /// Reads `tokenizer.json` of the model folder `dir`; BOS and EOS come from `config`.
    ///
    /// # Errors
    /// The file is absent or damaged, or holds an id beyond the model's vocabulary.
    pub fn read(dir: &Path, config: &LlamaConfig) -> Result<Self, ModelError> {
        let path = dir.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(ModelError::io(&path))?;
        Self::from_bytes(&path, &bytes, config)
    }

    /// As [`read`](Self::read), from the file's bytes; `path` stands for it in errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(path: &Path, bytes: &[u8], config: &LlamaConfig) -> Result<Self, ModelError> {
        let mut inner = Tokenizer::from_bytes(bytes).map_err(ModelError::malformed(path))?;
        // Files saved after a fine-tuning may hold both; rows are cut and padded elsewhere, visibly.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(ModelError::malformed(path))?;
        let largest = inner.get_vocab(true).into_values().max().unwrap_or(0);
        if largest as usize >= config.vocab_size {
            let message = format!("holds token id {largest}, but the model has {} ids", config.vocab_size);
            return Err(ModelError::Malformed { path: path.to_owned(), message });
        }
        Ok(TextTokenizer { inner, bos: config.bos_token_id, eos: config.eos_token_id })
    }

    /// The tokenizer itself.
    pub fn inner(&self) -> &Tokenizer {
        &self.inner
    }

    /// Id that begins a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Id that ends a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The ids of `text`, with BOS first if the model has one.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self.inner.encode(text, false).map_err(|error| ModelError::Invalid(error.to_string()))?;
        Ok(self.bos.into_iter().chain(encoding.get_ids().iter().copied()).collect())
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// The tokenizer refuses the ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        self.inner.decode(ids, true).map_err(|error| ModelError::Invalid(error.to_string()))
    }
}
