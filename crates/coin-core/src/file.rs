//! Reads text files and writes files atomically.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::CoreError;

/// Prefix of the names of partially written files.
pub const PARTIAL: &str = ".partial-";

/// Writes the file `path` atomically: a reader sees either the old content or the complete new content.
///
/// `write` fills a temporary file in the same folder, which is flushed, synchronized with the disk and then
/// renamed to `path`. If `write` fails, the temporary file is removed and `path` is unchanged.
///
/// # Errors
/// [`CoreError::Io`] with `path`, also if its folder does not exist.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("numbers.txt");
/// coin_core::file::write_atomically(&path, |writer| writeln!(writer, "1 2 3"))?;
/// assert_eq!(coin_core::file::read_to_string(&path)?, "1 2 3\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_atomically(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CoreError> {
    let path = path.as_ref();
    replace(path, write).map_err(CoreError::io(path))
}

/// As [`write_atomically`], for callers with their own error type.
///
/// # Errors
/// The operating system's error.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut partial = PartialFile::create(path)?;
    write(&mut partial)?;
    partial.finish()?.publish()
}

/// A file that is being written under a temporary name in the same folder. If it is dropped before it is published, nothing remains.
#[derive(Debug)]
pub struct PartialFile {
    writer: BufWriter<File>,
    temporary: tempfile::TempPath,
    path: PathBuf,
}

impl PartialFile {
    /// Starts writing the file `path`. An existing file stays unchanged until [`FinishedFile::publish`].
    ///
    /// # Errors
    /// The operating system's error, also if the folder of `path` does not exist or `path` is a folder.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, expected a file"));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(PARTIAL);
        // A temporary file is private by default, but the result needs the permissions of an ordinary new file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let (file, temporary) = builder.tempfile_in(folder)?.into_parts();
        Ok(PartialFile { writer: BufWriter::new(file), temporary, path: path.to_owned() })
    }

    /// Writes everything to the disk, still under the temporary name. After this only the renaming can fail, so finish all files
    /// that belong together before publishing the first.
    ///
    /// # Errors
    /// The operating system's error, such as a full disk.
    pub fn finish(self) -> io::Result<FinishedFile> {
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(FinishedFile { temporary: self.temporary, path: self.path })
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A completely written file that still has its temporary name.
#[derive(Debug)]
#[must_use = "the file is removed when this is dropped"]
pub struct FinishedFile {
    temporary: tempfile::TempPath,
    path: PathBuf,
}

impl FinishedFile {
    /// Renames the file to its final name and replaces an existing file.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn publish(self) -> io::Result<()> {
        self.temporary.persist(&self.path).map_err(|error| error.error)
    }
}

/// Checks that files can be created in `folder`.
///
/// # Errors
/// [`CoreError::Io`] with `folder`.
pub fn check_writable(folder: &Path) -> Result<(), CoreError> {
    tempfile::Builder::new().prefix(PARTIAL).tempfile_in(folder).map(|_| ()).map_err(|error| {
        // Leaves out the temporary file's name, which would not help the user.
        CoreError::io(folder)(error.kind().into())
    })
}

/// True if `name` is a portable file name and not a path: it consists of letters, digits, `_`, `-` and `.`, and does not begin
/// with `.`.
///
/// ```
/// use coin_core::file::is_plain_name;
/// assert!(is_plain_name("sst2") && is_plain_name("gpt-4.1"));
/// assert!(!is_plain_name("") && !is_plain_name("../x") && !is_plain_name("/x") && !is_plain_name(".."));
/// ```
pub fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

/// Reads the text of the file `path`, without a byte order mark.
///
/// # Errors
/// [`CoreError::Io`] if the file cannot be read; [`CoreError::Malformed`] with the line if it is not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>) -> Result<String, CoreError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(CoreError::io(path))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        CoreError::Malformed {
            path: path.to_owned(),
            line: 1 + valid.iter().filter(|&&byte| byte == b'\n').count(),
            message: "invalid UTF-8".to_owned(),
        }
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, |writer| writer.write_all(b"old")).unwrap();
        let result = write_atomically(&path, |writer| {
            writer.write_all(b"half")?;
            Err(io::Error::other("stopped"))
        });
        assert_eq!(result.unwrap_err().to_string(), format!("cannot access {}: stopped", path.display()));
        assert_eq!(read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_atomically(&path, |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn files_that_belong_together_are_all_written_before_the_first_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["a.txt", "b.txt"].map(|name| folder.path().join(name));
        std::fs::write(&first, "old").unwrap();
        let begin = |path: &Path| {
            let mut file = PartialFile::create(path).unwrap();
            write!(file, "new").unwrap();
            file.finish().unwrap()
        };
        let (finished, other) = (begin(&first), begin(&second));
        assert_eq!((read_to_string(&first).unwrap().as_str(), second.exists()), ("old", false));
        finished.publish().unwrap();
        assert_eq!(read_to_string(&first).unwrap(), "new");
        drop(other);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_has_the_permissions_of_an_ordinary_one() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ordinary"), "").unwrap();
        write_atomically(folder.path().join("ours"), |_| Ok(())).unwrap();
        let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("ours"), mode("ordinary"));
    }

    #[test]
    fn errors_name_the_path_and_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin1.txt");
        std::fs::write(&path, b"one\ntwo\ncaf\xe9\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap_err().to_string(), format!("{}:3: invalid UTF-8", path.display()));
        let absent = folder.path().join("no/such.txt");
        assert!(read_to_string(&absent).unwrap_err().to_string().contains("no/such.txt"));
        assert!(write_atomically(&absent, |_| Ok(())).unwrap_err().to_string().contains("no/such.txt"));
        assert!(write_atomically(folder.path(), |_| Ok(())).unwrap_err().to_string().contains("is a folder"));
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bom.txt");
        std::fs::write(&path, "\u{feff}Quality\n").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "Quality\n");
    }
}
