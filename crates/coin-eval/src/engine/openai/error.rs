//! Errors of requests to a server. No message contains the key.

use std::time::Duration;

use coin_core::quote::cut;

use super::OptionField;

/// An error in using a server or in its answer.
///
/// [`LanguageModel`](crate::LanguageModel) returns it as the source of a [`ModelError`](crate::ModelError), whose message
/// begins with the index of the prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenAiError {
    /// A field of [`OpenAiOptions`](super::OpenAiOptions) is invalid.
    #[error("option `{option}`: {reason}")]
    Option {
        /// The field.
        option: OptionField,
        /// The fault.
        reason: String,
    },
    /// The server could not be reached, closed the connection early, or did not answer in time.
    #[error("cannot get an answer from {url}: {reason}")]
    Connection {
        /// The address.
        url: String,
        /// The reason for the failure.
        reason: String,
    },
    /// The server answered with an error status.
    #[error("{url} answered with status {status}: {message}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The server's message, shortened and made printable by [`cut`].
        message: String,
    },
    /// The server redirects. The redirect is not followed, so that the key is not sent elsewhere.
    #[error("{url} redirects (status {status}), and redirects are not followed; use the final address")]
    Redirect {
        /// The address.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// The server asks to wait longer than the options allow.
    #[error("{url} asked for a wait of {} s before the next attempt, but the limit is {} s: {message}", asked.as_secs(), allowed.as_secs())]
    Wait {
        /// The address.
        url: String,
        /// The wait that `Retry-After` requests.
        asked: Duration,
        /// [`OpenAiOptions::longest_wait`](super::OpenAiOptions::longest_wait).
        allowed: Duration,
        /// The server's message, shortened and made printable by [`cut`].
        message: String,
    },
    /// An answer with a success status does not follow the protocol.
    #[error("unexpected answer from {url}: {fault}; it begins `{start}`")]
    Malformed {
        /// The address.
        url: String,
        /// The unexpected or missing part.
        fault: String,
        /// The beginning of the answer, shortened and made printable by [`cut`].
        start: String,
    },
    /// The server does not return log-probabilities of a given text.
    #[error("{url} cannot score continuations: {reason}")]
    Echo {
        /// The address.
        url: String,
        /// The missing part.
        reason: String,
    },
    /// The chat protocol does not return log-probabilities of a given text.
    #[error("the chat protocol does not return log-probabilities of a given text; use the completions protocol")]
    ChatLikelihoods,
    /// The next request could exceed the remaining budget.
    #[error(
        "the budget of {budget} is reached: {spent:.6} are spent or reserved for requests in progress, and the next request may cost {next:.6}"
    )]
    Budget {
        /// The budget, in the currency of the prices.
        budget: f64,
        /// The amount spent, including what requests in flight may still cost.
        spent: f64,
        /// The maximum cost of the next request.
        next: f64,
    },
    /// The last attempt failed too.
    #[error("{source} (after {attempts} attempts)")]
    GaveUp {
        /// The number of attempts made.
        attempts: u32,
        /// The last attempt's error.
        source: Box<OpenAiError>,
    },
    /// A request thread panicked, which is a bug in this program.
    #[error("internal error during the request: {message}")]
    Panic {
        /// The message of the panic.
        message: String,
    },
    /// Another prompt's error ended the run before this one was answered.
    #[error("stopped because another prompt failed")]
    Stopped,
}

/// Returns the beginning of `text`, without surrounding white space, for use in messages.
pub(super) fn start(text: &str) -> String {
    cut(text.trim()).into_owned()
}
