//! Where the tests find real data.

#[cfg(feature = "parquet")]
pub mod parquet_file;

use std::path::PathBuf;

/// The file or folder `path` of the test data folder, `COIN_TEST_DATA` or `../shared/data` beside the workspace;
/// `None`, with a line on standard error, where it is absent.
#[allow(dead_code)]
pub fn test_data(test: &str, path: &str) -> Option<PathBuf> {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into();
    let path = std::env::var_os("COIN_TEST_DATA").map_or_else(default, PathBuf::from).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {test}: no test data at {}", path.display());
    None
}
