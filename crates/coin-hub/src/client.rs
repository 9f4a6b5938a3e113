//! The three requests to the hub: the list of files, a file's hash and size, and its bytes.
//!
//! This module follows redirections itself, because the hub reports a file's hash in the answer that redirects to its storage, and
//! because the token must not be sent to that storage.

use std::collections::BTreeSet;
use std::io::Read;

use coin_core::address::{Address, public};
use coin_core::quote::cut;
use serde::Deserialize;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::cache::is_commit;
use crate::checksum::Checksum;
use crate::error::HubError;
use crate::files::is_plain;
use crate::options::HubOptions;
use crate::repo::{RepoId, RepoKind};

const MAX_REDIRECTS: usize = 8;
/// The list of files of the largest data sets has some tens of megabytes.
const MAX_LISTING_BYTES: u64 = 1 << 28;

pub(crate) struct Client {
    agent: Agent,
    /// Includes user and password if they were given.
    endpoint: String,
    origin: String,
    token: Option<String>,
}

/// The hub's information about a repository at a revision.
pub(crate) struct RepoInfo {
    pub(crate) commit: String,
    pub(crate) files: BTreeSet<String>,
}

/// The hub's announcement of a file.
pub(crate) struct RemoteFile {
    pub(crate) checksum: Checksum,
    pub(crate) size: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Get,
    Head,
}

