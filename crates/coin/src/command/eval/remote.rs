//! Models behind a server.

use std::time::Duration;

use clap::{Args, ValueEnum};
use coin::core::quote::cut;
use coin::eval::openai::{Api, ApiKey, OpenAiError, OpenAiModel, OpenAiOptions, OptionField, Prices, Turns, Usage};
use serde::Serialize;

use crate::failure::{Failure, OrFail, bad_input};

/// The protocol of a server.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum ApiName {
    /// `/completions`: the model continues the prompt's text.
    Completions,
    /// `/chat/completions`: the prompt's parts become messages.
    Chat,
}

/// The options for a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "A model behind a server (OpenAI's protocols)")]
pub struct RemoteArguments {
    /// Address of the server, such as `http://localhost:8000`. --model is then the model's name on the server.
    #[arg(long, conflicts_with_all = ["adapter", "dtype", "quantize", "device", "batch_size", "representations"])]
    endpoint: Option<String>,
    /// Protocol of the server.
    #[arg(long, value_enum, default_value_t = ApiName::Completions, requires = "endpoint")]
    api: ApiName,
    /// Environment variable that contains the key [default: `OPENAI_API_KEY` for api.openai.com, none for other servers].
    #[arg(long, value_name = "VARIABLE", requires = "endpoint")]
    key_env: Option<String>,
    /// Sends the whole prompt, including demonstrations, as one user message.
    #[arg(long, requires = "endpoint")]
    one_turn: bool,
    /// Appends the response marker to chat messages.
    #[arg(long, requires = "endpoint")]
    send_marker: bool,
    /// Maximum number of concurrent requests.
    #[arg(long, default_value_t = 8, requires = "endpoint")]
    concurrency: usize,
    /// Maximum number of requests per minute.
    #[arg(long, requires = "endpoint")]
    requests_per_minute: Option<f64>,
    /// Maximum number of tokens per minute, sent and generated.
    #[arg(long, requires = "endpoint")]
    tokens_per_minute: Option<f64>,
    /// Time limit of one attempt, in seconds.
    #[arg(long, default_value_t = 120, requires = "endpoint")]
    timeout: u64,
    /// Maximum number of attempts per request; after that, the run fails.
    #[arg(long, default_value_t = 6, requires = "endpoint")]
    attempts: u32,
    /// Price of a million tokens sent.
    #[arg(long, requires_all = ["endpoint", "price_completion"])]
    price_prompt: Option<f64>,
    /// Price of a million generated tokens.
    #[arg(long, requires = "price_prompt")]
    price_completion: Option<f64>,
    /// Maximum cost of this run, in the unit of the prices.
    #[arg(long, requires = "price_prompt")]
    budget: Option<f64>,
    /// Sets a member of each request's JSON object; `null` removes it. Can be repeated.
    #[arg(long = "parameter", value_name = "NAME=JSON", requires = "endpoint")]
    parameters: Vec<String>,
}

impl RemoteArguments {
    /// True if a server is given.
    pub fn is_given(&self) -> bool {
        self.endpoint.is_some()
    }

    /// True if the server is given and its protocol is chat.
    pub fn is_chat(&self) -> bool {
        self.is_given() && matches!(self.api, ApiName::Chat)
    }

    /// The form of the requests, for the settings of a run.
    pub fn request(&self) -> Option<serde_json::Value> {
        self.is_given().then(|| {
            serde_json::json!({
                "api": self.api,
                "one_turn": self.one_turn,
                "send_marker": self.send_marker,
                "parameters": self.parameters,
            })
        })
    }

    /// The given address of the server.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The model called `name` on the server, or `None` if no server is given.
    pub fn model(&self, name: &str) -> Result<Option<OpenAiModel>, Failure> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let api = match self.api {
            ApiName::Completions => Api::Completions,
            ApiName::Chat => Api::Chat(if self.one_turn { Turns::One } else { Turns::Many }),
        };
        // The whole host is compared, because another host may begin with this name.
        let host = endpoint.strip_prefix("https://").and_then(|rest| rest.split(['/', ':', '?', '#']).next());
        let theirs = host == Some("api.openai.com");
        let key = match &self.key_env {
            Some(variable) => match ApiKey::from_env(variable).input()? {
                Some(key) => Some(key),
                None => return bad_input(format!("--key-env {variable}: the environment variable is not set")),
            },
            None if theirs => ApiKey::from_env(ApiKey::VARIABLE).input()?,
            None => None,
        };
        let prices = self.price_prompt.zip(self.price_completion);
        let mut options = OpenAiOptions {
            key,
            send_marker: self.send_marker,
            concurrency: self.concurrency,
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            request_timeout: Duration::from_secs(self.timeout),
            attempts: self.attempts,
            prices: prices.map(|(prompt, completion)| Prices { prompt, cached: None, completion }),
            budget: self.budget,
            ..OpenAiOptions::new(endpoint, name, api)
        };
        for parameter in &self.parameters {
            let shown = cut(parameter);
            let Some((name, value)) = parameter.split_once('=') else {
                return bad_input(format!("--parameter {shown}: expected NAME=JSON"));
            };
            let value = coin::core::json::from_str(value)
                .map_err(|error| anyhow::anyhow!("--parameter {shown}: {error}; a JSON string needs quotes"));
            if options.parameters.insert(name.to_owned(), value.input()?).is_some() {
                return bad_input(format!("--parameter {shown}: `{}` is given twice", cut(name)));
            }
        }
        OpenAiModel::new(options).map(Some).map_err(|error| match error {
            OpenAiError::Option { option, reason } => Failure::Input(anyhow::anyhow!("{}: {reason}", argument(option))),
            error => Failure::Input(error.into()),
        })
    }
}

/// Returns the argument that sets `field`. Fields without an argument keep their defaults, which are valid.
fn argument(field: OptionField) -> &'static str {
    match field {
        OptionField::Endpoint => "--endpoint",
        OptionField::Model => "--model",
        OptionField::Key => "the key (--key-env)",
        OptionField::Parameters => "--parameter",
        OptionField::Concurrency => "--concurrency",
        OptionField::RequestsPerMinute => "--requests-per-minute",
        OptionField::TokensPerMinute => "--tokens-per-minute",
        OptionField::RequestTimeout => "--timeout",
        OptionField::Attempts => "--attempts",
        OptionField::Prices => "--price-prompt and --price-completion",
        OptionField::Budget => "--budget",
        OptionField::ConnectTimeout | OptionField::LongestWait => field.name(),
    }
}

/// The usage as one line.
pub fn describe(usage: &Usage) -> String {
    let Usage { requests, retries, prompt_tokens, completion_tokens, uncounted, cost, .. } = usage;
    let uncounted = match uncounted {
        0 => String::new(),
        count => format!(" (including the maximum for {count} requests of unknown usage)"),
    };
    let cost = cost.map_or(String::new(), |cost| format!(", cost {cost:.4}{uncounted}"));
    format!(
        "{requests} requests, {retries} of them retries; {prompt_tokens} tokens sent, {completion_tokens} generated{cost}"
    )
}
