//! `coin devices`

use clap::Args;
use coin::device::{self, Found};
use serde_json::json;

use crate::failure::Failure;

/// Arguments of `coin devices`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let states = device::states();
        if self.json {
            let backends: Vec<_> = states
                .iter()
                .map(|state| {
                    let devices: Vec<_> = state.devices.iter().flatten().map(of_device).collect();
                    json!({
                        "backend": state.backend.name(), "in_this_build": state.backend.is_compiled(), "devices": devices,
                        "why_none": state.devices.as_ref().err(),
                    })
                })
                .collect();
            println!("{}", json!({ "backends": backends }));
            return Ok(());
        }
        for state in states {
            let (backend, compiled) = (state.backend, state.backend.is_compiled());
            match compiled {
                true => println!("{backend:8} in this build"),
                false => println!("{backend:8} not in this build; add it with --features {backend}"),
            }
            match (state.devices, compiled) {
                (Ok(found), _) => {
                    for Found { device, name, interface, kind, driver } in found {
                        let about = [kind.name(), &interface, &driver].into_iter().filter(|text| !text.is_empty());
                        println!("         {device}: {name} ({})", about.collect::<Vec<_>>().join(", "));
                    }
                }
                (Err(why), true) => println!("         no device on this machine: {why}"),
                // A backend that is not in the build could not use a device anyway.
                (Err(_), false) => {}
            }
        }
        Ok(())
    }
}

fn of_device(Found { device, name, interface, kind, driver }: &Found) -> serde_json::Value {
    json!({ "device": device, "name": name, "interface": interface, "kind": kind.name(), "driver": driver })
}
