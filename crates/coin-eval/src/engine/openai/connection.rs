//! One request to the server: paced, metered, and retried where that may help.

use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{HeaderMap, header};
use ureq::{Agent, Timeout};

use super::error::start;
use super::meter::{Meter, Outcome, Usage};
use super::pace::Pace;
use super::reply::Reply;
use super::request::Request;
use super::retry::{back_off, is_passing, retry_after};
use super::workers::Stop;
use super::{OpenAiError, OpenAiOptions};

/// The largest answer accepted. The echo of a long text with the log-probabilities of all tokens takes some megabytes.
const MAX_ANSWER_BYTES: u64 = 1 << 26;

/// A server, with its usage and rate limits so far. Shared between threads.
#[derive(Debug)]
pub(super) struct Connection {
    agent: Agent,
    url: String,
    options: OpenAiOptions,
    meter: Mutex<Meter>,
    /// The pace of requests and the pace of tokens.
    paces: Mutex<[Pace; 2]>,
    begun: Instant,
}

/// A failed attempt.
struct Failure {
    error: Box<OpenAiError>,
    /// True if another attempt may succeed.
    is_passing: bool,
    /// The time that the server asks to wait before the next attempt.
    wait: Option<Duration>,
    outcome: Outcome,
}

impl Failure {
    fn lasting(error: OpenAiError, outcome: Outcome) -> Self {
        Failure { error: Box::new(error), is_passing: false, wait: None, outcome }
    }
}

