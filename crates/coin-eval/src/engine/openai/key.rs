//! The access key of a server, which is never printed.

mod hiding;

use std::ffi::OsString;
use std::fmt;

use super::{OpenAiError, OptionField};

/// An access key. It is sent to the server and never shown: not in `Debug` output, not in errors, and not where an answer
/// repeats it, unless it is shorter than eight characters.
///
/// ```
/// use coin_eval::openai::ApiKey;
///
/// let key = ApiKey::new("sk-secret")?;
/// assert_eq!(format!("{key:?}"), "ApiKey(hidden)");
/// assert!(ApiKey::new("two words").is_err());
/// # Ok::<(), coin_eval::openai::OpenAiError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The environment variable that OpenAI's clients read.
    pub const VARIABLE: &'static str = "OPENAI_API_KEY";

    /// Creates a key from `text`, without surrounding white space.
    ///
    /// # Errors
    /// [`OpenAiError::Option`] if it is empty or contains a character that is not valid in a key.
    pub fn new(text: &str) -> Result<Self, OpenAiError> {
        let text = text.trim();
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        let reason = match text {
            "" => "it is empty",
            _ if !text.chars().all(plain) => "it contains characters that are not allowed in a key",
            _ => return Ok(ApiKey(text.to_owned())),
        };
        Err(OpenAiError::Option { option: OptionField::Key, reason: reason.to_owned() })
    }

    /// Reads the key from the environment variable `name`. Returns `None` if it is unset or empty.
    ///
    /// Use a separate variable for every provider, since the key is sent to whatever address the options name.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new), with the variable's name.
    pub fn from_env(name: &str) -> Result<Option<Self>, OpenAiError> {
        ApiKey::from_variable(name, std::env::var_os(name))
    }

    fn from_variable(name: &str, value: Option<OsString>) -> Result<Option<Self>, OpenAiError> {
        // Invalid UTF-8 becomes a replacement character, which is not valid in a key.
        let value = value.unwrap_or_default().to_string_lossy().into_owned();
        if value.trim().is_empty() {
            return Ok(None);
        }
        let reason = format!("the environment variable {name} contains characters that are not allowed in a key");
        ApiKey::new(&value).map(Some).map_err(|_| OpenAiError::Option { option: OptionField::Key, reason })
    }

    /// Returns the value of the `Authorization` header.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Returns `text` with the key hidden, in every form in which a server may repeat it. See [`hiding`].
    pub(super) fn hide_in(&self, text: &str) -> String {
        hiding::hide(&self.0, text)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_by_name() {
        assert_eq!(ApiKey::from_env("COIN_EVAL_A_VARIABLE_THAT_NOBODY_SETS").unwrap(), None);
        let from = |value: &str| ApiKey::from_variable("MY_KEY", Some(value.into()));
        assert_eq!(from(" sk-1\n").unwrap(), Some(ApiKey("sk-1".to_owned())));
        assert_eq!(from(" \n").unwrap(), None);
        let error = from("sk secret").unwrap_err().to_string();
        assert!(error.contains("MY_KEY") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_key_is_hidden_in_what_a_server_repeats() {
        let key = ApiKey::new(" sk-1.abc\n").unwrap();
        assert_eq!(key.hide_in("bad key sk-1.abc, none has sk-1.abc"), "bad key (hidden), none has (hidden)");
        assert_eq!(key.header(), "Bearer sk-1.abc");
    }
}
