//! A value of JSON as a text of its own.

use serde_json::Value;

/// A string without its quotes, anything else as its JSON text.
pub(crate) fn json_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
