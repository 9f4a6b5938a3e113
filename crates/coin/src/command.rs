//! The sub-commands, one file each.

pub mod compare;
pub mod demo;
pub mod devices;
pub mod eval;
pub mod model;
pub mod model_arguments;
pub mod pairs;
pub mod perturb;
pub mod report;
pub mod score;
pub mod train;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use burn::tensor::Device;
use coin::core::file::check_writable;
use coin::device;
use coin::eval::Bootstrap;

use crate::failure::{Failure, OrFail, bad_input};

/// The device called `name`.
pub fn device_named(name: &str) -> Result<Device, Failure> {
    device::named(name).input()
}

/// `names` without repetitions, in their order.
pub fn distinct(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| seen.insert(name.as_str())).cloned().collect()
}

/// Makes the folder `out`, if it is not there, and checks that files can be made in it.
pub fn out_folder(out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out)
        .with_context(|| format!("--out {}: cannot be made a folder", out.display()))
        .input()?;
    check_writable(out).with_context(|| format!("--out {}", out.display())).input()
}

/// Refuses a file to write before any work that it would spoil at its end: its folder must be there and writable, and it must
/// be none of the files that are read, which are named as messages say it. They may be reached under another name.
pub fn check_out(out: &Path, inputs: &[(&str, &Path)]) -> Result<(), Failure> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return bad_input(format!("--out {}: no such folder as {}", out.display(), folder.display()));
    }
    if out.is_dir() {
        return bad_input(format!("--out {}: is a folder, expected a file", out.display()));
    }
    if let Ok(to) = out.canonicalize()
        && let Some((name, _)) = inputs.iter().find(|(_, input)| input.canonicalize().is_ok_and(|from| from == to))
    {
        return bad_input(format!("--out {}: is the {name}, which would be lost", out.display()));
    }
    check_writable(folder).with_context(|| format!("--out {}", out.display())).input()
}

/// Refuses a number of draws of which no intervals can be computed; 0 asks for none.
pub fn check_intervals(draws: usize) -> Result<(), Failure> {
    let bootstrap = Bootstrap { replicates: draws, ..Bootstrap::default() };
    match bootstrap.check() {
        Err(error) if draws > 0 => bad_input(format!("--intervals {draws}: {error}; 0 for none")),
        _ => Ok(()),
    }
}
