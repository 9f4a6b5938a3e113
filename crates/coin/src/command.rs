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
use coin::device;

use crate::failure::{Failure, OrFail};

/// The device called `name`.
pub fn device_named(name: &str) -> Result<Device, Failure> {
    device::named(name).input()
}

/// `names` without repetitions, in their order.
pub fn distinct(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| seen.insert(name.as_str())).cloned().collect()
}

/// Makes the folder `out`, if it is not there.
pub fn out_folder(out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out).with_context(|| format!("--out {}: cannot be made a folder", out.display())).input()
}
