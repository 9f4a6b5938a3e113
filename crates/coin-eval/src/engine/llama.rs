//! [`LanguageModel`] for the LLaMA of `coin-model`.
//!
//! All prompts of one call run together. The prefix that all of them share is computed once, the prefix that the prompts of
//! one instruction share is computed once per instruction, and the rest runs in batches of similar length.

use std::collections::HashMap;

use coin_data::Prompt;
use coin_model::generate::{self, Continuation};
use coin_model::score::{self, ScoreOptions};
use coin_model::{Llama, TextTokenizer};

use super::exclusive_likelihoods::exclusive;
use super::model::{Decided, Finished, FinishedLikelihoods, GenerateOptions, Generation, LanguageModel, ModelError};

/// Settings for running a LLaMA. They change an answer only where two logits differ by less than rounding error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// The maximum number of rows in a batch.
    pub batch_size: usize,
    /// The number of batches that run at once.
    pub threads: usize,
    /// The maximum memory of one batch in bytes. If `None`, every batch has `batch_size` rows.
    pub memory: Option<usize>,
}

/// A LLaMA with its tokenizer, ready to answer prompts.
#[derive(Debug)]
pub struct LlamaModel {
    model: Llama,
    tokenizer: TextTokenizer,
    options: EngineOptions,
    fingerprint: String,
}

impl LlamaModel {
    /// Wraps a model without autodiff; `fingerprint` names its files.
    pub fn new(model: Llama, tokenizer: TextTokenizer, options: EngineOptions, fingerprint: impl Into<String>) -> Self {
        LlamaModel { model, tokenizer, options, fingerprint: fingerprint.into() }
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.tokenizer.encode(text).map_err(|error| ModelError::from_source("cannot tokenize", error))
    }
}

/// Assigns a group to each distinct pair of system text and instruction. The prompts of a group share a prefix.
fn groups(prompts: &[Prompt]) -> Vec<usize> {
    let mut known = HashMap::new();
    prompts
        .iter()
        .map(|prompt| {
            let next = known.len();
            *known.entry((prompt.system.as_deref(), prompt.instruction.as_str())).or_insert(next)
        })
        .collect()
}

/// An error that passes through the engine: from the engine itself, or from the callback that takes the results.
struct Failed(ModelError);

impl From<coin_model::ModelError> for Failed {
    fn from(error: coin_model::ModelError) -> Self {
        Failed(ModelError::from_source("the model failed", error))
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
        let rows = prompts.iter().map(|prompt| self.encode(&prompt.render())).collect::<Result<Vec<_>, _>>()?;
        let EngineOptions { batch_size, threads, memory } = self.options;
        let settings = generate::GenerateOptions {
            max_new_tokens: options.max_new_tokens,
            batch_size,
            memory,
            threads,
            eos: self.tokenizer.eos().to_vec(),
            hidden: options.hidden,
            sampling: None,
        };
        let done = |_: usize, ids: &[u32]| self.tokenizer.decode(ids).is_ok_and(|text| decided(&text));
        let generation = |Continuation { ids, stopped, margin, hidden }| {
            let text = self.tokenizer.decode(&ids)?;
            Ok(Generation { token_ids: ids, text, stopped, margin: margin.is_finite().then_some(margin), hidden })
        };
        let hand_over = |batch: Vec<(usize, Continuation)>| {
            let batch = batch.into_iter().map(|(row, continuation)| Ok((row, generation(continuation)?)));
            finished(batch.collect::<Result<_, coin_model::ModelError>>()?).map_err(Failed)
        };
        generate::generate_each(&self.model, &rows, &groups(prompts), &settings, done, hand_over).map_err(|Failed(e)| e)
    }

    fn log_likelihoods(
        &mut self,
        prompts: &[Prompt],
        continuations: &[String],
        finished: FinishedLikelihoods<'_>,
    ) -> Result<(), ModelError> {
        if let Some(index) = continuations.iter().position(String::is_empty) {
            return Err(ModelError::new(format!("continuation {index} is empty")));
        }
        let (mut rows, mut lists) = (Vec::with_capacity(prompts.len()), Vec::with_capacity(prompts.len()));
        for prompt in prompts {
            let (row, list) = self.cut(&prompt.render(), continuations)?;
            if let Some(second) = (0..list.len()).find(|&at| list[..at].contains(&list[at])) {
                let first = list.iter().position(|ids| *ids == list[second]).unwrap_or(second);
                let [first, second] = [first, second].map(|at| &continuations[at]);
                return Err(ModelError::new(format!(
                    "`{first}` and `{second}` have the same tokens, so their scores are always equal"
                )));
            }
            rows.push(row);
            lists.push(list);
        }
        let EngineOptions { batch_size, threads, memory } = self.options;
        let options = ScoreOptions { batch_size, memory, threads };
        let hand_over = |batch: Vec<(usize, Vec<f64>)>| {
            finished(batch.into_iter().map(|(row, sums)| (row, exclusive(&lists[row], &sums))).collect())
                .map_err(Failed)
        };
        score::score_each(&self.model, &rows, &lists, &groups(prompts), &options, hand_over).map_err(|Failed(e)| e)
    }

    fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
        let limit = self.model.config().max_position_embeddings;
        let text = prompt.render();
        // A token covers at least one byte, except BOS and a leading space. Doubled for tokenizers that rewrite their text.
        if (2 * (text.len() + 4)).saturating_add(new_tokens) <= limit {
            return Ok(0);
        }
        Ok(self.encode(&text)?.len().saturating_add(new_tokens).saturating_sub(limit))
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

impl LlamaModel {
    /// Returns the tokens before the first one at which a continuation may differ from the prompt, and the remaining tokens
    /// of each continuation. A token may span the end of the prompt and the beginning of a continuation, so both are
    /// tokenized together, and all continuations are cut at the same position.
    fn cut(&self, prompt: &str, continuations: &[String]) -> Result<(Vec<u32>, Vec<Vec<u32>>), ModelError> {
        let alone = self.encode(prompt)?;
        let together = continuations
            .iter()
            .map(|continuation| self.encode(&format!("{prompt}{continuation}")))
            .collect::<Result<Vec<_>, _>>()?;
        let shared = together.iter().fold(alone.len(), |shared, ids| {
            let equal = alone[..shared].iter().zip(ids).take_while(|(a, b)| a == b).count();
            equal.min(ids.len().saturating_sub(1))
        });
        let lists = together.into_iter().map(|ids| ids[shared..].to_vec()).collect();
        Ok((alone[..shared].to_vec(), lists))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_of_one_instruction_are_one_group() {
        let mut prompts = vec![Prompt::new("a", "1"), Prompt::new("b", "1"), Prompt::new("a", "2")];
        prompts.push(Prompt { system: Some("s".to_owned()), ..Prompt::new("a", "1") });
        assert_eq!(groups(&prompts), [0, 1, 0, 2]);
    }
}
