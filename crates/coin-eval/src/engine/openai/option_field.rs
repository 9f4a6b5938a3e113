//! The names of the options that can be invalid.

use std::fmt;

/// A field of [`OpenAiOptions`](super::OpenAiOptions) that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionField {
    /// `endpoint`.
    Endpoint,
    /// `model`.
    Model,
    /// `key`.
    Key,
    /// `parameters`.
    Parameters,
    /// `concurrency`.
    Concurrency,
    /// `requests_per_minute`.
    RequestsPerMinute,
    /// `tokens_per_minute`.
    TokensPerMinute,
    /// `connect_timeout`.
    ConnectTimeout,
    /// `request_timeout`.
    RequestTimeout,
    /// `attempts`.
    Attempts,
    /// The pauses and waits, named after the longest one: `longest_wait`.
    LongestWait,
    /// `prices`.
    Prices,
    /// `budget`.
    Budget,
}

impl OptionField {
    /// Returns the field's name.
    pub fn name(self) -> &'static str {
        match self {
            OptionField::Endpoint => "endpoint",
            OptionField::Model => "model",
            OptionField::Key => "key",
            OptionField::Parameters => "parameters",
            OptionField::Concurrency => "concurrency",
            OptionField::RequestsPerMinute => "requests_per_minute",
            OptionField::TokensPerMinute => "tokens_per_minute",
            OptionField::ConnectTimeout => "connect_timeout",
            OptionField::RequestTimeout => "request_timeout",
            OptionField::Attempts => "attempts",
            OptionField::LongestWait => "longest_wait",
            OptionField::Prices => "prices",
            OptionField::Budget => "budget",
        }
    }
}

impl fmt::Display for OptionField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
