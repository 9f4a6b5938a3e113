//! Names of repositories, checked before any request, and the choice between a local folder and such a name.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::HubError;

/// The branch that a name without a revision means.
pub const MAIN: &str = "main";

/// The kind of a repository of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoKind {
    /// A model or a PEFT adapter.
    Model,
    /// A data set.
    Dataset,
}

impl RepoKind {
    /// The word in the folder's name in the cache and in the path of the hub's interface.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
        }
    }

    /// The word in messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            RepoKind::Model => "model",
            RepoKind::Dataset => "data set",
        }
    }
}

/// A repository at a revision. Name and revision are always valid on the hub.
///
/// Names follow the hub's rules: `name` or `organization/name` of at most 96 characters. Each part consists of letters, digits, `_`,
/// `-` and `.`, and neither begins nor ends with `-` or `.`. A name does not contain `--` or `..` and does not end in `.git`.
///
/// ```
/// use coin_hub::{RepoId, RepoKind};
///
/// let repo = RepoId::parse(RepoKind::Model, "huggyllama/llama-7b@refs/pr/1")?;
/// assert_eq!((repo.name(), repo.revision()), ("huggyllama/llama-7b", "refs/pr/1"));
/// assert_eq!(RepoId::parse(RepoKind::Model, "gpt2")?.revision(), "main");
/// assert!(RepoId::parse(RepoKind::Model, "../etc/passwd").is_err());
/// # Ok::<(), coin_hub::HubError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId {
    kind: RepoKind,
    name: String,
    revision: String,
}

impl RepoId {
    /// The repository `name` at branch `main`.
    ///
    /// # Errors
    /// [`HubError::Name`] with the rule that the name violates.
    pub fn new(kind: RepoKind, name: &str) -> Result<Self, HubError> {
        check_name(name).map_err(|reason| HubError::Name { name: name.to_owned(), reason: reason.to_owned() })?;
        Ok(Self { kind, name: name.to_owned(), revision: MAIN.to_owned() })
    }

    /// Reads `name` or `name@revision`.
    ///
    /// # Errors
    /// Same as [`new`](Self::new) and [`with_revision`](Self::with_revision).
    pub fn parse(kind: RepoKind, text: &str) -> Result<Self, HubError> {
        match text.split_once('@') {
            Some((name, revision)) => Self::new(kind, name)?.with_revision(revision),
            None => Self::new(kind, text),
        }
    }

    /// The same repository at another branch, tag, pull request (`refs/pr/1`) or commit.
    ///
    /// # Errors
    /// [`HubError::Name`] if git does not allow such a reference.
    pub fn with_revision(self, revision: &str) -> Result<Self, HubError> {
        check_revision(revision).map_err(|reason| HubError::Name {
            name: format!("{}@{revision}", self.name),
            reason: format!("its revision {reason}"),
        })?;
        Ok(Self { revision: revision.to_owned(), ..self })
    }

    /// Model or data set.
    pub fn kind(&self) -> RepoKind {
        self.kind
    }

    /// `name` or `organization/name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch, tag, pull request or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

/// `name`, or `name@revision` if the revision is not `main`; data sets as `datasets/name`.
impl fmt::Display for RepoId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == RepoKind::Dataset {
            formatter.write_str("datasets/")?;
        }
        formatter.write_str(&self.name)?;
        if self.revision == MAIN { Ok(()) } else { write!(formatter, "@{}", self.revision) }
    }
}

/// The source of files that a user gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A repository of the hub.
    Hub(RepoId),
}

