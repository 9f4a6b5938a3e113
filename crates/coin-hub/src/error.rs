//! The one error type of this crate. No message ever holds the token.

use std::path::PathBuf;

use coin_core::quote::{cut, printable};

/// What can go wrong between a repository's name and its files on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A name that is neither a folder nor a repository of the hub can have.
    #[error("`{}` is not the name of a repository: {reason}", cut(name))]
    Name {
        /// The name as given.
        name: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// An option of [`HubOptions`](crate::HubOptions) that cannot be used.
    #[error("hub option `{option}`: {reason}")]
    Option {
        /// The field of the options.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub asks for a token, or the token that was sent has no access (401, 403).
    #[error("the hub refused `{repo}` (status {status}): {advice}")]
    Refused {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// 401 or 403.
        status: u16,
        /// What to do about it.
        advice: String,
    },
    /// The hub does not know the repository, the revision or the file (404).
    #[error("the hub at {endpoint} has no {what} of {kind} `{name}` at revision `{revision}`")]
    NotFound {
        /// The hub that was asked.
        endpoint: String,
        /// What was asked for: the repository's information or one file.
        what: String,
        /// `model` or `data set`.
        kind: &'static str,
        /// The repository's name.
        name: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// Any other answer than success.
    #[error("{} answered with status {status}", cut(url))]
    Status {
        /// The address, without its query.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// The hub could not be reached, or did not answer in time.
    #[error("cannot reach {}: {} (what is in the cache can be used in offline mode)", cut(url), cut(reason))]
    Connection {
        /// The address, without its query.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// An answer that does not have the form that the hub's protocol asks for.
    #[error("{}: {}", cut(url), printable(message))]
    Protocol {
        /// The address, without its query.
        url: String,
        /// What was found and what was expected.
        message: String,
    },
    /// A transfer that ended before the file did. What arrived is kept aside, and the next attempt continues there.
    #[error(
        "the transfer of `{}` of `{repo}` broke off after {received} of {} bytes: {}",
        cut(file), size(*expected), cut(reason)
    )]
    Transfer {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The file.
        file: String,
        /// Bytes on disk.
        received: u64,
        /// The file's size in bytes, where the hub told it.
        expected: Option<u64>,
        /// What the connection said.
        reason: String,
    },
    /// A file that arrived whole and is not what the hub announced. It was removed.
    #[error("`{}` of `{repo}` arrived damaged: its {algorithm} should be {expected}, found {found}", cut(file))]
    Checksum {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The file.
        file: String,
        /// `sha256` or `git blob sha1`.
        algorithm: &'static str,
        /// The hash that the hub announced, in hexadecimal digits.
        expected: String,
        /// The hash of what arrived.
        found: String,
    },
    /// The repository holds nothing of the wanted kind.
    #[error("`{repo}` has no {}", looked_for.join(", no "))]
    NoFiles {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// What was looked for and is not there.
        looked_for: Vec<String>,
    },
    /// A weight index that cannot be read or names a file that the repository does not have.
    #[error("`{index}` of `{repo}`: {}", cut(message))]
    Index {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The index file's name.
        index: String,
        /// What is wrong with it.
        message: String,
    },
    /// Offline, and the cache does not hold everything that is wanted.
    #[error("offline, and the cache {cache} lacks of `{repo}`: {}", first(missing))]
    NotCached {
        /// The repository, with its revision where that is not `main`.
        repo: String,
        /// The cache folder that was looked in.
        cache: PathBuf,
        /// The files that are not there.
        missing: Vec<String>,
    },
    /// A file or folder of the cache could not be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HubError {
    /// An [`Io`](HubError::Io) error for `path`; for use with `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| HubError::Io { path, source }
    }

    /// Whether the same request may well succeed a moment later.
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
