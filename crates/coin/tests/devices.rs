//! The output of `coin devices`, and errors for missing devices.

use std::process::Command;

use coin::device::Backend;
use coin_testkit::{Coin, refused, succeeded};
use serde_json::Value;

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

/// The command, with every graphics driver hidden from wgpu.
#[cfg(all(feature = "wgpu", target_os = "linux"))]
fn without_drivers(arguments: &[&str]) -> Command {
    let mut command = COIN.command(arguments);
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(variable, "/nonexistent");
    }
    command
}

fn listed(command: &mut Command) -> Vec<Value> {
    let value: Value = serde_json::from_slice(&succeeded(command).stdout).unwrap();
    value["backends"].as_array().unwrap().clone()
}

#[test]
fn the_list_shows_backends_and_devices() {
    let backends = listed(&mut COIN.command(["devices", "--json"]));
    let names: Vec<&str> = backends.iter().map(|backend| backend["backend"].as_str().unwrap()).collect();
    assert_eq!(names, ["cpu", "cuda", "metal", "rocm", "vulkan", "wgpu"]);
    assert_eq!(backends[0]["devices"][0]["device"], "cpu");
    for backend in &backends {
        let devices = backend["devices"].as_array().unwrap();
        assert_eq!(devices.is_empty(), backend["why_none"].is_string(), "{backend}");
    }
    let text = COIN.stdout(["devices"]);
    for backend in backends {
        let name = backend["backend"].as_str().unwrap();
        let state = match backend["in_this_build"].as_bool().unwrap() {
            true => "in this build".to_owned(),
            false => format!("not in this build; add it with --features {name}"),
        };
        assert!(text.lines().any(|line| line == format!("{name:8} {state}")), "{text}");
    }
}

#[test]
fn missing_devices_are_input_errors() {
    let present = coin::device::present();
    for backend in Backend::ALL.into_iter().filter(|backend| *backend != Backend::Cpu) {
        let name = format!("{backend}:4095");
        let out = tempfile::tempdir().unwrap();
        let some = present.iter().any(|present| present.starts_with(backend.name()));
        let expected = match (backend.is_compiled(), some) {
            (false, _) => format!("device `{name}` is not in this build; build with `--features {backend}`"),
            (true, true) => format!("device `{name}` does not exist; this machine has"),
            (true, false) => format!("device `{name}` is not available on this machine: "),
        };
        let mut demo = COIN.command(["demo", "--device", &name, "--out"]);
        let message = refused(demo.arg(out.path().join("out")), &[&expected]);
        assert!(!message.contains("panicked"), "{message}");
        assert!(!out.path().join("out").exists(), "{name} is rejected before anything is created");
    }
}

#[cfg(all(feature = "wgpu", target_os = "linux"))]
#[test]
fn wgpu_without_a_driver_names_packages_to_install() {
    let wgpu = listed(&mut without_drivers(&["devices", "--json"]))
        .into_iter()
        .find(|backend| backend["backend"] == "wgpu")
        .unwrap();
    assert_eq!(wgpu["devices"], serde_json::json!([]));
    let out = tempfile::tempdir().unwrap();
    let mut demo = without_drivers(&["demo", "--device", "wgpu", "--out"]);
    let message = refused(demo.arg(out.path().join("out")), &["mesa-vulkan-drivers"]);
    assert!(!message.contains("panicked"), "{message}");
}
