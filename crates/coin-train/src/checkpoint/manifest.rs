//! Hashes of a checkpoint's files, in the format of `sha256sum`.
//!
//! `SHA256SUMS` has one line for each file of the checkpoint. If a file was damaged, edited or taken from another step, its hash
//! differs and the checkpoint is rejected. `sha256sum --check SHA256SUMS` performs the same check.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::fingerprint::hexadecimal;

/// Name of the file with the hashes.
pub(crate) const MANIFEST: &str = "SHA256SUMS";

/// Writes the hashes of the files `names` in the folder `dir`.
pub(crate) fn write(dir: &Path, names: &[&str]) -> Result<(), TrainError> {
    let mut text = String::new();
    for name in names {
        let path = dir.join(name);
        text.push_str(&line(name, &hash(&path).map_err(TrainError::io(&path))?));
    }
    Ok(coin_core::file::write_atomically(dir.join(MANIFEST), |writer| writer.write_all(text.as_bytes()))?)
}

/// Compares the files `names` in the folder `dir` with their hashes. Returns the first faulty file and its fault, if any.
///
/// # Errors
/// A file exists and cannot be read.
pub(crate) fn fault(dir: &Path, names: &[&str]) -> Result<Option<String>, TrainError> {
    let path = dir.join(MANIFEST);
    let written = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(format!("{MANIFEST} is missing"))),
        Err(error) => return Err(TrainError::io(path)(error)),
    };
    // A line with bytes that are not UTF-8 does not match.
    let written = String::from_utf8_lossy(&written);
    let mut lines = written.split_inclusive('\n');
    for name in names {
        let path = dir.join(name);
        let hash = match hash(&path) {
            Ok(hash) => hash,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(format!("{name} is missing"))),
            Err(error) => return Err(TrainError::io(path)(error)),
        };
        if lines.next() != Some(&line(name, &hash)) {
            return Ok(Some(format!("{name} does not have the hash in {MANIFEST}")));
        }
    }
    Ok(lines.next().map(|_| format!("{MANIFEST} names more files than a checkpoint has")))
}

fn line(name: &str, hash: &str) -> String {
    format!("{hash}  {name}\n")
}

/// Returns the SHA-256 of a file.
fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(hash)),
            count => hash.update(&buffer[..count]),
        }
    }
}
