//! Addresses of servers: checked before anything is sent, and shown without their secrets.
//!
//! HTTP libraries are lenient: some replace a port above 65,535 by the default port, and the request goes to the wrong server.

use std::net::{IpAddr, Ipv6Addr};

/// An address that begins with `http://` or `https://`.
///
/// ```
/// use coin_core::address::Address;
/// let address = Address::parse("https://me:secret@Models.example:8443/v1?key=1")?;
/// assert_eq!((address.host(), address.port(), address.path()), ("models.example", Some(8443), "/v1"));
/// assert_eq!(address.to_string(), "https://models.example:8443/v1");
/// assert!(Address::parse("http://localhost:99999").is_err());
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    is_https: bool,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    path: String,
    has_query: bool,
}

impl Address {
    /// Reads `text`.
    ///
    /// # Errors
    /// The fault, as a clause. The clause does not repeat `text`, which may contain a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let lower = text.get(..8.min(text.len())).unwrap_or_default().to_ascii_lowercase();
        let (is_https, rest) = match () {
            () if lower.starts_with("https://") => (true, &text[8..]),
            () if lower.starts_with("http://") => (false, &text[7..]),
            () => return Err("it does not begin with https:// or http://"),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it has a space or a character that is not ASCII");
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (path, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, authority),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(place) => {
                let (host, port) = place.split_once(']').ok_or("its IPv6 address has no closing bracket")?;
                host.parse::<Ipv6Addr>().map_err(|_| "the text in brackets is not an IPv6 address")?;
                match port.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if port.is_empty() => (host, None),
                    None => return Err("something other than a port follows its host"),
                }
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() {
            return Err("it names no host");
        }
        if !place.starts_with('[') && !host.chars().all(is_name) {
            return Err("its host has a character other than letters, digits, `-`, `.` and `_`");
        }
        let number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())?;
        let port = match port {
            None => None,
            Some(port) => match number(port).filter(|port: &u16| *port > 0) {
                Some(port) => Some(port),
                None => return Err("its port is not a number from 1 to 65535"),
            },
        };
        let host = host.to_ascii_lowercase();
        Ok(Address { is_https, user, host, port, path: path.to_owned(), has_query: !query.is_empty() })
    }

    /// True if it begins with `https://`.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// True if it names this machine: `localhost`, 127.0.0.0/8 or `::1`.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// True if nobody in between can read what is sent there.
    pub fn is_private(&self) -> bool {
        self.is_https || self.is_loopback()
    }

    /// User and password, exactly as written.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host in lower case, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if the address names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path, which is empty or begins with a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// True if a query or fragment follows the path.
    pub fn has_query(&self) -> bool {
        self.has_query
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

/// Without user, password, query and fragment.
impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}{}", self.origin(), self.path)
    }
}

/// As `Display`.
impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Address({self})")
    }
}

/// Returns `text` without user, password, query and fragment. `text` need not be a valid address.
///
/// ```
/// use coin_core::address::public;
/// assert_eq!(public("https://me:secret@a.b/c?signature=1"), "https://a.b/c");
/// assert_eq!(public("me:se/cret@a.b"), "a.b");
/// ```
pub fn public(text: &str) -> String {
    let text = &text[..text.find(['?', '#']).unwrap_or(text.len())];
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    // A password that should have been encoded may hold a slash.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address() {
        let read = |text: &str| Address::parse(text).unwrap();
        assert_eq!(read("HTTP://LocalHost:8000").to_string(), "http://localhost:8000");
        assert_eq!(read("http://[::1]:80/v1/").to_string(), "http://[::1]:80/v1/");
        assert_eq!((read("http://[::1]").host(), read("http://[::1]").port()), ("::1", None));
        assert_eq!(read("https://a:b@c@d.e").user(), Some("a:b@c"));
        assert!(read("http://a.b?x").has_query() && read("http://a.b/#x").has_query());
        for text in ["http://localhost", "http://127.0.0.9:1", "http://[::1]/x"] {
            assert!(read(text).is_loopback() && read(text).is_private(), "{text}");
        }
        for text in ["http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://10.0.0.7"] {
            assert!(!read(text).is_private(), "{text}");
        }
        assert!(read("https://10.0.0.7").is_private());
    }

    #[test]
    fn malformed_addresses_are_rejected() {
        for text in [
            "",
            "a.b",
            "ftp://a.b",
            "/v1",
            "http://",
            "http:///v1",
            "https://a b",
            "http://a\u{e9}.b",
            "http://a%41.b",
            "http://localhost:99999",
            "http://localhost:65536",
            "http://a:0",
            "http://a:",
            "http://a:-1",
            "http://a:+80",
            "http://a:80:80",
            "http://a:x",
            "http://[::1",
            "http://[::1]80",
            "http://[1.2]",
            "http://user@:80",
            "http://::1",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "https://me:secret@a.b:1/v1?key=secret";
        let address = Address::parse(text).unwrap();
        for shown in [address.to_string(), format!("{address:?}"), public(text), public("me:secret@a.b:x/v1#secret")] {
            assert!(!shown.contains("secret") && shown.contains("a.b"), "{shown}");
        }
    }
}
