//! Settings of a remote model: server, model, protocol, limits and timeouts.

use std::time::Duration;

use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::{ApiKey, OpenAiError, OptionField, Prices};

/// The protocol for sending prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `/completions`: the model continues the text of [`Prompt::render`](coin_data::Prompt::render). For base models,
    /// and for any model prompted with this project's markers.
    Completions,
    /// `/chat/completions`: the prompt's parts become messages, which the server formats with the model's chat template.
    Chat(Turns),
}

/// The conversion of a prompt into chat messages. In either case, the system text becomes the system message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Turns {
    /// Each demonstration becomes a user message with instruction and input, and an assistant message with the answer.
    /// The last message is a user message with instruction and input. The default, as chat models are trained on examples
    /// in this form.
    #[default]
    Many,
    /// A single user message holds everything, as written by [`Prompt::body`](coin_data::Prompt::body).
    One,
}

/// Settings of an [`OpenAiModel`](super::OpenAiModel). All defaults are this project's.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// The server's address up to `/completions`, such as `http://localhost:8000`. The path defaults to `/v1`. The address
    /// must not contain a user, password or query.
    pub endpoint: String,
    /// The server's name for the model.
    pub model: String,
    /// The protocol.
    pub api: Api,
    /// The key. Default none. It is sent only to `endpoint`, and over plain HTTP only to this machine.
    pub key: Option<ApiKey>,
    /// True to allow sending the key to another machine over plain HTTP, where it can be read in transit. Default false.
    pub key_over_plain_http: bool,
    /// True to end a chat message with the prompt's response marker. Default false, as the chat template has a marker.
    pub send_marker: bool,
    /// Sent as `seed`. Default none. Greedy decoding does not need a seed, but a server may take it as a request for
    /// reproducible output.
    pub seed: Option<u64>,
    /// True to request log-probabilities and set [`Generation::margin`](crate::Generation::margin). Default false, as
    /// some servers reject the request.
    pub margins: bool,
    /// Additional request fields. They override this library's fields, and `null` removes one. Default none. Fields that
    /// determine the prompt or the form of the answer are rejected (`model`, `prompt`, `messages`, `stream`, `n`, `best_of`,
    /// `echo`, `logprobs`, `top_logprobs`).
    pub parameters: Map<String, Value>,
    /// The number of concurrent requests. Default 8.
    pub concurrency: usize,
    /// The maximum number of requests in any minute. Default none.
    pub requests_per_minute: Option<f64>,
    /// The maximum number of tokens per minute, sent and generated. Default none. Until the server reports its count, a
    /// request counts as one token per four bytes of its body, plus the maximum number of generated tokens.
    pub tokens_per_minute: Option<f64>,
    /// The timeout for connecting. Default 10 seconds.
    pub connect_timeout: Duration,
    /// The timeout of one attempt, from connecting to the last byte of the answer. Default 120 seconds.
    pub request_timeout: Duration,
    /// The number of times a request is sent before the run fails. Default 6.
    pub attempts: u32,
    /// The longest pause before the second attempt. It doubles with each further attempt. Default half a second.
    pub first_pause: Duration,
    /// The longest pause before any attempt, unless the server asks for a wait. Default 60 seconds.
    pub longest_pause: Duration,
    /// The longest wait that a server may ask for. A longer one ends the run. Default 5 minutes.
    pub longest_wait: Duration,
    /// The prices of tokens. Default none: tokens are counted without a cost.
    pub prices: Option<Prices>,
    /// The maximum total cost of this model. Default none. Requires `prices`.
    pub budget: Option<f64>,
    /// True to use `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Default false. Servers on this machine never use a proxy.
    pub proxy_from_env: bool,
}

/// Request fields that [`OpenAiOptions::parameters`] must not set.
const RESERVED: [&str; 9] =
    ["model", "prompt", "messages", "stream", "n", "best_of", "echo", "logprobs", "top_logprobs"];

/// The maximum concurrency. Above it, threads run out before servers do.
const MOST_CONCURRENT: usize = 1024;
/// A week.
const LONGEST_SPAN: Duration = Duration::from_secs(604_800);
const SPAN: &str = "it must be longer than 0 and at most a week (604800 s)";
/// About one per week.
const LEAST_RATE: f64 = 1e-4;
const RATE: &str = "it must be a number of at least 0.0001";
const HIGHEST_PRICE: f64 = 1e9;

impl OpenAiOptions {
    /// Settings for `model` at `endpoint` through `api`, without a key, a rate limit or prices.
    pub fn new(endpoint: impl Into<String>, model: impl Into<String>, api: Api) -> Self {
        OpenAiOptions {
            endpoint: endpoint.into(),
            model: model.into(),
            api,
            key: None,
            key_over_plain_http: false,
            send_marker: false,
            seed: None,
            margins: false,
            parameters: Map::new(),
            concurrency: 8,
            requests_per_minute: None,
            tokens_per_minute: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            attempts: 6,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            longest_wait: Duration::from_secs(300),
            prices: None,
            budget: None,
            proxy_from_env: false,
        }
    }

