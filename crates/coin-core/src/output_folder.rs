//! Folders of results: whose they are, and who writes to them now.
//!
//! A folder that this program writes to holds the file [`MARKER`]. It says whose folder it is, and the process that writes holds the
//! system's lock on it, which ends with the process, however that ends. One rule serves every command:
//!
//! - a folder with the marker is this program's;
//! - a folder without it is taken over unless it holds something of a name that the command would write or remove. A log or a run file
//!   beside the results is no obstacle; a stranger's `summary.json` is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::CoreError;
use crate::file::PARTIAL;

/// The file that marks a folder as this program's, and whose lock its writer holds.
pub const MARKER: &str = ".coin.lock";

const TEXT: &str = "The program `coin` writes its results to this folder, and locks this file while it does.\n";

/// Refuses a folder that this program did not make, before anything is written: `written` are the names of files and folders that the
/// caller would write, replace or remove in it. A folder that is absent or empty is fine.
///
/// # Errors
/// [`CoreError::ForeignFolder`]; [`CoreError::Io`] if the folder cannot be read or `path` is a file.
pub fn check(path: &Path, written: &[&str]) -> Result<(), CoreError> {
    if path.join(MARKER).exists() {
        return Ok(());
    }
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CoreError::io(path)(error)),
        Ok(metadata) if !metadata.is_dir() => {
            let source = std::io::Error::new(std::io::ErrorKind::NotADirectory, "is a file, expected a folder");
            return Err(CoreError::io(path)(source));
        }
        Ok(_) => {}
    }
    // A broken link is something of that name, too.
    let found: Vec<&str> = written.iter().copied().filter(|name| path.join(name).symlink_metadata().is_ok()).collect();
    match found.is_empty() {
        true => Ok(()),
        false => Err(CoreError::ForeignFolder { path: path.to_owned(), found: found.join(", ") }),
    }
}

/// A folder that no other process of this program writes to while this value lives.
#[derive(Debug)]
#[must_use = "the folder is unlocked when this is dropped"]
pub struct OutputFolder {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl OutputFolder {
    /// Makes the folder `path` if need be, marks it, locks it, and removes partial files that a killed writer left in it.
    ///
    /// On a file system without locks the folder is not locked.
    ///
    /// # Errors
    /// As [`check`], whose `written` it takes; [`CoreError::Locked`] if another process, or another value of this one, holds the
    /// folder.
    ///
    /// ```
    /// use coin_core::output_folder::OutputFolder;
    /// let folder = tempfile::tempdir()?;
    /// let out = folder.path().join("run");
    /// let first = OutputFolder::claim(&out, &["summary.json"])?;
    /// assert!(OutputFolder::claim(&out, &["summary.json"]).unwrap_err().to_string().contains("another process"));
    /// drop(first);
    /// let again = OutputFolder::claim(&out, &["summary.json"])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim(path: &Path, written: &[&str]) -> Result<Self, CoreError> {
        check(path, written)?;
        std::fs::create_dir_all(path).map_err(CoreError::io(path))?;
        let marker = path.join(MARKER);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&marker);
        let mut lock = options.map_err(CoreError::io(&marker))?;
        match lock.try_lock() {
            // A file system without locks is no reason not to work.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => return Err(CoreError::Locked { path: path.to_owned() }),
        }
        if lock.metadata().map_err(CoreError::io(&marker))?.len() == 0 {
            lock.write_all(TEXT.as_bytes()).map_err(CoreError::io(&marker))?;
        }
        remove_partial(path)?;
        Ok(OutputFolder { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes from `folder` the partial files and folders of writers that were killed. The caller holds the folder's lock.
///
/// # Errors
/// [`CoreError::Io`].
pub fn remove_partial(folder: &Path) -> Result<(), CoreError> {
    for entry in std::fs::read_dir(folder).map_err(CoreError::io(folder))? {
        let entry = entry.map_err(CoreError::io(folder))?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let path = entry.path();
            let is_folder = entry.file_type().map_err(CoreError::io(&path))?.is_dir();
            let removed = if is_folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.map_err(CoreError::io(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["summary.json", "results"];

    #[test]
    fn a_foreign_folder_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("results")).unwrap();
        std::fs::write(folder.path().join("results/mine.csv"), "1").unwrap();
        let error = OutputFolder::claim(folder.path(), &NAMES).unwrap_err().to_string();
        assert!(
            error.ends_with("holds results, and this program did not make that folder; choose another one"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(
            OutputFolder::claim(&folder.path().join("results/mine.csv"), &NAMES)
                .unwrap_err()
                .to_string()
                .contains("is a file")
        );
    }

    #[test]
    fn other_files_beside_the_results_are_no_obstacle_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.txt"), "1").unwrap();
        let _held = OutputFolder::claim(folder.path(), &NAMES).unwrap();
        std::fs::write(folder.path().join("summary.json"), "{}").unwrap();
        drop(_held);
        // Its own results of an earlier time are.
        let _held = OutputFolder::claim(folder.path(), &NAMES).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("log.txt")).unwrap(), "1");
    }

    #[test]
    fn what_killed_writers_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("{PARTIAL}x")), "").unwrap();
        std::fs::create_dir(folder.path().join(format!("{PARTIAL}y"))).unwrap();
        std::fs::write(folder.path().join("partial"), "").unwrap();
        let held = OutputFolder::claim(folder.path(), &NAMES).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(held.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [MARKER, "partial"]);
    }
}
