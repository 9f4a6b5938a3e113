//! What an evaluation needs of a model: text in, text out, and a name for what produced it.
//!
//! A fake model in a test, a LLaMA in this process and a model behind a network serve alike.

use std::error::Error;

/// What a model wrote after one prompt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Generation {
    /// The new tokens, without the prompt's.
    pub token_ids: Vec<u32>,
    /// The new tokens decoded: the continuation only, cut by token index rather than by searching for the prompt.
    pub text: String,
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

/// A model that continues prompts greedily.
pub trait LanguageModel {
    /// Continues each of `prompts`; the result has one generation per prompt, in the same order.
    ///
    /// `decided` is given the text a row has so far and is true once no further token can change what is read
    /// from it. A model may stop the row then; it need not ask after every token, nor at all. A caller who wants
    /// every row decoded to its end passes `&|_| false`.
    ///
    /// # Errors
    /// [`ModelError`] if the model cannot run; nothing is returned for any prompt then.
    fn generate(
        &mut self,
        prompts: &[String],
        options: &GenerateOptions,
        decided: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Generation>, ModelError>;

    /// Whether the model can take these prompts with `max_new_tokens` after each, without running it.
    ///
    /// # Errors
    /// [`ModelError`] names the first prompt that it cannot take.
    fn check(&self, prompts: &[String], max_new_tokens: usize) -> Result<(), ModelError> {
        let _ = (prompts, max_new_tokens);
        Ok(())
    }

    /// A text that changes whenever the model's answers may: a hash of weights, adapter, tokenizer and precision.
    fn fingerprint(&self) -> String;
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
