//! Writing a file so that a reader never sees half of it.

use std::io::Write;
use std::path::Path;

use crate::EvalError;

/// Writes `contents` to a temporary file beside `path` and renames it. Folders must exist.
pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<(), EvalError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is private by default; this one is to be as readable as any other that the user makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(EvalError::io(path))?;
    file.write_all(contents).map_err(EvalError::io(path))?;
    file.persist(path).map_err(|error| EvalError::Io { path: path.to_owned(), source: error.error })?;
    Ok(())
}
