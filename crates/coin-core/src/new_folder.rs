//! Creates folders atomically: either complete or not at all.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::CoreError;
use crate::output_folder::OutputFolder;

/// A folder that is being created. If it is dropped before [`publish`](Self::publish), nothing remains.
///
/// The files are written to `.NAME.partial/whole` in the parent folder. If the target already exists and is empty, they are written
/// to `.NAME.partial/whole` inside the target, which may be on another disk. Only one process at a time can create a folder. The next
/// process removes what a killed process left.
#[derive(Debug)]
pub struct NewFolder {
    target: PathBuf,
    /// Holds the lock and contains the files.
    place: OutputFolder,
}

/// The subfolder of the locked folder that receives the files.
const WHOLE: &str = "whole";

/// Returns the target with a proper name, and the folder in which it is created.
fn places(path: &Path) -> Result<(PathBuf, PathBuf), CoreError> {
    // `.` and `a/..` do not end in a name.
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

/// Checks that a new folder can be created at `path`: it does not exist or is an empty folder.
///
/// # Errors
/// [`CoreError::NotEmpty`], also if `path` is a file; [`CoreError::Io`] if it cannot be read or does not have a name.
pub fn check(path: &Path) -> Result<(), CoreError> {
    let (target, place) = places(path)?;
    let entries = match std::fs::read_dir(&target) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) if target.is_file() => return Err(CoreError::NotEmpty { path: path.to_owned() }),
        entries => entries.map_err(CoreError::io(path))?,
    };
    for entry in entries {
        // Files left by a killed process do not count.
        if entry.map_err(CoreError::io(path))?.path() != place {
            return Err(CoreError::NotEmpty { path: path.to_owned() });
        }
    }
    Ok(())
}

impl NewFolder {
    /// Starts creating the folder `path`. Missing parent folders are created.
    ///
    /// # Errors
    /// Same as [`check`]; [`CoreError::Locked`] if another process is creating this folder; [`CoreError::Io`].
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

    /// The temporary folder to write the files to.
    pub fn path(&self) -> PathBuf {
        self.place.path().join(WHOLE)
    }

    /// Renames the folder to its final name. If an empty folder already exists there, the files are moved into it one by one.
    ///
    /// # Errors
    /// [`CoreError::NotEmpty`] if something was created there in the meantime; [`CoreError::Io`].
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
        // If this fails, the next process that creates this folder removes the remains.
        let _ = std::fs::remove_dir_all(self.place.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output_folder::MARKER;

    #[test]
    fn an_unfinished_folder_leaves_nothing() {
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
    fn files_left_by_a_killed_process_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let left = folder.path().join(".model.partial/whole");
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join("old"), "1").unwrap();
        // Without the marker it belongs to someone else.
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
    fn an_empty_folder_is_filled_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::create_dir(&path).unwrap();
        let new = NewFolder::begin(&path.join("../model")).unwrap();
        assert!(new.path().starts_with(path.canonicalize().unwrap()));
        std::fs::write(new.path().join("new"), "2").unwrap();
        // Remains of a killed process are allowed there, other files are not.
        check(&path).unwrap();
        std::fs::write(path.join("other"), "").unwrap();
        assert!(matches!(check(&path), Err(CoreError::NotEmpty { .. })));
        std::fs::remove_file(path.join("other")).unwrap();
        new.publish().unwrap();
        let names: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["new"]);
    }
}
