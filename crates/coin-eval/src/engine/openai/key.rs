//! The key to a server: a text that is never printed.

mod hiding;

use std::ffi::OsString;
use std::fmt;

use super::OpenAiError;

/// An access key. It is sent to the server and shown nowhere: not in `Debug`, not in an error, and not where an answer repeats
/// it, unless it is shorter than eight characters.
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
    /// The variable that OpenAI's own clients read.
    pub const VARIABLE: &'static str = "OPENAI_API_KEY";

    /// The key `text`, without white space around it.
    ///
    /// # Errors
    /// [`OpenAiError::Option`] if it is empty or has a character that no key has.
    pub fn new(text: &str) -> Result<Self, OpenAiError> {
        let text = text.trim();
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        let reason = match text {
            "" => "it is empty",
            _ if !text.chars().all(plain) => "it has characters that no key has",
            _ => return Ok(ApiKey(text.to_owned())),
        };
        Err(OpenAiError::Option { option: "key", reason: reason.to_owned() })
    }

    /// The key in the environment variable `name`; `None` where it is unset or empty.
    ///
    /// Name a variable of its own for every provider: a key goes to whatever address the options name.
    ///
    /// # Errors
    /// As [`new`](Self::new), with the variable's name.
    pub fn from_env(name: &str) -> Result<Option<Self>, OpenAiError> {
        ApiKey::from_variable(name, std::env::var_os(name))
    }

    fn from_variable(name: &str, value: Option<OsString>) -> Result<Option<Self>, OpenAiError> {
        // What is no UTF-8 becomes a replacement character, which no key has.
        let value = value.unwrap_or_default().to_string_lossy().into_owned();
        if value.trim().is_empty() {
            return Ok(None);
        }
        let reason = format!("the variable {name} has characters that no key has");
        ApiKey::new(&value).map(Some).map_err(|_| OpenAiError::Option { option: "key", reason })
    }

    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// `text` without the key in it, in whatever form a server repeats what it was sent; see [`hiding`].
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
