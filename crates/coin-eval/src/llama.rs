//! The LLaMA of `coin-model` behind the [`LanguageModel`] trait.

use coin_data::Prompt;
use coin_model::generate;
use coin_model::{Llama, TextTokenizer};

use crate::model::{Decided, Finished, GenerateOptions, Generation, LanguageModel, ModelError};

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
        prompts: &[Prompt],
        options: &GenerateOptions,
        decided: Decided<'_>,
        finished: Finished<'_>,
    ) -> Result<(), ModelError> {
        let failed = |error| ModelError::from_source("the model cannot run", error);
        let rows = prompts
            .iter()
            .map(|prompt| self.tokenizer.encode(&prompt.render()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let settings = generate::GenerateOptions {
            max_new_tokens: options.max_new_tokens,
            batch_size: self.batch_size,
            threads: self.threads,
            eos: self.tokenizer.eos().to_vec(),
            hidden: options.hidden,
            memory: None,
            sampling: None,
        };
        let done = |_: usize, ids: &[u32]| self.tokenizer.decode(ids).is_ok_and(|text| decided(&text));
        let continuations = generate::generate(&self.model, &rows, &settings, done).map_err(failed)?;
        let generations = continuations.into_iter().enumerate().map(|(index, continuation)| {
            let text = self.tokenizer.decode(&continuation.ids).map_err(failed)?;
            let hidden = continuation.hidden;
            Ok((index, Generation { token_ids: continuation.ids, text, hidden, ..Generation::default() }))
        });
        finished(generations.collect::<Result<_, _>>()?)
    }

    fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
        let limit = self.model.config().max_position_embeddings;
        let row = self.tokenizer.encode(&prompt.render());
        let row = row.map_err(|error| ModelError::from_source("cannot tokenize", error))?;
        Ok((row.len() + new_tokens).saturating_sub(limit))
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}
