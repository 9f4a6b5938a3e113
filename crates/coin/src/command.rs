//! The sub-commands, one file each.

pub mod demo;
pub mod eval;
pub mod model;
pub mod pairs;
pub mod perturb;
pub mod report;
pub mod score;
pub mod train;

use burn::tensor::Device;
use coin::device;

use crate::failure::{Failure, OrFail};

/// The device called `name`.
pub fn device_named(name: &str) -> Result<Device, Failure> {
    device::named(name).input()
}

/// `coin devices`
pub fn devices() -> Result<(), Failure> {
    for (name, compiled) in device::BACKENDS {
        match compiled {
            true => println!("{name:8} in this build"),
            false => println!("{name:8} not in this build; add it with --features {name}"),
        }
    }
    Ok(())
}
