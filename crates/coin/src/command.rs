//! The sub-commands, one file each.

pub mod choice;
pub mod compare;
pub mod demo;
pub mod devices;
pub mod eval;
pub mod experiment;
pub mod model;
pub mod model_arguments;
mod out;
pub mod pairs;
pub mod perturb;
pub mod report;
pub mod score;
pub mod train;

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;
use coin::core::quote::printable;
use coin::device;
use coin::eval::Bootstrap;

pub use out::{check_out, check_out_folder, claim_out_folder};

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

/// A path for the settings of a summary, which are text: bytes that are not UTF-8 are replaced.
pub fn as_text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

/// A path for output to a terminal, with control characters escaped.
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// Refuses a number of draws from which intervals cannot be computed. 0 means no intervals.
pub fn check_intervals(draws: usize) -> Result<(), Failure> {
    let bootstrap = Bootstrap { replicates: draws, ..Bootstrap::default() };
    match bootstrap.check() {
        Err(error) if draws > 0 => bad_input(format!("--intervals {draws}: {error}; use 0 for none")),
        _ => Ok(()),
    }
}
