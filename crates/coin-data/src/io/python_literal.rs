//! Parses Python literals, as `repr` and `str` write them: `{'idx': 3, 'options': ["it's", 'no'], 'last': None}`.
//!
//! The released pairs have a text column with the values that filled the templates, as a Python dictionary. The parser reads
//! strings in both kinds of quotes, numbers, lists, tuples, dictionaries, `None`, `True` and `False`. Strings may contain
//! the escapes of Python's language reference (section "String and Bytes literals") except octal ones and `\N{..}`, which
//! `repr` never writes. Expressions, sets, bytes, tuples as keys and all other names are errors.

mod parser;

use std::fmt;

/// The error of a text that is not a Python literal.
#[derive(Debug, thiserror::Error)]
#[error("python literal, byte {offset}: {message}")]
pub(crate) struct LiteralError {
    /// Position in the text, in bytes from 0.
    offset: usize,
    /// The problem: found and expected text.
    message: String,
}

/// A Python value.
///
/// `Display` writes it as JSON: a tuple as a list, and a key that is not a string as a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A number as written, since Python's integers have any size; includes `nan` and `inf`.
    Number(String),
    /// A string.
    Text(String),
    /// A list or a tuple.
    List(Vec<Literal>),
    /// A dictionary, in the order of the text.
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// Converts the value to text: a string without its quotes, any other value as JSON.
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

/// Parses `text` as a single value. White space around it is allowed.
///
/// # Errors
/// A [`LiteralError`] with the offset of the error in bytes.
pub(crate) fn parse(text: &str) -> Result<Literal, LiteralError> {
    parser::value(text)
}

#[cfg(test)]
mod tests;
