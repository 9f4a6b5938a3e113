//! The folder of public test data.

use std::path::{Path, PathBuf};

/// The file or folder `path` of the test data, which are in the folder named by `COIN_TEST_DATA`, by default `../shared/data` beside
/// the workspace.
///
/// Returns `None` where it is absent, after a line on standard error that says that `test` is skipped.
pub fn test_data(test: &str, path: &str) -> Option<PathBuf> {
    Some(test_folder(test, &[path])?.join(path))
}

/// The folder of the test data itself, where it holds all of `needed`; see [`test_data`].
pub fn test_folder(test: &str, needed: &[&str]) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("COIN_TEST_DATA").map_or_else(default, PathBuf::from);
    for path in needed.iter().map(|path| folder.join(path)) {
        if !path.exists() {
            eprintln!("skipped: {test}: no test data at {}", path.display());
            return None;
        }
    }
    // Commands that a test runs may have another current folder.
    folder.canonicalize().ok()
}
