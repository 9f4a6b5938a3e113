//! Python's notation of values, as `repr` and `str` write them: `{'idx': 3, 'options': ["it's", 'no'], 'last': None}`.
//!
//! The released pairs hold the values that filled the templates as such a dictionary in a column of text. Read are
//! strings in both kinds of quotes, numbers, lists, tuples, dictionaries, `None`, `True` and `False`; in strings the
//! escapes of Python's language reference (section "String and Bytes literals") but for octal ones and `\N{..}`, which
//! `repr` never writes. Expressions, sets, bytes, tuples as keys and names of any other kind are errors.

mod parser;

use std::fmt;

/// A text that is not one of Python's literals.
#[derive(Debug, thiserror::Error)]
#[error("python literal, byte {offset}: {message}")]
pub(crate) struct LiteralError {
    /// Position in the text, in bytes from 0.
    offset: usize,
    /// The text found and what was expected.
    message: String,
}

/// A value of Python.
///
/// Shown as the JSON text of the value; a tuple as a list, and a key that is no string as the string of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A number as it is written, since Python's integers have any size; `nan` and `inf` too.
    Number(String),
    /// A string.
    Text(String),
    /// A list or a tuple.
    List(Vec<Literal>),
    /// A dictionary in the order of the text.
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// The value as a text of its own: a string without its quotes, anything else as shown.
    pub(crate) fn into_text(self) -> String {
        match self {
            Literal::Text(text) => text,
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::None => formatter.write_str("null"),
            Literal::Bool(value) => write!(formatter, "{value}"),
            Literal::Number(text) => formatter.write_str(text),
            Literal::Text(text) => write!(formatter, "{}", serde_json::Value::from(text.as_str())),
            Literal::List(items) => {
                formatter.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if at > 0 { "," } else { "" })?;
                }
                formatter.write_str("]")
            }
            Literal::Dict(entries) => {
                formatter.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    let key = serde_json::Value::from(key.clone().into_text());
                    write!(formatter, "{}{key}:{value}", if at > 0 { "," } else { "" })?;
                }
                formatter.write_str("}")
            }
        }
    }
}

/// Reads `text` as one value, with white space around it allowed.
///
/// # Errors
/// A [`LiteralError`] with the offset in bytes at which something else was expected.
pub(crate) fn parse(text: &str) -> Result<Literal, LiteralError> {
    parser::value(text)
}

#[cfg(test)]
mod tests;
