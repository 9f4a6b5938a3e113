//! Output folders: their ownership and locking.
//!
//! A folder that this program writes to contains the file [`MARKER`]. The marker shows that the folder belongs to this program. The
//! writing process holds a file lock on it, which the operating system releases when the process ends for any reason. All commands
//! follow one rule:
//!
//! - A folder with the marker belongs to this program.
//! - A folder without the marker is taken over unless it contains a name that the command would write or remove. A log or a run file
//!   is allowed; a `summary.json` that this program did not write is an error.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::CoreError;
use crate::file::PARTIAL;

/// The file that marks a folder as this program's; the writer holds a lock on it.
pub const MARKER: &str = ".coin.lock";

const TEXT: &str = "The program `coin` writes its results to this folder and locks this file while it is running.\n";

/// Rejects a folder that this program did not create, before anything is written. `written` lists the names of files and folders that
/// the caller would write, replace or remove in it. A missing or empty folder is accepted.
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
    // A broken symbolic link also counts.
    let found: Vec<&str> = written.iter().copied().filter(|name| path.join(name).symlink_metadata().is_ok()).collect();
    match found.is_empty() {
        true => Ok(()),
        false => Err(CoreError::ForeignFolder { path: path.to_owned(), found: found.join(", "), marker: MARKER }),
    }
}

/// A folder that no other process of this program can write to while this value is alive.
#[derive(Debug)]
#[must_use = "the folder is unlocked when this is dropped"]
pub struct OutputFolder {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl OutputFolder {
    /// Creates the folder `path` if it does not exist, marks and locks it, and removes partial files left by a killed writer.
    ///
    /// On a file system without locks the folder is not locked.
    ///
    /// # Errors
    /// Same as [`check`], which also describes `written`; [`CoreError::Locked`] if the folder is held by another process or by
    /// another value in this process.
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
            // Continues without a lock if the file system does not support locks.
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

/// Removes partial files and folders of killed writers from `folder`. The caller must hold the lock of the folder.
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
    fn a_foreign_folder_is_rejected_and_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("results")).unwrap();
        std::fs::write(folder.path().join("results/mine.csv"), "1").unwrap();
        let error = OutputFolder::claim(folder.path(), &NAMES).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "contains results but was not created by this program; choose another folder, or create an empty .coin.lock in it \
                 if these are copied results"
            ),
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
    fn unrelated_files_are_allowed_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.txt"), "1").unwrap();
        let _held = OutputFolder::claim(folder.path(), &NAMES).unwrap();
        std::fs::write(folder.path().join("summary.json"), "{}").unwrap();
        drop(_held);
        // A marked folder may contain earlier results.
        let _held = OutputFolder::claim(folder.path(), &NAMES).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("log.txt")).unwrap(), "1");
    }

    #[test]
    fn partial_files_of_killed_writers_are_removed() {
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
