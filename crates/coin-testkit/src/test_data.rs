//! The folder of public test data.

use std::path::{Path, PathBuf};

/// Returns the path of the file or folder `path` in the folder of test data. That folder is the environment variable
/// `COIN_TEST_DATA`, by default `../shared/data` next to the workspace.
///
/// Returns `None` if it does not exist, and prints to standard error that `test` is skipped.
pub fn test_data(test: &str, path: &str) -> Option<PathBuf> {
    Some(test_folder(test, &[path])?.join(path))
}

/// Returns the folder of test data itself if it contains all of `needed`; see [`test_data`].
pub fn test_folder(test: &str, needed: &[&str]) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("COIN_TEST_DATA").map_or_else(default, PathBuf::from);
    for path in needed.iter().map(|path| folder.join(path)) {
        if !path.exists() {
            eprintln!("skipped: {test}: no test data at {}", path.display());
            return None;
        }
    }
    // A command that a test runs may have another current folder.
    folder.canonicalize().ok()
}