    /// Checks every field and returns the address.
    pub(super) fn check(&self) -> Result<Endpoint, OpenAiError> {
        let fault = |option, reason: &str| Err(OpenAiError::Option { option, reason: reason.to_owned() });
        let endpoint = Endpoint::parse(&self.endpoint)?;
        let exposed = self.key.is_some() && !endpoint.is_private();
        let positive = |number: f64| number.is_finite() && number > 0.0;
        // Points in time are sums of such spans.
        let is_span = |span: Duration| !span.is_zero() && span <= LONGEST_SPAN;
        let is_rate = |rate: f64| rate.is_finite() && rate >= LEAST_RATE;
        let prices =
            self.prices.iter().flat_map(|prices| [prices.prompt, prices.completion].into_iter().chain(prices.cached));
        match self {
            _ if exposed && !self.key_over_plain_http => {
                let host = endpoint.host();
                fault(
                    OptionField::Key,
                    &format!("it would be sent unencrypted to {host}; use an endpoint that begins with https://"),
                )
            }
            _ if self.model.is_empty() => fault(OptionField::Model, "it is empty"),
            _ if self.concurrency == 0 || self.concurrency > MOST_CONCURRENT => {
                fault(OptionField::Concurrency, &format!("it is {}, expected 1 to {MOST_CONCURRENT}", self.concurrency))
            }
            _ if self.attempts == 0 => fault(OptionField::Attempts, "it must be at least 1"),
            _ if !is_span(self.connect_timeout) => fault(OptionField::ConnectTimeout, SPAN),
            _ if !is_span(self.request_timeout) => fault(OptionField::RequestTimeout, SPAN),
            _ if [self.first_pause, self.longest_pause, self.longest_wait].iter().any(|span| *span > LONGEST_SPAN) => {
                fault(OptionField::LongestWait, "no pause or wait may be longer than a week (604800 s)")
            }
            _ if !self.requests_per_minute.is_none_or(is_rate) => fault(OptionField::RequestsPerMinute, RATE),
            _ if !self.tokens_per_minute.is_none_or(is_rate) => fault(OptionField::TokensPerMinute, RATE),
            _ if prices.clone().any(|price| !(0.0..=HIGHEST_PRICE).contains(&price)) => {
                fault(OptionField::Prices, "a price must be a number from 0 to 1000000000")
            }
            _ if !self.budget.is_none_or(positive) => fault(OptionField::Budget, "it must be above 0"),
            _ if self.budget.is_some() && self.prices.is_none() => fault(OptionField::Budget, "it needs prices"),
            _ => match RESERVED.iter().find(|name| self.parameters.contains_key(**name)) {
                Some(name) => {
                    fault(OptionField::Parameters, &format!("`{name}` is set by this program and cannot be overridden"))
                }
                None => Ok(endpoint),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(change: impl FnOnce(&mut OpenAiOptions)) -> String {
        let mut options = OpenAiOptions::new("https://models.example", "m", Api::Completions);
        options.check().unwrap();
        change(&mut options);
        options.check().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn bad_settings_are_named() {
        assert!(error(|o| o.model.clear()).contains("`model`"));
        assert!(error(|o| o.concurrency = 0).contains("`concurrency`"));
        assert!(error(|o| o.attempts = 0).contains("`attempts`"));
        assert!(error(|o| o.request_timeout = Duration::ZERO).contains("`request_timeout`"));
        assert!(error(|o| o.connect_timeout = Duration::ZERO).contains("`connect_timeout`"));
        for rate in [0.0, -1.0, 1e-300, f64::NAN, f64::INFINITY] {
            assert!(error(|o| o.requests_per_minute = Some(rate)).contains("`requests_per_minute`"), "{rate}");
            assert!(error(|o| o.tokens_per_minute = Some(rate)).contains("`tokens_per_minute`"), "{rate}");
        }
        assert_eq!(error(|o| o.requests_per_minute = Some(f64::MAX)), "");
        assert!(error(|o| o.request_timeout = Duration::MAX).contains("`request_timeout`"));
        assert!(error(|o| o.connect_timeout = Duration::from_secs(604_801)).contains("`connect_timeout`"));
        assert!(error(|o| o.longest_wait = Duration::MAX).contains("`longest_wait`"));
        assert!(error(|o| o.concurrency = usize::MAX).contains("`concurrency`"));
        assert!(error(|o| o.budget = Some(1.0)).contains("needs prices"));
        assert!(error(|o| o.budget = Some(-1.0)).contains("`budget`"));
        let bad = Prices { prompt: 1.0, cached: Some(-1.0), completion: 1.0 };
        assert!(error(|o| o.prices = Some(bad)).contains("`prices`"));
        assert!(error(|o| o.prices = Some(Prices { prompt: f64::MAX, ..bad })).contains("`prices`"));
        assert!(error(|o| drop(o.parameters.insert("stream".to_owned(), true.into()))).contains("`stream`"));
        assert_eq!(error(|o| drop(o.parameters.insert("temperature".to_owned(), Value::Null))), "");
    }

    #[test]
    fn a_key_travels_encrypted_or_not_at_all() {
        let with = |endpoint: &str, allowed: bool, key: bool| {
            error(|options| {
                options.endpoint = endpoint.to_owned();
                options.key = key.then(|| ApiKey::new("sk-secret").unwrap());
                options.key_over_plain_http = allowed;
            })
        };
        let refused = with("http://10.0.0.7:8000", false, true);
        assert!(refused.contains("`key`") && !refused.contains("secret"), "{refused}");
        for endpoint in ["https://models.example", "http://localhost:1", "http://127.0.0.9", "http://[::1]:80/v1"] {
            assert_eq!(with(endpoint, false, true), "", "{endpoint}");
        }
        assert_eq!(with("http://10.0.0.7:8000", true, true), "");
        assert_eq!(with("http://10.0.0.7:8000", false, false), "");
        // Host names that only begin like this machine's.
        for endpoint in ["http://localhost.evil.example", "http://127.0.0.1.evil.example"] {
            assert!(with(endpoint, false, true).contains("`key`"), "{endpoint}");
        }
    }

    #[test]
    fn options_print_without_the_key() {
        let mut options = OpenAiOptions::new("https://models.example", "m", Api::Chat(Turns::Many));
        options.key = Some(ApiKey::new("sk-secret").unwrap());
        assert!(!format!("{options:?}").contains("secret"));
    }
}
