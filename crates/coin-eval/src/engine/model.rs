//! The interface that an evaluation needs from a model: it takes prompts, returns text, and identifies itself.
//!
//! A fake model in a test, a LLaMA in this process and a remote model all implement it.

use std::error::Error;

use coin_data::Prompt;
use serde::{Deserialize, Serialize};

/// The text a model generated after one prompt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Generation {
    /// The new tokens, without the prompt's. Empty if the model does not report them.
    pub token_ids: Vec<u32>,
    /// The new tokens decoded: the continuation only, cut by token index rather than by searching for the prompt.
    pub text: String,
    /// True if the row ended early because its outcome was decided.
    pub stopped: bool,
    /// The smallest difference between the two largest logits at any new token. `None` if the model does not report it.
    pub margin: Option<f32>,
    /// The hidden state after the last norm at the last prompt token, `[d_model]`. `None` unless requested.
    pub hidden: Option<Vec<f32>>,
}

/// Settings of generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerateOptions {
    /// The maximum number of tokens to generate after each prompt. 7 in the paper's evaluation.
    pub max_new_tokens: usize,
    /// True to return [`Generation::hidden`].
    pub hidden: bool,
}

/// The log-likelihood of one continuation after a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLikelihood {
    /// The natural logarithm of the probability of all its tokens.
    pub sum: f64,
    /// The number of its tokens.
    pub tokens: usize,
}

/// Returns true if the text generated so far already decides the outcome.
pub type Decided<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Receives finished results: each generation with the index of its prompt.
pub type Finished<'a> = &'a mut dyn FnMut(Vec<(usize, Generation)>) -> Result<(), ModelError>;

/// Receives finished results: the log-likelihood of each continuation with the index of its prompt.
pub type FinishedLikelihoods<'a> = &'a mut dyn FnMut(Vec<(usize, Vec<LogLikelihood>)>) -> Result<(), ModelError>;

/// A model that continues prompts greedily.
pub trait LanguageModel {
    /// Continues each of `prompts` and passes the results to `finished` batch by batch, in any order, once per prompt.
    ///
    /// `decided` receives the text of a row so far and returns true once no further token can change the parsed
    /// outcome. The model may then stop the row. It need not call `decided` after every token, or at all. To decode
    /// every row to its end, pass `&|_| false`.
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

    /// Computes the log-likelihood of each of `continuations` after each of `prompts` and passes them to `finished` as in
    /// [`generate`](Self::generate).
    ///
    /// All continuations of a prompt are conditioned on the same tokens. If the tokens of one are a prefix of another's,
    /// its likelihood excludes that of the longer one.
    ///
    /// # Errors
    /// [`ModelError`] if the model cannot run or does not compute likelihoods.
    fn log_likelihoods(
        &mut self,
        prompts: &[Prompt],
        continuations: &[String],
        finished: FinishedLikelihoods<'_>,
    ) -> Result<(), ModelError> {
        let _ = (prompts, continuations, finished);
        Err(ModelError::new("this model does not compute likelihoods"))
    }

    /// Returns the number of tokens by which `prompt` followed by `new_tokens` exceeds the model's limit. 0 if it fits or
    /// the model does not know its limit.
    ///
    /// # Errors
    /// [`ModelError`] if the prompt cannot be tokenized.
    fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
        let _ = (prompt, new_tokens);
        Ok(0)
    }

    /// Returns a text that changes whenever the model's answers may change: a hash of weights, adapter, tokenizer and precision.
    fn fingerprint(&self) -> String;

    /// Like [`generate`](Self::generate), but returns one generation per prompt, in the order of the prompts.
    ///
    /// # Errors
    /// The errors of [`generate`](Self::generate), and [`ModelError`] if the model skips a prompt or answers one twice.
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

    /// Like [`log_likelihoods`](Self::log_likelihoods), but returns the log-likelihoods in the order of the prompts.
    ///
    /// # Errors
    /// The errors of [`log_likelihoods`](Self::log_likelihoods), and [`ModelError`] if the model skips a prompt or answers
    /// one twice.
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

/// Stores each result at its index. Returns an error for an index that is out of range or repeated.
fn place<T>(results: Vec<(usize, T)>, all: &mut [Option<T>]) -> Result<(), ModelError> {
    for (index, result) in results {
        match all.get_mut(index) {
            Some(place) if place.is_none() => *place = Some(result),
            Some(_) => return Err(ModelError::new(format!("prompt {index} was answered twice"))),
            None => return Err(ModelError::new(format!("the model answered prompt {index}, which does not exist"))),
        }
    }
    Ok(())
}

fn complete<T>(all: Vec<Option<T>>) -> Result<Vec<T>, ModelError> {
    let missing = |index| ModelError::new(format!("prompt {index} was not answered"));
    all.into_iter().enumerate().map(|(index, result)| result.ok_or_else(|| missing(index))).collect()
}

/// An error that kept a model from running.
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
    /// Creates an error without a cause. `message` describes the fault, in lower case and without a final period.
    pub fn new(message: impl Into<String>) -> Self {
        ModelError { message: message.into(), source: None }
    }

    /// Creates an error with a cause. `message` names the operation that failed, and the cause's text is appended to it.
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
