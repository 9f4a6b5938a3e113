//! A model behind a server that speaks OpenAI's protocols: vLLM, llama.cpp, Ollama, hosted ones.
//!
//! | part | what it does |
//! |---|---|
//! | `options` | [`OpenAiOptions`]: which server and model, how to ask, how patiently; all defaults |
//! | `request`, `reply` | prompts to `/completions` or `/chat/completions`, and what comes back |
//! | `echo` | log-likelihoods of continuations, from servers that echo a text with its log-probabilities |
//! | `connection` | one question: paced, paid for, tried again |
//! | `workers` | many of them at a time |
//! | `pace`, `retry`, `meter` | rate limits; pauses; tokens, cost and budget |
//!
//! `docs/remote-models.md` says what is reproducible about a remote model, and what is not.

mod connection;
mod echo;
mod endpoint;
mod error;
mod key;
mod meter;
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
pub use options::{Api, OpenAiOptions, Turns};
use request::Request;

use super::model::{Decided, Finished, FinishedLikelihoods, GenerateOptions, Generation, LanguageModel, ModelError};
use crate::answer_key::answer_key;

/// A model behind a server.
///
/// Requests go out on several threads; what has come back is handed over at once, in the order of the prompts. A
/// request that fails for good ends the run, but what others under way still bring is handed over first.
///
/// Each answer is written to its last token: `decided` is not asked, as the protocols stop at words and not at
/// decisions. [`Generation::token_ids`] is empty, [`Generation::hidden`] is `None` even where asked for, and
/// [`excess`](LanguageModel::excess) is 0, as only the server has the tokenizer.
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
    /// The model that `options` describe. Sends nothing yet.
    ///
    /// # Errors
    /// [`OpenAiError::Option`] names the field that cannot be used.
    pub fn new(options: OpenAiOptions) -> Result<Self, OpenAiError> {
        Ok(OpenAiModel { connection: Connection::new(options)? })
    }

    /// What has been used since [`new`](Self::new), failed runs included.
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
                    OpenAiError::Status { status: status @ (400 | 422 | 501), message, .. } => {
                        fault(format!("it refuses to echo log-probabilities (status {status}): {message}"))
                    }
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

    /// The model's name, the address, and the first digits of the SHA-256 of these and of every setting that changes
    /// a request. Not the key, and nothing that the server says of itself, which is known too late: a server may put
    /// another model behind the same name.
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
