//! The validated address of a server, and the URLs of its protocols.

use coin_core::address::{Address, public};
use coin_core::quote::cut;
use ureq::http::Uri;

use super::{Api, OpenAiError, OptionField};

/// An address without user, password, query or trailing slash.
#[derive(Debug)]
pub(super) struct Endpoint {
    base: String,
    address: Address,
}

impl Endpoint {
    /// # Errors
    /// [`OpenAiError::Option`]. The message does not repeat text that may be a secret.
    pub(super) fn parse(text: &str) -> Result<Self, OpenAiError> {
        let fault = |reason: String| OpenAiError::Option { option: OptionField::Endpoint, reason };
        if text.contains(['@', '?', '#']) {
            return Err(fault(
                "it must not contain a user, a password or a query; the key has a separate option".to_owned(),
            ));
        }
        let unusable = |reason: &str| fault(format!("`{}` cannot be used: {reason}", cut(&public(text))));
        let address = Address::parse(text).map_err(unusable)?;
        let path = match address.path().trim_end_matches('/') {
            "" => "/v1",
            path => path,
        };
        let base = format!("{}{path}", address.origin());
        // Rejects anything else that the HTTP library does not accept.
        base.parse::<Uri>().map_err(|error| unusable(&error.to_string()))?;
        Ok(Endpoint { base, address })
    }

    /// Returns the URL for requests of `api`.
    pub(super) fn url(&self, api: Api) -> String {
        match api {
            Api::Completions => format!("{}/completions", self.base),
            Api::Chat(_) => format!("{}/chat/completions", self.base),
        }
    }

    /// True if the connection cannot be read in transit.
    pub(super) fn is_private(&self) -> bool {
        self.address.is_private()
    }

    /// True if the server runs on this machine.
    pub(super) fn is_this_machine(&self) -> bool {
        self.address.is_loopback()
    }

    /// Returns the server's host name.
    pub(super) fn host(&self) -> &str {
        self.address.host()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::openai::Turns;

    #[test]
    fn addresses() {
        let url = |text: &str| Endpoint::parse(text).map(|endpoint| endpoint.url(Api::Completions));
        assert_eq!(url("http://Localhost:8000").unwrap(), "http://localhost:8000/v1/completions");
        assert_eq!(url("https://a.b/v1/").unwrap(), "https://a.b/v1/completions");
        assert_eq!(url("https://a.b/openai/V2").unwrap(), "https://a.b/openai/V2/completions");
        let chat = Endpoint::parse("https://a.b").unwrap().url(Api::Chat(Turns::One));
        assert_eq!(chat, "https://a.b/v1/chat/completions");
        let unusable =
            ["http://localhost:99999", "http://localhost:0", "http://localhost:", "http://[::1", "http://a:80:80/v1"];
        for text in ["a.b", "ftp://a.b", "", "http://", "/v1", "https://a b"].into_iter().chain(unusable) {
            assert!(url(text).unwrap_err().to_string().contains("`endpoint`"), "{text}");
        }
    }

    #[test]
    fn secrets_in_an_address_are_refused_and_not_repeated() {
        for text in ["https://user:secret@a.b/v1", "https://a.b/v1?key=secret", "https://secret@a.b"] {
            let message = Endpoint::parse(text).unwrap_err().to_string();
            assert!(message.contains("`endpoint`") && !message.contains("secret"), "{message}");
        }
    }
}
