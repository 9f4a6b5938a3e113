//! Python's notation of values, as `repr` and `str` write them: `{'idx': 3, 'options': ["it's", 'no'], 'last': None}`.
//!
//! The released pairs hold the values that filled the templates as such a dictionary in a column of text. Read are
//! strings in both kinds of quotes, numbers, lists, tuples, dictionaries, `None`, `True` and `False`; in strings the
//! escapes of Python's language reference (section "String and Bytes literals") but for octal ones and `\N{..}`, which
//! `repr` never writes. Expressions, sets, bytes, tuples as keys and names of any other kind are errors.

mod parser;

use std::fmt;

use crate::DataError;

/// A value of Python.
///
/// Shown as the JSON text of the value; a tuple as a list, and a key that is no string as the string of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
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
    pub fn into_text(self) -> String {
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
/// [`DataError::Literal`] with the offset in bytes at which something else was expected.
///
/// ```
/// use coin_data::python_literal::{Literal, parse};
/// let value = parse(r#"{'text': "It's so", 'n': [1, None]}"#)?;
/// assert_eq!(value.to_string(), r#"{"text":"It's so","n":[1,null]}"#);
/// assert_eq!(parse("'caf\\xe9'")?, Literal::Text("café".to_owned()));
/// assert_eq!(parse("{'a': b}").unwrap_err().to_string(), "python literal, byte 6: unknown name `b`");
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn parse(text: &str) -> Result<Literal, DataError> {
    parser::value(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &str) -> String {
        parse(text).unwrap().to_string()
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string().replace("python literal, ", "")
    }

    #[test]
    fn what_repr_writes_is_read() {
        // Written by Python 3.11: repr({...}) of strings that need either kind of quotes, both, and escapes.
        let text = r#"{'a': "it's", 'b': 'say "no"', 'c': 'it\'s "so"', 'd': 'tab\there\nback\\slash', 'e': '\x07\u200b\U000e0001é'}"#;
        let expected = serde_json::json!({
            "a": "it's", "b": "say \"no\"", "c": "it's \"so\"", "d": "tab\there\nback\\slash",
            "e": "\u{7}\u{200b}\u{e0001}é"
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json(text)).unwrap(), expected);
        assert_eq!(
            json("{'idx': 3, 'f': -1.5e-07, 'none': None, 'y': True, 'n': False}"),
            r#"{"idx":3,"f":-1.5e-07,"none":null,"y":true,"n":false}"#
        );
        assert_eq!(
            json("{'options': ['a', ['b', {}]], 7: (1, 2), 'one': (1,)}"),
            r#"{"options":["a",["b",{}]],"7":[1,2],"one":[1]}"#
        );
        assert_eq!(json(" ( 'x' ) "), r#""x""#);
        assert_eq!(json("123456789012345678901234567890"), "123456789012345678901234567890");
        assert_eq!(json("[-inf, nan, .5, 1_000, 1.]"), "[-inf,nan,.5,1000,1.]");
        assert_eq!(json("[]"), "[]");
        assert_eq!(json("()"), "[]");
    }

    #[test]
    fn errors_have_the_offset() {
        assert_eq!(message("{'a': 'b"), "byte 6: the string that begins here has no closing quote");
        assert_eq!(message("{'a' 1}"), "byte 5: expected `:`, found `1`");
        assert_eq!(message("{'a': 1 'b': 2}"), "byte 8: expected `,` or `}`, found `'`");
        assert_eq!(message("['é' 1]"), "byte 6: expected `,` or `]`, found `1`");
        assert_eq!(message("{'a': 1"), "byte 7: expected `,` or `}`, found the end");
        assert_eq!(message(""), "byte 0: expected a value, found the end");
        assert_eq!(message("{,}"), "byte 1: expected a value, found `,`");
        assert_eq!(message("{(1, 2): 3}"), "byte 1: expected a string, a number or a name as key, found `(`");
        assert_eq!(message("1 2"), "byte 2: expected the end, found `2`");
        assert_eq!(message("array([1])"), "byte 0: unknown name `array`");
        assert_eq!(message(r"'\q'"), r"byte 1: unknown escape `\q`");
        assert_eq!(message(r"'\x4'"), r"byte 1: `\x` without its 2 hexadecimal digits");
        assert_eq!(message(r"'\u00é'"), r"byte 1: `\u` without its 4 hexadecimal digits");
        assert_eq!(message(r"'\ud800'"), r"byte 1: `\u` with d800, which is no character");
        assert_eq!(message("[1-2]"), "byte 2: expected `,` or `]`, found `-`");
        assert_eq!(message("1e"), "byte 2: expected a digit, found the end");
        assert_eq!(message("12a"), "byte 2: expected the end of the number, found `a`");
        assert_eq!(message(&"[".repeat(100_000)), "byte 101: nested deeper than 100");
    }

    /// What `repr` writes, by the rules of CPython's `unicode_repr` for ASCII.
    fn repr(text: &str) -> String {
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        let body: String = text
            .chars()
            .map(|next| match next {
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\t' => "\\t".to_owned(),
                '\\' => "\\\\".to_owned(),
                next if next == quote => format!("\\{next}"),
                ' '..='~' => next.to_string(),
                next if (next as u32) < 0x100 => format!("\\x{:02x}", next as u32),
                next if (next as u32) < 0x10000 => format!("\\u{:04x}", next as u32),
                next => format!("\\U{:08x}", next as u32),
            })
            .collect();
        format!("{quote}{body}{quote}")
    }

    proptest! {
        #[test]
        fn strings_come_back(text: String) {
            prop_assert_eq!(parse(&repr(&text)).unwrap(), Literal::Text(text));
        }
    }
}
