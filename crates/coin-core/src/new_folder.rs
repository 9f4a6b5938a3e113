//! A folder that appears whole or not at all.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::CoreError;
use crate::output_folder::OutputFolder;

/// A folder that is being made. Dropped before [`publish`](Self::publish), it leaves nothing.
///
/// The files are written to `.NAME.partial/whole` beside the place where the folder will stand; or inside it, where it is there
/// and empty, since it may be on a disk of its own. One process at a time makes a folder, and what a killed one left is removed by
/// the next.
#[derive(Debug)]
pub struct NewFolder {
    target: PathBuf,
    /// Holds the lock, and the folder that is filled.
    place: OutputFolder,
}

/// The folder inside the locked one that is filled.
const WHOLE: &str = "whole";

/// The folder at `path` under a name of its own, and where it is made.
fn places(path: &Path) -> Result<(PathBuf, PathBuf), CoreError> {
    // `.` and `a/..` have no name of their own.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let Some(name) = target.file_name() else {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "expected the name of a folder");
        return Err(CoreError::io(path)(source));
    };
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    let place = if target.is_dir() { target.join(partial) } else { target.with_file_name(partial) };
    Ok((target, place))
}

/// Checks that a new folder can be made at `path`: nothing is there, or an empty folder.
///
/// # Errors
/// [`CoreError::NotEmpty`], also if `path` is a file; [`CoreError::Io`] if it cannot be read or has no name.
pub fn check(path: &Path) -> Result<(), CoreError> {
    let (target, place) = places(path)?;
    let entries = match std::fs::read_dir(&target) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) if target.is_file() => return Err(CoreError::NotEmpty { path: path.to_owned() }),
        entries => entries.map_err(CoreError::io(path))?,
    };
    for entry in entries {
        // What a process that was killed left is nothing.
        if entry.map_err(CoreError::io(path))?.path() != place {
            return Err(CoreError::NotEmpty { path: path.to_owned() });
        }
    }
    Ok(())
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
        let (target, place) = places(path)?;
        let new = NewFolder { target, place: OutputFolder::claim(&place, &[WHOLE])? };
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

    /// Gives the folder its name; where an empty one was there, its files get theirs one after the other.
    ///
    /// # Errors
    /// [`CoreError::NotEmpty`] if something came to stand there meanwhile; [`CoreError::Io`].
    pub fn publish(self) -> Result<(), CoreError> {
        let whole = self.path();
        check(&self.target)?;
        if !self.place.path().starts_with(&self.target) {
            return std::fs::rename(whole, &self.target).map_err(CoreError::io(&self.target));
        }
        for entry in std::fs::read_dir(&whole).map_err(CoreError::io(&whole))? {
            let entry = entry.map_err(CoreError::io(&whole))?;
            let to = self.target.join(entry.file_name());
            std::fs::rename(entry.path(), &to).map_err(CoreError::io(&to))?;
        }
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // What cannot be removed is removed by the next process that makes this folder.
        let _ = std::fs::remove_dir_all(self.place.path());
    }
}

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
        let new = NewFolder::begin(&path).unwrap();
        std::fs::write(new.path().join("new"), "2").unwrap();
        new.publish().unwrap();
        let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
        let error = NewFolder::begin(&path).unwrap_err().to_string();
        assert!(error.ends_with("model is not empty, expected a new folder"), "{error}");
        assert!(NewFolder::begin(&path.join("new")).is_err());
    }
    #[test]
    fn an_empty_folder_is_filled_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::create_dir(&path).unwrap();
        let new = NewFolder::begin(&path.join("../model")).unwrap();
        assert!(new.path().starts_with(path.canonicalize().unwrap()));
        std::fs::write(new.path().join("new"), "2").unwrap();
        // What a killed process leaves there is no obstacle, a file is.
        check(&path).unwrap();
        std::fs::write(path.join("other"), "").unwrap();
        assert!(matches!(check(&path), Err(CoreError::NotEmpty { .. })));
        std::fs::remove_file(path.join("other")).unwrap();
        new.publish().unwrap();
        let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
    }
}
