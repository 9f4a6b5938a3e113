//! The hash by which the hub and its cache name a file's content.
//!
//! The entity tag of a large file is its SHA-256. That of a small file is its git hash: the SHA-1 of `blob `, the length in decimal
//! digits, a zero byte, and the content.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::HubError;

/// The hash of a file's content, from an entity tag of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checksum {
    Sha256(String),
    GitSha1(String),
}

impl Checksum {
    /// Reads an entity tag, quoted or not, weak or not. `None` if it is not a hash of a known length.
    pub(crate) fn parse(etag: &str) -> Option<Self> {
        let etag = etag.trim();
        let hex = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_ascii_lowercase();
        match hex.len() {
            _ if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
            64 => Some(Checksum::Sha256(hex)),
            40 => Some(Checksum::GitSha1(hex)),
            _ => None,
        }
    }

    /// The hexadecimal digits, which are also the blob's name in the cache.
    pub(crate) fn hex(&self) -> &str {
        match self {
            Checksum::Sha256(hex) | Checksum::GitSha1(hex) => hex,
        }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Checksum::Sha256(_) => "sha256",
            Checksum::GitSha1(_) => "git blob sha1",
        }
    }

    /// Computes the hash of the file at `path` with the algorithm of `self`, in hexadecimal digits.
    pub(crate) fn of_file(&self, path: &Path) -> Result<String, HubError> {
        let hash = || {
            let file = File::open(path)?;
            match self {
                Checksum::Sha256(_) => digest(Sha256::new(), file),
                Checksum::GitSha1(_) => {
                    let mut hasher = Sha1::new();
                    hasher.update(format!("blob {}\0", file.metadata()?.len()));
                    digest(hasher, file)
                }
            }
        };
        hash().map_err(HubError::io(path))
    }
}

fn digest(mut hasher: impl Digest, mut file: File) -> std::io::Result<String> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_tells_the_algorithm() {
        assert!(matches!(Checksum::parse(&"A".repeat(64)), Some(Checksum::Sha256(hex)) if hex == "a".repeat(64)));
        assert!(matches!(Checksum::parse(&format!("W/\"{}\"", "0".repeat(40))), Some(Checksum::GitSha1(_))));
        assert_eq!(Checksum::parse("\"../../x\""), None);
        assert_eq!(Checksum::parse(&"0".repeat(63)), None);
        assert_eq!(Checksum::parse(&"g".repeat(40)), None);
    }

    #[test]
    fn hashes_are_those_of_sha256sum_and_git() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        // `sha256sum` and `git hash-object` of the six bytes.
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(Checksum::parse(sha256).unwrap().of_file(&path).unwrap(), sha256);
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(Checksum::parse(git).unwrap().of_file(&path).unwrap(), git);
    }
}
