//! The output of `coin devices`, and errors for missing devices.

use std::process::Command;

use serde_json::Value;

/// The command, with every graphics driver hidden from wgpu.
#[cfg(all(feature = "wgpu", target_os = "linux"))]
fn without_drivers() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coin"));
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(variable, "/nonexistent");
    }
    command
}

fn listed(command: &mut Command) -> Vec<Value> {
    let output = command.args(["devices", "--json"]).output().unwrap();
    assert!(output.status.success());
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    value["backends"].as_array().unwrap().clone()
}

#[test]
fn the_list_shows_backends_and_devices() {
    let backends = listed(&mut Command::new(env!("CARGO_BIN_EXE_coin")));
    let names: Vec<&str> = backends.iter().map(|backend| backend["backend"].as_str().unwrap()).collect();
    assert_eq!(names, ["cpu", "cuda", "metal", "rocm", "vulkan", "wgpu"]);
    assert_eq!(backends[0]["devices"][0]["device"], "cpu");
    for backend in &backends {
        let devices = backend["devices"].as_array().unwrap();
        assert_eq!(devices.is_empty(), backend["why_none"].is_string(), "{backend}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_coin")).arg("devices").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
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
    for (backend, compiled) in coin::device::BACKENDS.into_iter().filter(|(name, _)| *name != "cpu") {
        let name = format!("{backend}:4095");
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_coin"));
        let output = command.args(["demo", "--device", &name, "--out"]).arg(out.path().join("out")).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        let some = present.iter().any(|present| present.starts_with(backend));
        let expected = match (compiled, some) {
            (false, _) => format!("device `{name}` is not in this build; build with `--features {backend}`"),
            (true, true) => format!("device `{name}` does not exist; this machine has"),
            (true, false) => format!("device `{name}` is not available on this machine: "),
        };
        assert!(message.contains(&expected) && !message.contains("panicked"), "{message}");
        assert!(!out.path().join("out").exists(), "{name} is rejected before anything is created");
    }
}

#[cfg(all(feature = "wgpu", target_os = "linux"))]
#[test]
fn wgpu_without_a_driver_names_packages_to_install() {
    let wgpu = listed(&mut without_drivers()).into_iter().find(|backend| backend["backend"] == "wgpu").unwrap();
    assert_eq!(wgpu["devices"], serde_json::json!([]));
    let out = tempfile::tempdir().unwrap();
    let mut command = without_drivers();
    let output = command.args(["demo", "--device", "wgpu", "--out"]).arg(out.path().join("out")).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("mesa-vulkan-drivers") && !message.contains("panicked"), "{message}");
}
