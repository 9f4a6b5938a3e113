//! The LLaMA of `coin-model` behind the [`LanguageModel`] trait.

use coin_model::generate;
use coin_model::{Llama, TextTokenizer};

use crate::model::{GenerateOptions, Generation, LanguageModel, ModelError};

/// A LLaMA with its tokenizer, ready to answer prompts.
#[derive(Debug)]
pub struct LlamaModel {
    model: Llama,
    tokenizer: TextTokenizer,
    batch_size: usize,
    threads: usize,
    fingerprint: String,
}

impl LlamaModel {
    /// Wraps a model without autodiff; `fingerprint` names its files. A batch has `batch_size` rows, and `threads`
    /// batches run at once. The number of threads changes no answer; another batch size rounds differently, which can only
    /// matter where two logits are closer than rounding.
    pub fn new(
        model: Llama,
        tokenizer: TextTokenizer,
        batch_size: usize,
        threads: usize,
        fingerprint: impl Into<String>,
    ) -> Self {
        LlamaModel { model, tokenizer, batch_size, threads, fingerprint: fingerprint.into() }
    }
}

impl LanguageModel for LlamaModel {
    fn generate(
        &mut self,
        prompts: &[String],
        options: &GenerateOptions,
        decided: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Generation>, ModelError> {
        let failed = |error| ModelError::from_source("the model cannot run", error);
        let rows =
            prompts.iter().map(|text| self.tokenizer.encode(text)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let settings = generate::GenerateOptions {
            max_new_tokens: options.max_new_tokens,
            batch_size: self.batch_size,
            threads: self.threads,
            eos: self.tokenizer.eos().to_vec(),
            hidden: options.hidden,
            sampling: None,
        };
        let done = |_: usize, ids: &[u32]| self.tokenizer.decode(ids).is_ok_and(|text| decided(&text));
        let continuations = generate::generate(&self.model, &rows, &settings, done).map_err(failed)?;
        continuations
            .into_iter()
            .map(|continuation| {
                let text = self.tokenizer.decode(&continuation.ids).map_err(failed)?;
                Ok(Generation { token_ids: continuation.ids, text, hidden: continuation.hidden })
            })
            .collect()
    }

    fn check(&self, prompts: &[String], max_new_tokens: usize) -> Result<(), ModelError> {
        let limit = self.model.config().max_position_embeddings;
        for (index, prompt) in prompts.iter().enumerate() {
            let row =
                self.tokenizer.encode(prompt).map_err(|error| ModelError::from_source("cannot tokenize", error))?;
            if row.len() + max_new_tokens > limit {
                let message = format!(
                    "prompt {index} has {} tokens; with {max_new_tokens} new ones it exceeds the model's {limit} positions: {prompt:.60?}",
                    row.len()
                );
                return Err(ModelError::new(message));
            }
        }
        Ok(())
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}
