//! Parses JSON and rejects objects with duplicate keys.
//!
//! If a key is repeated, `serde_json` silently keeps the last value. In a file that people edit, a second `"cola"` is a mistake,
//! and the instructions under the first would be missing from an evaluation.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Parses a value from the text `json`.
///
/// # Errors
/// Same as [`serde_json::from_str`], and if an object at any depth has a duplicate key; the message names the key, line and
/// column.
///
/// ```
/// let sets = coin_core::json::from_str::<serde_json::Value>(r#"{"clean": {"cola": ["a"], "cola": ["b"]}}"#);
/// assert_eq!(sets.unwrap_err().to_string(), "duplicate key `cola` in an object at line 1 column 32");
/// assert_eq!(coin_core::json::from_str::<Vec<u8>>("[1, 2]")?, [1, 2]);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn from_str<T: DeserializeOwned>(json: &str) -> serde_json::Result<T> {
    serde_json::from_str::<Unique>(json)?;
    serde_json::from_str(json)
}

/// As [`from_str`], from bytes.
///
/// # Errors
/// Same as [`from_str`], and if the bytes are not UTF-8.
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<Unique>(json)?;
    serde_json::from_slice(json)
}

/// Returns the message of `error` on one line. The input that it quotes is [cut](crate::quote::cut), since a value of the wrong type
/// may be megabytes of text.
///
/// ```
/// let text = format!("[{:?}]", "ab".repeat(5_000));
/// let error = coin_core::json::from_str::<Vec<u8>>(&text).unwrap_err();
/// let message = coin_core::json::message(&error);
/// assert!(message.starts_with("invalid type: string \"abab") && message.ends_with(" at line 1 column 10003"));
/// assert!(message.len() < 300);
/// ```
pub fn message(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match whole.strip_suffix(&place) {
        Some(fault) => format!("{}{place}", crate::quote::cut(fault)),
        None => crate::quote::cut(&whole).into_owned(),
    }
}

/// Any JSON value without duplicate keys.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("duplicate key `{}` in an object", crate::quote::cut(&key))));
            }
            entries.next_value::<Unique>()?;
            seen.insert(key);
        }
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_rejected_at_any_depth() {
        let refused = |json: &str| from_str::<serde_json::Value>(json).unwrap_err().to_string();
        assert!(refused(r#"{"a": 1, "a": 1}"#).starts_with("duplicate key `a`"));
        assert!(refused(r#"[{"b": {"c": 1, "\u0063": 2}}]"#).starts_with("duplicate key `c`"));
        let whole = r#"{"a": {"x": 1}, "b": {"x": [1.5, -2, null, true, "s"]}}"#;
        assert_eq!(
            from_str::<serde_json::Value>(whole).unwrap(),
            serde_json::from_str::<serde_json::Value>(whole).unwrap()
        );
        assert!(from_slice::<serde_json::Value>(b"{\"a\": \xff}").unwrap_err().is_syntax());
    }

    #[test]
    fn other_errors_match_serde_json() {
        for json in ["", "{", "[1,]", "{\"a\" 1}", "nul"] {
            let ours = from_str::<serde_json::Value>(json).unwrap_err().to_string();
            assert_eq!(ours, serde_json::from_str::<serde_json::Value>(json).unwrap_err().to_string());
        }
    }
}
