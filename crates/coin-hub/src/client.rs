//! The three requests that the hub answers: the list of files, a file's hash and size, and its bytes.
//!
//! Redirections are followed by hand, because the hub tells a file's hash in the answer that redirects to its storage,
//! and because the token must not travel to that storage.

use std::collections::BTreeSet;
use std::io::Read;

use serde::Deserialize;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::cache::is_commit;
use crate::checksum::Checksum;
use crate::error::HubError;
use crate::files::is_plain;
use crate::options::HubOptions;
use crate::repo::{RepoId, RepoKind};

const MAX_REDIRECTS: usize = 8;
/// The list of files of the largest data sets takes some tens of megabytes.
const MAX_LISTING_BYTES: u64 = 1 << 28;

pub(crate) struct Client {
    agent: Agent,
    endpoint: String,
    origin: (String, String),
    token: Option<String>,
}

/// What the hub knows of a repository at a revision.
pub(crate) struct RepoInfo {
    pub(crate) commit: String,
    pub(crate) files: BTreeSet<String>,
}

/// What the hub announces of a file.
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
        let origin = origin(&endpoint).ok_or_else(|| HubError::Option {
            option: "endpoint",
            reason: format!("`{endpoint}` is no address that begins with https:// or http://"),
        })?;
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
                let reason = format!("{} holds no PEM certificate", path.display());
                return Err(HubError::Option { option: "certificates", reason });
            }
            config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(roots)).build());
        }
        Ok(Self { agent: config.build().into(), endpoint, origin, token: options.read_token()? })
    }

    /// The commit that the revision stands for, and the names of its files.
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

        let fault = |message: String| HubError::Protocol { url: url.clone(), message };
        let mut text = Vec::new();
        let mut body = response.into_body().into_with_config().limit(MAX_LISTING_BYTES).reader();
        body.read_to_end(&mut text)
            .map_err(|error| HubError::Connection { url: url.clone(), reason: error.to_string() })?;
        let reply: Reply =
            serde_json::from_slice(&text).map_err(|error| fault(format!("not the list of files: {error}")))?;
        if !is_commit(&reply.sha) {
            return Err(fault(format!("expected a commit of 40 hexadecimal digits, found {:?}", reply.sha)));
        }
        let files: BTreeSet<String> = reply.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        match files.iter().find(|file| !is_plain(file)) {
            Some(file) => Err(fault(format!("{file:?} is not the name of a file inside a repository"))),
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
            url: url.clone(),
            message: format!("expected a sha256 or a git hash as the file's etag, found {etag:?}"),
        })?;
        let size = match text(headers, "x-linked-size") {
            // The length of an answer that redirects is not the file's.
            None if response.status().is_redirection() => None,
            None => text(headers, "content-length"),
            linked => linked,
        };
        Ok(RemoteFile { checksum, size: size.and_then(|size| size.parse().ok()) })
    }

    /// The bytes of `file` from `start` on: status 206 where the server does so, 200 where it sends the whole file,
    /// 416 where it has no byte `start`.
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

    /// The address of the repository's page.
    fn page(&self, repo: &RepoId) -> String {
        let folder = if repo.kind() == RepoKind::Dataset { "datasets/" } else { "" };
        format!("{}/{folder}{}", self.endpoint, repo.name())
    }

    /// Sends a request and follows redirections; a `Head` stops at the one that leaves the endpoint. With the answer
    /// comes the address that gave it.
    fn send(&self, method: Method, url: &str, range: Option<&str>) -> Result<(Response<Body>, String), HubError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = match method {
                Method::Get => self.agent.get(&url),
                Method::Head => self.agent.head(&url),
            };
            if let Some(token) = self.token.as_ref().filter(|_| origin(&url).as_ref() == Some(&self.origin)) {
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
                let message = format!("it redirects to {:?}, which is no address", location.map(public));
                return Err(HubError::Protocol { url: public(&url), message });
            };
            if method == Method::Head && origin(&next).as_ref() != Some(&self.origin) {
                return Ok((response, url));
            }
            url = next;
        }
        Err(HubError::Protocol { url: public(&url), message: format!("more than {MAX_REDIRECTS} redirections") })
    }

    /// Turns a status that is no success into an error that says what can be done. What the storage refuses has nothing
    /// to do with the token: there it is just a status.
    fn check(&self, from: &str, response: &Response<Body>, repo: &RepoId, file: Option<&str>) -> Result<(), HubError> {
        let status = response.status().as_u16();
        match status {
            200..=299 => Ok(()),
            _ if origin(from).as_ref() != Some(&self.origin) => Err(HubError::Status { url: public(from), status }),
            401 | 403 => {
                let gated = text(response.headers(), "x-error-code") == Some("GatedRepo");
                let page = self.page(repo);
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
                endpoint: self.endpoint.clone(),
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

/// Scheme and authority, which tell whether two addresses are the same server.
fn origin(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
    Some((scheme.to_owned(), uri.authority()?.as_str().to_ascii_lowercase()))
}

/// The address that `location` means in an answer from `url`: a whole address, or a path on the same server.
fn join(url: &str, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        let (scheme, authority) = origin(url)?;
        return Some(format!("{scheme}://{authority}{location}"));
    }
    origin(location).map(|_| location.to_owned())
}

/// An address without its query, which on the servers of the storage is a signature.
fn public(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

/// Percent-encodes everything but letters, digits and `-._~`.
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
        assert_eq!(public("https://a/b?Signature=x"), "https://a/b");
        assert_ne!(origin("https://a/b"), origin("http://a/b"));
        assert_ne!(origin("https://a/b"), origin("https://a:8443/b"));
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_refused() {
        let options = HubOptions { endpoint: "huggingface.co".to_owned(), ..HubOptions::new("unused") };
        let message = Client::new(&options).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("endpoint") && message.contains("https://"), "{message}");
    }
}
