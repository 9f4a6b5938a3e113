//! One repository's folder in the cache, in the layout of `huggingface_hub`.
//!
//! ```text
//! models--org--name/
//!   refs/main                      the commit that the branch was at, as text
//!   snapshots/<commit>/<file>      a link to ../../blobs/<hash>
//!   blobs/<hash>                   content, named by its hash
//!   blobs/<hash>.incomplete        the bytes of an interrupted transfer
//!   .listing/<commit>              not in huggingface_hub: the names of all files of the commit, one per line
//! .locks/models--org--name/<hash>.lock
//! ```
//!
//! With the listing, a later offline call can distinguish a complete data set from a partial one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::checksum::Checksum;
use crate::error::HubError;
use crate::files::is_plain;
use crate::repo::RepoId;

pub(crate) struct RepoCache<'a> {
    cache: &'a Path,
    repo: &'a RepoId,
    folder: String,
}

impl<'a> RepoCache<'a> {
    pub(crate) fn new(cache: &'a Path, repo: &'a RepoId) -> Self {
        Self { cache, repo, folder: format!("{}--{}", repo.kind().plural(), repo.name().replace('/', "--")) }
    }

    /// The commit of the revision, if the cache knows it.
    pub(crate) fn commit(&self) -> Option<String> {
        let revision = self.repo.revision();
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.reference()).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Stores `commit` as the commit of the revision. A revision that is a commit is not stored.
    pub(crate) fn set_commit(&self, commit: &str) -> Result<(), HubError> {
        if self.repo.revision() == commit || self.commit().as_deref() == Some(commit) {
            return Ok(());
        }
        replace(&self.reference(), commit)
    }

    /// The folder of a commit's files.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root().join("snapshots").join(commit)
    }

    /// The path of the content with the hash `checksum`.
    pub(crate) fn blob(&self, checksum: &Checksum) -> PathBuf {
        self.root().join("blobs").join(checksum.hex())
    }

    /// The path of that content during the transfer.
    pub(crate) fn incomplete(&self, checksum: &Checksum) -> PathBuf {
        self.root().join("blobs").join(format!("{}.incomplete", checksum.hex()))
    }

    /// Waits until no other process, including `huggingface_hub` in Python, transfers this content, and locks it until the result is
    /// dropped. `None` on a file system without locks.
    pub(crate) fn lock(&self, checksum: &Checksum) -> Result<Option<File>, HubError> {
        let path = self.cache.join(".locks").join(&self.folder).join(format!("{}.lock", checksum.hex()));
        create_parent(&path)?;
        let file = File::options().create(true).append(true).open(&path).map_err(HubError::io(&path))?;
        match file.lock() {
            Ok(()) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(None),
            Err(source) => Err(HubError::Io { path, source }),
        }
    }

    /// Links `file` of `commit` to its content.
    pub(crate) fn link(&self, commit: &str, file: &str, checksum: &Checksum) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(file);
        create_parent(&pointer)?;
        if pointer.is_symlink() {
            // The link points to content that was removed.
            fs::remove_file(&pointer).map_err(HubError::io(&pointer))?;
        }
        let depth = file.split('/').count() + 1;
        let target: PathBuf = std::iter::repeat_n("..", depth).chain(["blobs", checksum.hex()]).collect();
        // Without support for links the file itself is moved, as in `huggingface_hub`.
        symlink(&target, &pointer)
            .or_else(|_| fs::rename(self.blob(checksum), &pointer))
            .map_err(HubError::io(&pointer))
    }

    /// The names of all files of `commit`, if an earlier call stored them.
    pub(crate) fn listing(&self, commit: &str) -> Option<BTreeSet<String>> {
        let text = fs::read_to_string(self.listing_path(commit)).ok()?;
        Some(text.lines().filter(|name| is_plain(name)).map(str::to_owned).collect())
    }

    /// Stores the names of all files of `commit`.
    pub(crate) fn set_listing(&self, commit: &str, listing: &BTreeSet<String>) -> Result<(), HubError> {
        let text: String = listing.iter().flat_map(|name| [name, "\n"]).collect();
        replace(&self.listing_path(commit), &text)
    }

    /// The names of the existing files of `commit`, for snapshots of other programs.
    pub(crate) fn present(&self, commit: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut folders = vec![(self.snapshot(commit), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                match entry.path() {
                    path if path.is_dir() => folders.push((path, format!("{name}/"))),
                    path if path.is_file() => drop(names.insert(name)),
                    _ => {}
                }
            }
        }
        names
    }

    fn root(&self) -> PathBuf {
        self.cache.join(&self.folder)
    }

    fn reference(&self) -> PathBuf {
        self.root().join("refs").join(self.repo.revision())
    }

    fn listing_path(&self, commit: &str) -> PathBuf {
        self.root().join(".listing").join(commit)
    }
}

/// True if `text` is a full commit id, whose meaning never changes.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn create_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(HubError::io(parent)),
        None => Ok(()),
    }
}

/// Writes a small file atomically: another process sees either the old text or the new one.
fn replace(path: &Path, text: &str) -> Result<(), HubError> {
    create_parent(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    fs::write(&aside, text).and_then(|()| fs::rename(&aside, path)).map_err(HubError::io(path))
}

#[cfg(unix)]
fn symlink(target: &Path, pointer: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, pointer)
}

#[cfg(windows)]
fn symlink(target: &Path, pointer: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, pointer)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::RepoKind;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn references_are_text_and_a_commit_stands_for_itself() {
        let folder = tempfile::tempdir().unwrap();
        let repo = RepoId::parse(RepoKind::Dataset, "org/name@refs/pr/1").unwrap();
        let cache = RepoCache::new(folder.path(), &repo);
        assert_eq!(cache.commit(), None);
        cache.set_commit(COMMIT).unwrap();
        assert_eq!(cache.commit().as_deref(), Some(COMMIT));
        let path = folder.path().join("datasets--org--name/refs/refs/pr/1");
        assert_eq!(fs::read_to_string(path).unwrap(), COMMIT);

        let pinned = repo.with_revision(COMMIT).unwrap();
        let cache = RepoCache::new(folder.path(), &pinned);
        cache.set_commit(COMMIT).unwrap();
        assert_eq!(cache.commit().as_deref(), Some(COMMIT));
        assert!(!folder.path().join("datasets--org--name/refs").join(COMMIT).exists());
    }

    #[test]
    fn links_in_sub_folders_reach_the_blob_and_dangling_ones_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let repo = RepoId::new(RepoKind::Model, "name").unwrap();
        let cache = RepoCache::new(folder.path(), &repo);
        let (old, new) = ("1".repeat(40), "2".repeat(64));
        let checksum = Checksum::parse(&new).unwrap();
        create_parent(&cache.blob(&checksum)).unwrap();
        fs::write(cache.blob(&checksum), "content").unwrap();
        cache.link(COMMIT, "a/b/c.txt", &Checksum::parse(&old).unwrap()).unwrap();
        assert!(cache.present(COMMIT).is_empty(), "a link to nothing is no file");
        cache.link(COMMIT, "a/b/c.txt", &checksum).unwrap();
        assert_eq!(fs::read_to_string(cache.snapshot(COMMIT).join("a/b/c.txt")).unwrap(), "content");
        assert_eq!(cache.present(COMMIT), BTreeSet::from(["a/b/c.txt".to_owned()]));
    }
}
