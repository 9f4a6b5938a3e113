//! Which server, which model, how to ask, and how patiently.

use std::time::Duration;

use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::{ApiKey, OpenAiError, Prices};

/// The protocol that a prompt is sent by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `/completions`: the model continues the text that [`Prompt::render`](coin_data::Prompt::render) gives. Base
    /// models, and any model under this project's own markers.
    Completions,
    /// `/chat/completions`: the prompt's parts become messages, which the server puts into the model's chat template.
    Chat(Turns),
}

/// How a prompt becomes chat messages. A system text is the system message in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Turns {
    /// Each demonstration is a user's message of instruction and input and the assistant's answer; the last message is
    /// the user's, of instruction and input. The default: chat models learn from examples in this form.
    #[default]
    Many,
    /// One user's message of everything, as [`Prompt::body`](coin_data::Prompt::body) writes it.
    One,
}

/// The settings of an [`OpenAiModel`](super::OpenAiModel). All defaults are ours.
#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// The server's address, such as `http://localhost:8000`, up to the part before `/completions`; where it has no path,
    /// `/v1` is taken. It holds no user, password or query.
    pub endpoint: String,
    /// The name under which the server knows the model.
    pub model: String,
    /// The protocol.
    pub api: Api,
    /// The key. Default none. It goes to `endpoint` alone, and over plain HTTP only to this machine.
    pub key: Option<ApiKey>,
    /// Whether the key may travel over plain HTTP to another machine, where everyone on the way can read it. Default false.
    pub key_over_plain_http: bool,
    /// Whether a chat message ends in the prompt's response marker. Default false: the chat template has its own.
    pub send_marker: bool,
    /// Sent as `seed`. Default none; greedy decoding needs no seed, but a server may take it as a wish to be repeatable.
    pub seed: Option<u64>,
    /// Whether to ask for log-probabilities and fill [`Generation::margin`](crate::Generation::margin). Default false, as
    /// some servers refuse it.
    pub margins: bool,
    /// Further members of the request, which replace ours; `null` leaves one of ours out. Default none. What decides which
    /// question is asked and which form the answer has (`model`, `prompt`, `messages`, `stream`, `n`, `best_of`, `echo`,
    /// `logprobs`, `top_logprobs`) is refused.
    pub parameters: Map<String, Value>,
    /// How many requests are under way at a time. Default 8.
    pub concurrency: usize,
    /// The most requests in any minute. Default none.
    pub requests_per_minute: Option<f64>,
    /// The most tokens in a minute, sent and written. Default none. A request counts a token for every four bytes until
    /// the server tells its count.
    pub tokens_per_minute: Option<f64>,
    /// How long to wait for a connection. Default 10 seconds.
    pub connect_timeout: Duration,
    /// How long one attempt may take from the connection to the answer's last byte. Default 120 seconds.
    pub request_timeout: Duration,
    /// How often a request is sent before the run gives up. Default 6.
    pub attempts: u32,
    /// The largest pause before the second attempt; it doubles with each. Default half a second.
    pub first_pause: Duration,
    /// The largest pause before any attempt, where the server asks for none. Default 60 seconds.
    pub longest_pause: Duration,
    /// The longest wait that a server may ask for; beyond it the run ends. Default 5 minutes.
    pub longest_wait: Duration,
    /// What tokens cost. Default none: tokens are counted, cost is not.
    pub prices: Option<Prices>,
    /// What this object may spend in all. Default none. Needs `prices`.
    pub budget: Option<f64>,
    /// Whether `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are obeyed. Default false. Never for this machine's own servers.
    pub proxy_from_env: bool,
}

/// Members of a request that [`OpenAiOptions::parameters`] must leave alone.
const RESERVED: [&str; 9] =
    ["model", "prompt", "messages", "stream", "n", "best_of", "echo", "logprobs", "top_logprobs"];

/// Requests under way beyond which threads run out before servers do.
const MOST_CONCURRENT: usize = 1024;
/// A week.
const LONGEST_SPAN: Duration = Duration::from_secs(604_800);
const SPAN: &str = "it must be longer than 0 and at most a week (604800 s)";
/// One a week, about.
const LEAST_RATE: f64 = 1e-4;
const RATE: &str = "it must be a number of at least 0.0001";
const HIGHEST_PRICE: f64 = 1e9;

impl OpenAiOptions {
    /// `model` at `endpoint` by `api`, without a key, a limit or a price.
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
        // Moments are sums of such spans.
        let is_span = |span: Duration| !span.is_zero() && span <= LONGEST_SPAN;
        let is_rate = |rate: f64| rate.is_finite() && rate >= LEAST_RATE;
        let prices =
            self.prices.iter().flat_map(|prices| [prices.prompt, prices.completion].into_iter().chain(prices.cached));
        match self {
            _ if exposed && !self.key_over_plain_http => {
                let host = endpoint.host();
                fault(
                    "key",
                    &format!("it would travel unencrypted to {host}: give an endpoint that begins with https://"),
                )
            }
            _ if self.model.is_empty() => fault("model", "it is empty"),
            _ if self.concurrency == 0 || self.concurrency > MOST_CONCURRENT => {
                fault("concurrency", &format!("it is {}, expected 1 to {MOST_CONCURRENT}", self.concurrency))
            }
            _ if self.attempts == 0 => fault("attempts", "it must be at least 1"),
            _ if !is_span(self.connect_timeout) => fault("connect_timeout", SPAN),
            _ if !is_span(self.request_timeout) => fault("request_timeout", SPAN),
            _ if [self.first_pause, self.longest_pause, self.longest_wait].iter().any(|span| *span > LONGEST_SPAN) => {
                fault("longest_wait", "no pause or wait may be longer than a week (604800 s)")
            }
            _ if !self.requests_per_minute.is_none_or(is_rate) => fault("requests_per_minute", RATE),
            _ if !self.tokens_per_minute.is_none_or(is_rate) => fault("tokens_per_minute", RATE),
            _ if prices.clone().any(|price| !(0.0..=HIGHEST_PRICE).contains(&price)) => {
                fault("prices", "a price must be a number from 0 to 1000000000")
            }
            _ if !self.budget.is_none_or(positive) => fault("budget", "it must be above 0"),
            _ if self.budget.is_some() && self.prices.is_none() => fault("budget", "it needs prices"),
            _ => match RESERVED.iter().find(|name| self.parameters.contains_key(**name)) {
                Some(name) => fault("parameters", &format!("`{name}` is not for them to set")),
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
        // A name that only begins like this machine's.
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