impl Client {
    pub(crate) fn new(options: &HubOptions) -> Result<Self, HubError> {
        let endpoint = options.endpoint.trim_end_matches('/').to_owned();
        let unusable = |reason: String| HubError::Option { option: "endpoint", reason };
        let address = Address::parse(&endpoint)
            .map_err(|fault| unusable(format!("`{}` cannot be used: {fault}", cut(&public(&endpoint)))))?;
        if address.has_query() {
            return Err(unusable(format!("`{address}` is followed by a query or fragment")));
        }
        let token = options.read_token()?;
        // Everyone in between can read plain HTTP.
        if !address.is_private() {
            let host = address.host();
            if token.is_some() {
                let reason = format!(
                    "it would be sent unencrypted to {host}; use an endpoint (HF_ENDPOINT) that begins with https://, or send \
                     no token (unset HF_TOKEN, set HF_HUB_DISABLE_IMPLICIT_TOKEN=1)"
                );
                return Err(HubError::Option { option: "token", reason });
            }
            if address.user().is_some() {
                let reason = format!("its user and password would be sent unencrypted to {host}; use https://");
                return Err(unusable(reason));
            }
        }
        let mut config = Agent::config_builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // Sizes and ranges count the bytes of the file, not of a compressed form.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(options.timeout))
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout));
        if !options.proxy_from_env {
            config = config.proxy(None);
        }
        if let Some(path) = &options.certificates {
            let pem = std::fs::read(path).map_err(HubError::io(path))?;
            let roots: Vec<_> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if roots.is_empty() {
                let reason = format!("{} does not contain a PEM certificate", path.display());
                return Err(HubError::Option { option: "certificates", reason });
            }
            config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(roots)).build());
        }
        Ok(Self { agent: config.build().into(), endpoint, origin: address.origin(), token })
    }

    /// The commit of the revision, and the names of its files.
    pub(crate) fn info(&self, repo: &RepoId) -> Result<RepoInfo, HubError> {
        #[derive(Deserialize)]
        struct Reply {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }

        let (kind, name, revision) = (repo.kind().plural(), repo.name(), encode(repo.revision()));
        let url = format!("{}/api/{kind}/{name}/revision/{revision}", self.endpoint);
        let (response, from) = self.send(Method::Get, &url, None)?;
        self.check(&from, &response, repo, None)?;

        let fault = |message: String| HubError::Protocol { url: public(&url), message };
        let mut text = Vec::new();
        let mut body = response.into_body().into_with_config().limit(MAX_LISTING_BYTES).reader();
        body.read_to_end(&mut text)
            .map_err(|error| HubError::Connection { url: public(&url), reason: error.to_string() })?;
        let reply: Reply = coin_core::json::from_slice(&text)
            .map_err(|error| fault(format!("not the list of files: {}", cut(&error.to_string()))))?;
        if !is_commit(&reply.sha) {
            return Err(fault(format!("expected a commit of 40 hexadecimal digits, found `{}`", cut(&reply.sha))));
        }
        let files: BTreeSet<String> = reply.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        // Names appear in messages and on terminals.
        match files.iter().find(|file| !is_plain(file) || file.contains(char::is_control)) {
            Some(file) => Err(fault(format!("`{}` is not the name of a file inside a repository", cut(file)))),
            None => Ok(RepoInfo { commit: reply.sha, files }),
        }
    }

    /// The hash and size of `file`.
    pub(crate) fn head(&self, repo: &RepoId, commit: &str, file: &str) -> Result<RemoteFile, HubError> {
        let url = self.file_url(repo, commit, file);
        let (response, from) = self.send(Method::Head, &url, None)?;
        if !response.status().is_redirection() {
            self.check(&from, &response, repo, Some(file))?;
        }
        let headers = response.headers();
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let checksum = etag.and_then(Checksum::parse).ok_or_else(|| HubError::Protocol {
            url: public(&url),
            message: match etag {
                Some(etag) => format!("expected a sha256 or a git hash as the file's etag, found `{}`", cut(etag)),
                None => "expected a sha256 or a git hash as the file's etag, found none".to_owned(),
            },
        })?;
        let size = match text(headers, "x-linked-size") {
            // The length of an answer that redirects is not the file's.
            None if response.status().is_redirection() => None,
            None => text(headers, "content-length"),
            linked => linked,
        };
        Ok(RemoteFile { checksum, size: size.and_then(|size| size.parse().ok()) })
    }

    /// The bytes of `file` from `start`. The status is 206 for these bytes, 200 for the whole file, and 416 if the file ends before
    /// byte `start`.
    pub(crate) fn get(&self, repo: &RepoId, commit: &str, file: &str, start: u64) -> Result<Response<Body>, HubError> {
        let url = self.file_url(repo, commit, file);
        let range = (start > 0).then(|| format!("bytes={start}-"));
        let (response, from) = self.send(Method::Get, &url, range.as_deref())?;
        if response.status().as_u16() != 416 || start == 0 {
            self.check(&from, &response, repo, Some(file))?;
        }
        Ok(response)
    }

    fn file_url(&self, repo: &RepoId, commit: &str, file: &str) -> String {
        let file: Vec<String> = file.split('/').map(encode).collect();
        format!("{}/resolve/{commit}/{}", self.page(repo), file.join("/"))
    }

    /// The address of the hub, for messages.
    pub(crate) fn public_endpoint(&self) -> String {
        public(&self.endpoint)
    }

    /// The address of the repository's page.
    fn page(&self, repo: &RepoId) -> String {
        let folder = if repo.kind() == RepoKind::Dataset { "datasets/" } else { "" };
        format!("{}/{folder}{}", self.endpoint, repo.name())
    }

    /// True if `url` is on the server of the endpoint.
    fn is_here(&self, url: &str) -> bool {
        Address::parse(url).is_ok_and(|address| address.origin() == self.origin)
    }

    /// Sends a request and follows redirections; a `Head` stops at the redirection that leaves the endpoint. Returns the answer and its
    /// address.
    fn send(&self, method: Method, url: &str, range: Option<&str>) -> Result<(Response<Body>, String), HubError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = match method {
                Method::Get => self.agent.get(&url),
                Method::Head => self.agent.head(&url),
            };
            if let Some(token) = self.token.as_ref().filter(|_| self.is_here(&url)) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            let response = request
                .call()
                .map_err(|error| HubError::Connection { url: public(&url), reason: error.to_string() })?;
            let location = match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => text(response.headers(), "location"),
                _ => return Ok((response, url)),
            };
            let Some(next) = location.and_then(|location| join(&url, location)) else {
                let location = public(location.unwrap_or_default());
                let message = format!("it redirects to `{}`, which is not an address", cut(&location));
                return Err(HubError::Protocol { url: public(&url), message });
            };
            if method == Method::Head && !self.is_here(&next) {
                return Ok((response, url));
            }
            url = next;
        }
        Err(HubError::Protocol { url: public(&url), message: format!("more than {MAX_REDIRECTS} redirections") })
    }

    /// Turns a failure status into an error with advice. The storage does not receive the token, so its refusals are reported as plain
    /// statuses.
    fn check(&self, from: &str, response: &Response<Body>, repo: &RepoId, file: Option<&str>) -> Result<(), HubError> {
        let status = response.status().as_u16();
        match status {
            200..=299 => Ok(()),
            _ if !self.is_here(from) => Err(HubError::Status { url: public(from), status }),
            401 | 403 => {
                let gated = text(response.headers(), "x-error-code") == Some("GatedRepo");
                let page = public(&self.page(repo));
                let advice = match (&self.token, gated) {
                    (None, true) => format!("its owner restricts access: accept the terms at {page}, then {GIVE}"),
                    (None, false) => format!("it does not exist or needs a token with access: {GIVE}"),
                    (Some(_), true) => format!("the token's account has no access yet: ask for it at {page}"),
                    (Some(_), false) => {
                        "it does not exist, or the token is not valid or has no access to it".to_owned()
                    }
                };
                Err(HubError::Refused { repo: repo.to_string(), status, advice })
            }
            404 => Err(HubError::NotFound {
                endpoint: self.public_endpoint(),
                what: file.map_or_else(|| "list of files".to_owned(), |file| format!("file `{file}`")),
                kind: repo.kind().word(),
                name: repo.name().to_owned(),
                revision: repo.revision().to_owned(),
            }),
            _ => Err(HubError::Status { url: public(from), status }),
        }
    }
}

