//! A model behind a server with an OpenAI-compatible API, such as vLLM, llama.cpp, Ollama or a hosted service.
//!
//! | Module | Purpose |
//! |---|---|
//! | `options` | [`OpenAiOptions`]: server, model, protocol, limits and timeouts, with all defaults |
//! | `request`, `reply` | requests to `/completions` or `/chat/completions`, and their responses |
//! | `echo` | log-likelihoods of continuations, from servers that echo a text with its log-probabilities |
//! | `connection` | one request: paced, metered and retried |
//! | `workers` | concurrent requests |
//! | `pace`, `retry`, `meter` | rate limits; pauses between attempts; tokens, cost and budget |
//!
//! `docs/remote-models.md` describes which results of a remote model are reproducible and which are not.

mod connection;
mod echo;
mod endpoint;
mod error;
mod key;
mod meter;
mod option_field;
mod options;
mod pace;
mod reply;
mod request;
mod retry;
mod workers;

use coin_data::Prompt;
use serde_json::json;

use connection::Connection;
pub use error::OpenAiError;
pub use key::ApiKey;
pub use meter::{Prices, Usage};
pub use option_field::OptionField;
pub use options::{Api, OpenAiOptions, Turns};
use request::Request;

use super::model::{Decided, Finished, FinishedLikelihoods, GenerateOptions, Generation, LanguageModel, ModelError};
use crate::answer_key::answer_key;

/// A model behind a server.
///
/// Requests are sent on several threads. The results available at a time are passed on together, in the order of their
/// prompts. A request that fails permanently ends the run, after the results of requests in flight are passed on.
///
/// Every answer is generated to its last token. `decided` is never called, because the protocols can stop only at given
/// words. [`Generation::token_ids`] is empty, [`Generation::hidden`] is `None` even if requested, and
/// [`excess`](LanguageModel::excess) is 0, because only the server has the tokenizer.
///
/// # Example
/// A server that answers everything with `acceptable`:
/// ```
/// use std::io::{BufRead, BufReader, Read, Write};
///
/// use coin_data::Prompt;
/// use coin_eval::openai::{Api, OpenAiModel, OpenAiOptions, Turns};
/// use coin_eval::{GenerateOptions, LanguageModel};
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// std::thread::spawn(move || {
///     for stream in listener.incoming() {
///         let mut reader = BufReader::new(stream.unwrap());
///         let headers: Vec<String> = reader.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
///         let length = headers.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
///         reader.read_exact(&mut vec![0; length.unwrap()]).unwrap();
///         let answer = r#"{"choices": [{"message": {"content": "acceptable"}}], "usage": {"prompt_tokens": 9}}"#;
///         let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
///         reader.get_mut().write_all((head + answer).as_bytes()).unwrap();
///     }
/// });
///
/// let options = OpenAiOptions::new(format!("http://{address}"), "any", Api::Chat(Turns::Many));
/// let mut model = OpenAiModel::new(options)?;
/// let prompts = [Prompt::new("Is this good English? ", "The boat sank."), Prompt::new("Judge: ", "Sank boat.")];
/// let generate = GenerateOptions { max_new_tokens: 7, hidden: false };
/// let answers = model.generate_all(&prompts, &generate, &|_| false)?;
/// assert_eq!(answers[1].text, "acceptable");
/// assert_eq!(model.usage().prompt_tokens, 18);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OpenAiModel {
    connection: Connection,
}

impl OpenAiModel {
    /// Creates the model that `options` describe. Sends no request.
    ///
    /// # Errors
    /// [`OpenAiError::Option`], with the name of the invalid field.
    pub fn new(options: OpenAiOptions) -> Result<Self, OpenAiError> {
        Ok(OpenAiModel { connection: Connection::new(options)? })
    }

    /// Returns the usage since [`new`](Self::new), including failed runs.
    pub fn usage(&self) -> Usage {
        self.connection.usage()
    }
}

impl LanguageModel for OpenAiModel {
    fn generate(
        &mut self,
        prompts: &[Prompt],
        options: &GenerateOptions,
        _decided: Decided<'_>,
        finished: Finished<'_>,
    ) -> Result<(), ModelError> {
        let connection = &self.connection;
        let answer = |index: usize, stop: &workers::Stop| {
            let request = Request::generate(connection.options(), &prompts[index], options.max_new_tokens)?;
            let reply = connection.ask(&request, index, stop)?;
            Ok(Generation { text: reply.text, margin: reply.margin, ..Generation::default() })
        };
        workers::run(prompts.len(), connection.options().concurrency, &answer, finished)
    }

    fn log_likelihoods(
        &mut self,
        prompts: &[Prompt],
        continuations: &[String],
        finished: FinishedLikelihoods<'_>,
    ) -> Result<(), ModelError> {
        let connection = &self.connection;
        let log_likelihoods = |index: usize, stop: &workers::Stop| {
            let prompt = prompts[index].render();
            let fault = |reason| OpenAiError::Echo { url: connection.url().to_owned(), reason };
            let tokens = |continuation: &String| {
                let sent = format!("{prompt}{continuation}");
                let request = Request::echo(connection.options(), &sent)?;
                let reply = connection.ask(&request, index, stop).map_err(|error| match error {
                    OpenAiError::Status { status: status @ (400 | 422 | 501), message, .. } => fault(format!(
                        "the server rejected the request to echo log-probabilities (status {status}): {message}"
                    )),
                    error => error,
                })?;
                echo::tokens(&reply, &sent).map_err(fault)
            };
            let rows = continuations.iter().map(tokens).collect::<Result<Vec<_>, _>>()?;
            echo::likelihoods(&rows, &prompt).map_err(fault)
        };
        match connection.options().api {
            Api::Completions => {
                workers::run(prompts.len(), connection.options().concurrency, &log_likelihoods, finished)
            }
            Api::Chat(_) => Err(ModelError::from_source("cannot score continuations", OpenAiError::ChatLikelihoods)),
        }
    }

    /// Returns the model's name, the address, and the first digits of the SHA-256 of these and of every setting that
    /// changes a request. The key is not included. Nor is anything that the server reports about itself, since that is
    /// known too late: a server may serve another model under the same name.
    fn fingerprint(&self) -> String {
        let (options, url) = (self.connection.options(), self.connection.url());
        let chat = match options.api {
            Api::Completions => json!(null),
            Api::Chat(turns) => json!([turns == Turns::One, options.send_marker]),
        };
        let settings = json!([chat, options.seed, options.parameters]).to_string();
        format!("{} at {url} ({})", options.model, answer_key(&options.model, url, &settings))
    }
}
