//! The crate as users get it: packed, unpacked, and built by a new crate outside the workspace.
//!
//! `scripts/outside_crate.sh` does the work and reports errors. It does not compile burn and needs no network: all crates are already
//! in cargo's cache at the versions of `Cargo.lock`, since this test was built with them.
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
    // In the target folder, so that a second run does not compile again.
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
