//! A folder that appears whole or not at all.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::CoreError;
use crate::output_folder::OutputFolder;

/// A folder that is being made beside the place where it will stand. Dropped before [`publish`](Self::publish), it leaves nothing.
///
/// The files are written to `.NAME.partial/whole`. One process at a time makes a folder of that name, and what a killed one left
/// is removed by the next.
#[derive(Debug)]
pub struct NewFolder {
    target: PathBuf,
    /// Holds the lock, and the folder `whole` that gets the final name.
    place: OutputFolder,
}

/// Checks that a new folder can be made at `path`: nothing is there, or an empty folder.
///
/// # Errors
/// [`CoreError::NotEmpty`], also if `path` is a file; [`CoreError::Io`] if it cannot be read.
pub fn check(path: &Path) -> Result<(), CoreError> {
    match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(true) => Ok(()),
        Err(error) if !path.is_file() => Err(CoreError::io(path)(error)),
        _ => Err(CoreError::NotEmpty { path: path.to_owned() }),
    }
}

impl NewFolder {
    /// Begins the folder `path`; the folders above it are made if need be.
    ///
    /// # Errors
    /// As [`check`]; [`CoreError::Locked`] if another process makes this folder; [`CoreError::Io`].
    ///
    /// ```
    /// use coin_core::new_folder::NewFolder;
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("model");
    /// let new = NewFolder::begin(&path)?;
    /// std::fs::write(new.path().join("config.json"), "{}")?;
    /// assert!(!path.exists());
    /// new.publish()?;
    /// assert!(path.join("config.json").exists());
    /// assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin(path: &Path) -> Result<Self, CoreError> {
        check(path)?;
        let unnamed = || CoreError::io(path)(std::io::Error::from(std::io::ErrorKind::InvalidInput));
        let mut name = OsString::from(".");
        // `a/..` has no name of its own.
        name.push(path.file_name().ok_or_else(unnamed)?);
        name.push(".partial");
        let new =
            NewFolder { target: path.to_owned(), place: OutputFolder::claim(&path.with_file_name(name), &[WHOLE])? };
        let whole = new.path();
        match std::fs::remove_dir_all(&whole) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(CoreError::io(&whole)(error)),
            _ => {}
        }
        std::fs::create_dir(&whole).map_err(CoreError::io(&whole))?;
        Ok(new)
    }

    /// The folder that is filled.
    pub fn path(&self) -> PathBuf {
        self.place.path().join(WHOLE)
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// As [`check`], if something came to stand there meanwhile; [`CoreError::Io`].
    pub fn publish(self) -> Result<(), CoreError> {
        check(&self.target)?;
        // An empty folder is in the way on some systems.
        if self.target.is_dir() {
            std::fs::remove_dir(&self.target).map_err(CoreError::io(&self.target))?;
        }
        std::fs::rename(self.path(), &self.target).map_err(CoreError::io(&self.target))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next process that makes this folder.
        let _ = std::fs::remove_dir_all(self.place.path());
    }
}

/// The folder inside the locked one that gets the final name.
const WHOLE: &str = "whole";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output_folder::MARKER;

    #[test]
    fn a_folder_that_fails_half_way_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let new = NewFolder::begin(&path).unwrap();
        std::fs::write(new.path().join("a"), "1").unwrap();
        let second = NewFolder::begin(&path).unwrap_err().to_string();
        assert!(second.contains("another process"), "{second}");
        drop(new);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_does_not_enter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let left = folder.path().join(".model.partial/whole");
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join("old"), "1").unwrap();
        // Without the mark it is somebody's.
        assert!(matches!(NewFolder::begin(&path), Err(CoreError::ForeignFolder { .. })));
        std::fs::write(left.with_file_name(MARKER), "").unwrap();
        std::fs::create_dir(&path).unwrap();
        let new = NewFolder::begin(&path).unwrap();
        std::fs::write(new.path().join("new"), "2").unwrap();
        new.publish().unwrap();
        let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
        let error = NewFolder::begin(&path).unwrap_err().to_string();
        assert!(error.ends_with("model is not empty, expected a new folder"), "{error}");
        assert!(NewFolder::begin(&path.join("new")).is_err());
    }
}
