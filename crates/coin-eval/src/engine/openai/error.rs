//! What can go wrong between a prompt and a server's answer. No message ever holds the key.

use std::time::Duration;

use coin_core::quote::cut;

/// Why a server could not be used or what was wrong with its answer.
///
/// [`LanguageModel`](crate::LanguageModel) passes it on as the source of a [`ModelError`](crate::ModelError), behind the
/// index of the prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenAiError {
    /// A field of [`OpenAiOptions`](super::OpenAiOptions) that cannot be used.
    #[error("option `{option}`: {reason}")]
    Option {
        /// The field.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The server could not be reached, broke off, or did not answer in time.
    #[error("cannot get an answer from {url}: {reason}")]
    Connection {
        /// The address.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// An answer with a status that is no success.
    #[error("{url} answered with status {status}: {message}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// What the server wrote, cut and made printable by [`cut`].
        message: String,
    },
    /// The server redirects. The key must not travel, so it is not followed.
    #[error("{url} answered with status {status}, a redirection, which is not followed: give the final address")]
    Redirect {
        /// The address.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// The server asks to wait longer than the options allow.
    #[error("{url} asks to wait {} s before the next attempt, more than the {} s allowed: {message}", asked.as_secs(), allowed.as_secs())]
    Wait {
        /// The address.
        url: String,
        /// What `Retry-After` says.
        asked: Duration,
        /// [`OpenAiOptions::longest_wait`](super::OpenAiOptions::longest_wait).
        allowed: Duration,
        /// What the server wrote, cut and made printable by [`cut`].
        message: String,
    },
    /// An answer of status 200 that does not have the protocol's form.
    #[error("{url} answered with {fault}; the answer begins `{start}`")]
    Malformed {
        /// The address.
        url: String,
        /// What was found or is missing.
        fault: String,
        /// The beginning of the answer, cut and made printable by [`cut`].
        start: String,
    },
    /// The server does not tell the log-probabilities of a text that it is given.
    #[error("{url} does not score continuations: {reason}")]
    Echo {
        /// The address.
        url: String,
        /// What is missing.
        reason: String,
    },
    /// Chat servers tell no log-probabilities of a text that they are given.
    #[error("the chat protocol has no log-probabilities of a given text: score with the completions protocol")]
    ChatLikelihoods,
    /// The next request could cost more than what is left of the budget.
    #[error(
        "the budget of {budget} is reached: {spent:.6} are spent or bound by requests under way, the next may cost {next:.6}"
    )]
    Budget {
        /// The budget, in the currency of the prices.
        budget: f64,
        /// What is spent, with what requests under way may still cost.
        spent: f64,
        /// The most that the next request may cost.
        next: f64,
    },
    /// The last attempt failed too.
    #[error("{source} (after {attempts} attempts)")]
    GaveUp {
        /// How many attempts were made.
        attempts: u32,
        /// The last attempt's error.
        source: Box<OpenAiError>,
    },
    /// A thread that asked ended in a panic, which is a fault of this program.
    #[error("the request ended in a fault of this program: {message}")]
    Panic {
        /// What the panic said.
        message: String,
    },
    /// Another prompt's error ended the run before this one was answered.
    #[error("stopped, as another prompt failed")]
    Stopped,
}

/// The beginning of `text`, without white space around it, as messages show it.
pub(super) fn start(text: &str) -> String {
    cut(text.trim()).into_owned()
}