impl Source {
    /// Interprets `text`. An existing folder takes precedence over a repository of the same name; anything else is read as `name` or
    /// `name@revision`. Makes no request.
    ///
    /// # Errors
    /// [`HubError::Name`] if it is a file, or neither an existing folder nor a valid name.
    pub fn parse(kind: RepoKind, text: &str) -> Result<Self, HubError> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Source::Folder(path.to_owned()));
        }
        if path.is_file() {
            let reason = "it is a file, expected a folder or a repository of the hub".to_owned();
            return Err(HubError::Name { name: text.to_owned(), reason });
        }
        match RepoId::parse(kind, text) {
            Ok(repo) => Ok(Source::Hub(repo)),
            Err(HubError::Name { name, reason }) => {
                Err(HubError::Name { name, reason: format!("{reason}; there is no folder of that name either") })
            }
            Err(error) => Err(error),
        }
    }
}

/// The rules of `huggingface_hub.utils.validate_repo_id`.
fn check_name(name: &str) -> Result<(), &'static str> {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 2 {
        return Err("it has more than one `/`");
    }
    if name.len() > 96 {
        return Err("it is longer than 96 characters");
    }
    for part in parts {
        if part.is_empty() {
            return Err("a part of it is empty");
        }
        if !part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err("only letters, digits, `_`, `-`, `.` and one `/` are allowed");
        }
        if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
            return Err("a part of it begins or ends with `-` or `.`");
        }
    }
    if name.contains("--") || name.contains("..") {
        return Err("`--` and `..` are not allowed");
    }
    if name.ends_with(".git") {
        return Err("it ends in `.git`");
    }
    Ok(())
}

/// The rules of git for a reference, which also keep it inside the cache's `refs` folder.
fn check_revision(revision: &str) -> Result<(), &'static str> {
    if revision.is_empty() {
        return Err("is empty");
    }
    if revision.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c)) || revision.contains("@{") {
        return Err("has a character that git does not allow in a reference");
    }
    if revision.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"))
        || revision.contains("..")
        || revision.ends_with('.')
    {
        return Err("is not the name of a git reference");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_the_hub() {
        for good in ["gpt2", "org/name", "Org-1/llama_2.7b", "_a/b_", &"x".repeat(96)] {
            assert!(RepoId::new(RepoKind::Model, good).is_ok(), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a/b/c", "a b", "a--b", "a..b", ".a", "a.", "-a/b", "a/b-", "a.git", "ü", "a\\b",
            "a\n",
        ] {
            assert!(RepoId::new(RepoKind::Model, bad).is_err(), "{bad:?}");
        }
        assert!(RepoId::new(RepoKind::Model, &"x".repeat(97)).is_err());
    }

    #[test]
    fn revisions_stay_inside_the_refs_folder() {
        let repo = RepoId::new(RepoKind::Model, "a/b").unwrap();
        for good in ["main", "v1.0", "refs/pr/1", "feature/x", "0123abc"] {
            assert!(repo.clone().with_revision(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "../x", "a/../b", "/a", "a/", "a//b", ".a", "a b", "a?b", "a.lock", "a\u{7f}"] {
            assert!(repo.clone().with_revision(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn display_is_what_parse_reads() {
        let repo = RepoId::parse(RepoKind::Model, "a/b@v1").unwrap();
        assert_eq!(repo.to_string(), "a/b@v1");
        assert_eq!(RepoId::new(RepoKind::Dataset, "glue").unwrap().to_string(), "datasets/glue");
    }

    #[test]
    fn a_folder_wins_over_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_str().unwrap();
        assert_eq!(Source::parse(RepoKind::Model, text).unwrap(), Source::Folder(folder.path().to_owned()));
        let absent = format!("{text}/absent");
        let message = Source::parse(RepoKind::Model, &absent).unwrap_err().to_string();
        assert!(message.contains("no folder of that name"), "{message}");
        let file = format!("{text}/weights.bin");
        std::fs::write(&file, "x").unwrap();
        assert!(Source::parse(RepoKind::Model, &file).unwrap_err().to_string().contains("it is a file"));
        let name = "an-organization/that-is-no-folder";
        assert!(matches!(Source::parse(RepoKind::Model, name).unwrap(), Source::Hub(repo) if repo.name() == name));
    }
}