const GIVE: &str = "set HF_TOKEN to a token, or log in with `hf auth login`";

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Resolves `location` in an answer from `url`: a complete address, or a path on the same server.
fn join(url: &str, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        // User and password are kept for the same server only.
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return Some(format!("{scheme}://{authority}{location}"));
    }
    Address::parse(location).is_ok().then(|| location.to_owned())
}

/// Percent-encodes all characters except letters, digits and `-._~`.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(encode("refs/pr/1 ü"), "refs%2Fpr%2F1%20%C3%BC");
        assert_eq!(join("https://a.b:1/x/y?z", "/c?d").as_deref(), Some("https://a.b:1/c?d"));
        assert_eq!(join("https://a.b/x", "http://c.d/e").as_deref(), Some("http://c.d/e"));
        assert_eq!(join("https://a.b/x", "//c.d/e"), None);
        assert_eq!(join("https://a.b/x", "file:///etc/passwd"), None);
        assert_eq!(join("https://u:p@a.b/x", "/c").as_deref(), Some("https://u:p@a.b/c"));
        assert_eq!(join("https://a.b/x", "https://a.b:99999/c"), None);
        let client = Client::new(&HubOptions::new("unused")).unwrap();
        assert!(client.is_here("https://huggingface.co/x") && client.is_here("https://u@HuggingFace.co"));
        assert!(!client.is_here("http://huggingface.co/x") && !client.is_here("https://huggingface.co:8443/x"));
    }

    fn refused(endpoint: &str, token: Option<&str>) -> String {
        let (endpoint, token) = (endpoint.to_owned(), token.map(str::to_owned));
        let options = HubOptions { endpoint, token, ..HubOptions::new("unused") };
        assert!(!format!("{options:?}").contains("secret"), "{options:?}");
        Client::new(&options).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn secrets_travel_encrypted_or_not_at_all() {
        let token = Some("hf_secret");
        let message = refused("http://mirror.example", token);
        assert!(message.contains("`token`") && message.contains("mirror.example") && message.contains("HF_ENDPOINT"));
        assert!(!message.contains("secret"), "{message}");
        let message = refused("http://me:secret@mirror.example", None);
        assert!(message.contains("`endpoint`") && !message.contains("secret"), "{message}");
        for (endpoint, token) in [
            ("https://mirror.example", token),
            ("https://me:secret@mirror.example", None),
            ("http://mirror.example", None),
            ("http://localhost:9", token),
            ("http://[::1]:9", token),
            ("http://me:secret@127.0.0.1", None),
        ] {
            assert_eq!(refused(endpoint, token), "", "{endpoint}");
        }
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_refused_without_its_password() {
        for endpoint in
            ["http://localhost:99999", "https://me:secret@a.b:x", "me:secret@a.b", "https://a.b?key=secret", ""]
        {
            let message = refused(endpoint, None);
            assert!(message.contains("`endpoint`") && !message.contains("secret"), "{endpoint}: {message}");
        }
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_refused() {
        let options = HubOptions { endpoint: "huggingface.co".to_owned(), ..HubOptions::new("unused") };
        let message = Client::new(&options).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("endpoint") && message.contains("https://"), "{message}");
    }
}