impl Connection {
    pub(super) fn new(options: OpenAiOptions) -> Result<Self, OpenAiError> {
        let endpoint = options.check()?;
        let mut config = Agent::config_builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(options.concurrency)
            .max_idle_connections_per_host(options.concurrency)
            .timeout_connect(Some(options.connect_timeout))
            .timeout_global(Some(options.request_timeout));
        if !options.proxy_from_env || endpoint.is_this_machine() {
            config = config.proxy(None);
        }
        Ok(Connection {
            agent: config.build().into(),
            url: endpoint.url(options.api),
            meter: Mutex::new(Meter::new(options.prices, options.budget)),
            paces: Mutex::new([Pace::new(options.requests_per_minute), Pace::new(options.tokens_per_minute)]),
            begun: Instant::now(),
            options,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn options(&self) -> &OpenAiOptions {
        &self.options
    }

    pub(super) fn usage(&self) -> Usage {
        self.meter().usage().clone()
    }

    /// Sends `request`, for the prompt with index `prompt`, and retries it until it is answered or fails permanently.
    pub(super) fn ask(&self, request: &Request, prompt: usize, stop: &Stop) -> Result<Reply, OpenAiError> {
        let tokens = request.bound.prompt.div_ceil(4).saturating_add(request.bound.completion) as f64;
        let mut attempt = 0;
        loop {
            stop.wait(self.leave(tokens))?;
            self.meter().begin(request.bound, attempt > 0)?;
            let failure = match self.send(request) {
                Ok(reply) => {
                    let mut meter = self.meter();
                    meter.end(request.bound, reply.tokens.map_or(Outcome::Uncounted, Outcome::Counted));
                    meter.note(reply.served.clone(), reply.filtered);
                    if let Some(counted) = reply.tokens {
                        self.paces()[1].correct(counted.prompt.saturating_add(counted.completion) as f64 - tokens);
                    }
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            self.meter().end(request.bound, failure.outcome);
            attempt += 1;
            if !failure.is_passing {
                return Err(*failure.error);
            }
            if attempt == self.options.attempts {
                return Err(match attempt {
                    1 => *failure.error,
                    _ => OpenAiError::GaveUp { attempts: attempt, source: failure.error },
                });
            }
            if let Some(wait) = failure.wait {
                // A wait that the server asks of one request applies to all of them.
                self.paces()[0].pause(self.begun.elapsed().saturating_add(wait));
            }
            stop.wait(back_off(self.options.first_pause, self.options.longest_pause, prompt, attempt - 1))?;
        }
    }

    /// Reserves a request of `tokens` tokens and returns how long it has to wait.
    fn leave(&self, tokens: f64) -> Duration {
        let now = self.begun.elapsed();
        let [requests, all] = &mut *self.paces();
        requests.take(now, 1.0).max(all.take(now, tokens))
    }

    /// Makes one attempt.
    fn send(&self, request: &Request) -> Result<Reply, Failure> {
        let mut post = self.agent.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.options.key {
            post = post.header(header::AUTHORIZATION, key.header());
        }
        let response = post.send(&request.body).map_err(|error| self.broken(&error))?;
        let (parts, body) = response.into_parts();
        let mut answer = Vec::new();
        let mut reader = body.into_with_config().limit(u64::MAX).reader().take(MAX_ANSWER_BYTES + 1);
        let read = reader.read_to_end(&mut answer);
        let status = parts.status.as_u16();
        let url = self.url.clone();
        if (300..400).contains(&status) {
            return Err(Failure::lasting(OpenAiError::Redirect { url, status }, Outcome::Free));
        }
        // The status of an error response counts even if its text is incomplete.
        let answer = match read {
            Err(error) if status < 300 => return Err(self.broken(&ureq::Error::from(error))),
            _ => self.public(&String::from_utf8_lossy(&answer)),
        };
        if !(200..300).contains(&status) {
            return Err(self.refused(status, &parts.headers, &answer));
        }
        if answer.len() as u64 > MAX_ANSWER_BYTES {
            let fault = format!("more than {MAX_ANSWER_BYTES} bytes");
            let error = OpenAiError::Malformed { url, fault, start: start(&answer) };
            return Err(Failure::lasting(error, Outcome::Uncounted));
        }
        Reply::read(&self.url, &answer).map_err(|error| Failure {
            is_passing: matches!(error, OpenAiError::Connection { .. }),
            wait: None,
            outcome: Outcome::Uncounted,
            error: Box::new(error),
        })
    }

    /// Returns the failure for a connection error.
    fn broken(&self, error: &ureq::Error) -> Failure {
        let reason = match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                format!("no connection within {:?}", self.options.connect_timeout)
            }
            ureq::Error::Timeout(_) => format!("no complete answer within {:?}", self.options.request_timeout),
            error => start(&self.public(&error.to_string())),
        };
        let never_arrived = match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => true,
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
            ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
            _ => false,
        };
        let lasts = matches!(error, ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Http(_));
        Failure {
            error: Box::new(OpenAiError::Connection { url: self.url.clone(), reason }),
            is_passing: !lasts,
            wait: None,
            outcome: if never_arrived || lasts { Outcome::Free } else { Outcome::Uncounted },
        }
    }

    /// Returns the failure for an error status.
    fn refused(&self, status: u16, headers: &HeaderMap, answer: &str) -> Failure {
        let url = self.url.clone();
        let value: Value = serde_json::from_str(answer).unwrap_or_default();
        let told = [&value["error"]["message"], &value["error"], &value["message"], &value["detail"]];
        let message = start(told.iter().find_map(|text| text.as_str()).unwrap_or(answer));
        // Retrying does not help an account without credit, which OpenAI reports with the status for too many requests.
        let is_spent = ["code", "type"].iter().any(|name| value["error"][*name] == "insufficient_quota");
        if !is_passing(status) || is_spent {
            return Failure::lasting(OpenAiError::Status { url, status, message }, Outcome::Free);
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let wait = text(header::RETRY_AFTER).and_then(|value| retry_after(value, text(header::DATE)));
        let allowed = self.options.longest_wait;
        match wait {
            Some(asked) if asked > allowed => {
                Failure::lasting(OpenAiError::Wait { url, asked, allowed, message }, Outcome::Free)
            }
            wait => Failure {
                error: Box::new(OpenAiError::Status { url, status, message }),
                is_passing: true,
                wait,
                outcome: Outcome::Free,
            },
        }
    }

    /// Returns the server's text without the key.
    fn public(&self, text: &str) -> String {
        self.options.key.as_ref().map_or_else(|| text.to_owned(), |key| key.hide_in(text))
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paces(&self) -> MutexGuard<'_, [Pace; 2]> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
