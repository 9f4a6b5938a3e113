//! The error type of this crate. Messages never contain the token.

use std::path::PathBuf;

use coin_core::quote::{cut, printable};

/// An error on the way from a repository's name to its files on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A name that neither a folder nor a repository of the hub can have.
    #[error("`{}` is not the name of a repository: {reason}", cut(name))]
    Name {
        /// The name as given.
        name: String,
        /// The rule that it violates.
        reason: String,
    },
    /// An option of [`HubOptions`](crate::HubOptions) that cannot be used.
    #[error("hub option `{option}`: {reason}")]
    Option {
        /// The field of the options.
        option: &'static str,
        /// The fault.
        reason: String,
    },
    /// The hub requires a token, or the token does not have access (401, 403).
    #[error("the hub refused `{repo}` (status {status}): {advice}")]
    Refused {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// Advice to the user.
        advice: String,
    },
    /// The hub does not know the repository, the revision or the file (404).
    #[error("the hub at {endpoint} has no {what} of {kind} `{name}` at revision `{revision}`")]
    NotFound {
        /// The hub that was asked.
        endpoint: String,
        /// The requested object: the repository's information or one file.
        what: String,
        /// `model` or `data set`.
        kind: &'static str,
        /// The repository's name.
        name: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// Any other status than success.
    #[error("{} answered with status {status}", cut(url))]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// The hub could not be reached, or did not answer in time.
    #[error("cannot reach {}: {} (cached files can be used in offline mode)", cut(url), cut(reason))]
    Connection {
        /// The address, without its query.
        url: String,
        /// The error of the connection.
        reason: String,
    },
    /// An answer that does not follow the hub's protocol.
    #[error("{}: {}", cut(url), printable(message))]
    Protocol {
        /// The address, without its query.
        url: String,
        /// The content found and the content expected.
        message: String,
    },
    /// A transfer that ended before the end of the file. The bytes that arrived are kept, and the next attempt continues there.
    #[error(
        "the transfer of `{}` of `{repo}` was interrupted after {received} of {} bytes: {}",
        cut(file), size(*expected), cut(reason)
    )]
    Transfer {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The file.
        file: String,
        /// Bytes on disk.
        received: u64,
        /// The file's size in bytes, if the hub reported it.
        expected: Option<u64>,
        /// The error of the connection.
        reason: String,
    },
    /// A complete file whose hash differs from the announced one. It was removed.
    #[error("the download of `{}` of `{repo}` is damaged: expected {algorithm} {expected}, found {found}", cut(file))]
    Checksum {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The file.
        file: String,
        /// `sha256` or `git blob sha1`.
        algorithm: &'static str,
        /// The hash that the hub announced, in hexadecimal digits.
        expected: String,
        /// The hash of the file that arrived.
        found: String,
    },
    /// The repository does not contain the wanted files.
    #[error("`{repo}` has no {}", looked_for.join(", no "))]
    NoFiles {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The files that were looked for.
        looked_for: Vec<String>,
    },
    /// A weight index that cannot be read or names a file that the repository does not have.
    #[error("`{index}` of `{repo}`: {}", cut(message))]
    Index {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The index file's name.
        index: String,
        /// The fault.
        message: String,
    },
    /// Offline, and the cache does not contain all wanted files.
    #[error("offline, and the cache {cache} does not contain these files of `{repo}`: {}", first(missing))]
    NotCached {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The cache folder.
        cache: PathBuf,
        /// The missing files.
        missing: Vec<String>,
    },
    /// A file or folder of the cache could not be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl HubError {
    /// An [`Io`](HubError::Io) error for `path`; for use with `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| HubError::Io { path, source }
    }

    /// True if the same request may succeed a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            HubError::Connection { .. } | HubError::Transfer { .. } => true,
            HubError::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

/// The first of many names.
fn first(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| cut(name)).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

fn size(expected: Option<u64>) -> String {
    expected.map_or_else(|| "an unknown number of".to_owned(), |bytes| bytes.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_input_is_cut_in_messages() {
        let long = "x".repeat(1_000_000);
        let cache = PathBuf::from("/c");
        let errors = [
            HubError::Name { name: long.clone(), reason: "it is longer than 96 characters".to_owned() },
            HubError::Status { url: long.clone(), status: 500 },
            HubError::Connection { url: long.clone(), reason: long.clone() },
            HubError::Index { repo: "a/b".to_owned(), index: "i".to_owned(), message: long.clone() },
            HubError::NotCached { repo: "a/b".to_owned(), cache, missing: vec![long.clone(); 1000] },
        ];
        for error in errors {
            let message = error.to_string();
            assert!(message.len() < 2500 && message.contains("(1000000 characters)"), "{}", message.len());
        }
    }
}
