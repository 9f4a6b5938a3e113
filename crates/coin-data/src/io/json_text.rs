//! Conversion of a JSON value to text.

use serde_json::Value;

/// Returns a string without its quotes, and any other value as JSON.
pub(crate) fn json_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
