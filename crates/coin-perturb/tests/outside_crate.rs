//! The crate as a user gets it: packed, unpacked, and built by a fresh crate outside the workspace.
//!
//! `scripts/outside_crate.sh` does the work and says what is wrong. It compiles nothing of burn and needs no network:
//! every crate is in cargo's cache already, at the version of `Cargo.lock`, or this test would not have been built.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

#[test]
fn a_fresh_crate_builds_on_the_packed_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let script = root.join("scripts/outside_crate.sh");
    if !script.exists() {
        eprintln!("skipped: a_fresh_crate_builds_on_the_packed_one: not in the workspace, no {}", script.display());
        return;
    }
    // Beside the other build folders, so that a second run compiles nothing.
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside-crate");
    std::fs::create_dir_all(&work).unwrap();
    let output = Command::new("bash")
        .arg(&script)
        .args(["coin-perturb", "--offline"])
        .env("COIN_OUTSIDE_DIR", &work)
        .output()
        .unwrap();
    let (said, message) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{message}");
    assert!(said.contains("no burn; labels intact: 4 of 4"), "{said}{message}");
}
