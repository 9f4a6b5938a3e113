//! What an evaluation needs of a model: prompts in, text in return, and a name for what produced it.
//!
//! A fake model in a test, a LLaMA in this process and a model behind a network serve alike.

use std::error::Error;

use coin_data::Prompt;
use serde::{Deserialize, Serialize};

/// What a model wrote after one prompt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Generation {
    /// The new tokens, without the prompt's; empty where the model does not tell them.
    pub token_ids: Vec<u32>,
    /// The new tokens decoded: the continuation only, cut by token index rather than by searching for the prompt.
    pub text: String,
    /// Whether the row was ended early, as its outcome was decided.
    pub stopped: bool,
    /// The smallest difference between the two largest logits at any new token; `None` where the model does not tell it.
    pub margin: Option<f32>,
    /// Hidden state after the last norm at the last prompt token, `[d_model]`; `None` unless asked for.
    pub hidden: Option<Vec<f32>>,
}

/// How to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerateOptions {
    /// The most tokens to write after each prompt. 7 in the paper's evaluation.
    pub max_new_tokens: usize,
    /// Whether to return [`Generation::hidden`].
    pub hidden: bool,
}

/// How probable one continuation is after a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLikelihood {
    /// Natural logarithm of the probability of all its tokens.
    pub sum: f64,
    /// How many tokens it has.
    pub tokens: usize,
}

/// What of a prompt's answer is already known.
pub type Decided<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Takes what a model has finished: each generation with the index of its prompt.
pub type Finished<'a> = &'a mut dyn FnMut(Vec<(usize, Generation)>) -> Result<(), ModelError>;

/// Takes what a model has finished: the log-likelihood of each continuation with the index of its prompt.
pub type FinishedLikelihoods<'a> = &'a mut dyn FnMut(Vec<(usize, Vec<LogLikelihood>)>) -> Result<(), ModelError>;

/// A model that continues prompts greedily.
pub trait LanguageModel {
    /// Continues each of `prompts` and hands the results to `finished` batch by batch, in any order, each prompt's once.
    ///
    /// `decided` is given the text a row has so far and is true once no further token can change what is read
    /// from it. A model may stop the row then; it need not ask after every token, nor at all. A caller who wants
    /// every row decoded to its end passes `&|_| false`.
    ///
    /// # Errors
    /// [`ModelError`] if the model cannot run, or the error of `finished`, after which nothing more is generated.
    fn generate(
        &mut self,
        prompts: &[Prompt],
        options: &GenerateOptions,
        decided: Decided<'_>,
        finished: Finished<'_>,
    ) -> Result<(), ModelError>;

    /// The log-likelihood of each of `continuations` after each of `prompts`, handed to `finished` as in
    /// [`generate`](Self::generate).
    ///
    /// All continuations of a prompt are conditioned on the same tokens. Where the tokens of one are the beginning of another's,
    /// its likelihood is that of not going on to the other.
    ///
    /// # Errors
    /// [`ModelError`] if the model cannot run, or does not tell likelihoods.
    fn log_likelihoods(
        &mut self,
        prompts: &[Prompt],
        continuations: &[String],
        finished: FinishedLikelihoods<'_>,
    ) -> Result<(), ModelError> {
        let _ = (prompts, continuations, finished);
        Err(ModelError::new("this model does not tell likelihoods"))
    }

    /// How many tokens `prompt` with `new_tokens` after it is longer than what the model can take; 0 where it fits or the
    /// model does not know.
    ///
    /// # Errors
    /// [`ModelError`] if the prompt cannot be tokenized.
    fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
        let _ = (prompt, new_tokens);
        Ok(0)
    }

    /// A text that changes whenever the model's answers may: a hash of weights, adapter, tokenizer and precision.
    fn fingerprint(&self) -> String;

    /// [`generate`](Self::generate), with one generation per prompt in the order of the prompts.
    ///
    /// # Errors
    /// As [`generate`](Self::generate), and if the model left a prompt out or answered one twice.
    fn generate_all(
        &mut self,
        prompts: &[Prompt],
        options: &GenerateOptions,
        decided: Decided<'_>,
    ) -> Result<Vec<Generation>, ModelError> {
        let mut all = vec![None; prompts.len()];
        self.generate(prompts, options, decided, &mut |finished| place(finished, &mut all))?;
        complete(all)
    }

    /// [`log_likelihoods`](Self::log_likelihoods), with the log-likelihoods in the order of the prompts.
    ///
    /// # Errors
    /// As [`log_likelihoods`](Self::log_likelihoods), and if the model left a prompt out or answered one twice.
    fn all_log_likelihoods(
        &mut self,
        prompts: &[Prompt],
        continuations: &[String],
    ) -> Result<Vec<Vec<LogLikelihood>>, ModelError> {
        let mut all = vec![None; prompts.len()];
        self.log_likelihoods(prompts, continuations, &mut |finished| place(finished, &mut all))?;
        complete(all)
    }
}

/// Puts results where they belong; refuses an index that is out of range or was there before.
fn place<T>(results: Vec<(usize, T)>, all: &mut [Option<T>]) -> Result<(), ModelError> {
    for (index, result) in results {
        match all.get_mut(index) {
            Some(place) if place.is_none() => *place = Some(result),
            Some(_) => return Err(ModelError::new(format!("prompt {index} was answered twice"))),
            None => return Err(ModelError::new(format!("prompt {index} was answered, but there is none"))),
        }
    }
    Ok(())
}

fn complete<T>(all: Vec<Option<T>>) -> Result<Vec<T>, ModelError> {
    let missing = |index| ModelError::new(format!("prompt {index} was not answered"));
    all.into_iter().enumerate().map(|(index, result)| result.ok_or_else(|| missing(index))).collect()
}

/// Why a model could not run.
///
/// ```
/// use coin_eval::ModelError;
/// let error = ModelError::new("prompt 3 has 5000 tokens, more than the model's 2048");
/// assert_eq!(error.to_string(), "prompt 3 has 5000 tokens, more than the model's 2048");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ModelError {
    /// An error of its own: `message` says what is at fault, in lower case and without a final dot.
    pub fn new(message: impl Into<String>) -> Self {
        ModelError { message: message.into(), source: None }
    }

    /// An error caused by another: `message` says what was being done, and the cause's own text follows it.
    pub fn from_source(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        ModelError { message: format!("{}: {source}", message.into()), source: Some(source) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_kept_and_named() {
        let error = ModelError::from_source("cannot tokenize prompt 2", std::io::Error::other("bad byte"));
        assert_eq!(error.to_string(), "cannot tokenize prompt 2: bad byte");
        assert!(error.source().is_some());
    }
}
