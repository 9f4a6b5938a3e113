//! Runs a list of cases on every device that is available to this build and machine, and compares them with the CPU in f32
//! (training runs in f16 are compared with f16).
//!
//! In a build without a GPU backend, the cases run on the CPU again, in every dtype. `COIN_PARITY_DEVICES` is a
//! comma-separated list of devices to run on instead of all; `COIN_PARITY_CASES` selects the cases whose names contain it;
//! `COIN_PARITY_TABLE` is a file for the table, which is also printed to standard output (`--nocapture` shows it). Results
//! are recorded in `docs/backends.md`.

mod case;
mod decoding;
mod layers;
mod losses;
mod training;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::tensor::{DType, Device};
use coin::model::{FloatType, Llama, Quantization, WeightFormat};

use case::{Case, Depth, Results, Setting, config, distance};

fn cases() -> impl Iterator<Item = &'static Case> {
    let wanted = std::env::var("COIN_PARITY_CASES").unwrap_or_default();
    [layers::CASES, losses::CASES, decoding::CASES, training::CASES]
        .into_iter()
        .flatten()
        .filter(move |case| case.name.contains(&wanted))
}

/// The devices to compare with the CPU, by name.
fn devices() -> Vec<(String, Device)> {
    let names = match std::env::var("COIN_PARITY_DEVICES") {
        Ok(names) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        Err(_) => coin::device::present(),
    };
    names
        .into_iter()
        .map(|name| {
            let device = coin::device::named(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, device)
        })
        .collect()
}

fn name_of(dtype: FloatType) -> &'static str {
    match dtype {
        FloatType::F32 => "f32",
        FloatType::F16 => "f16",
        FloatType::Bf16 => "bf16",
    }
}

/// The results of a case, or its panic message.
fn attempt(case: &Case, device: &Device, dtype: FloatType) -> Result<Results, String> {
    let setting = Setting { device: device.clone(), dtype };
    catch_unwind(AssertUnwindSafe(|| (case.run)(&setting))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

#[test]
fn every_device_matches_the_cpu() {
    let cpu = Device::flex();
    let devices = devices();
    let mut table = String::from(
        "| case | device | type | largest difference | of the largest value | allowed | s |\n|---|---|---|---|---|---|---|\n",
    );
    let mut failures = Vec::new();
    let mut compared = 0;
    for case in cases() {
        let reference = attempt(case, &cpu, FloatType::F32).unwrap_or_else(|died| panic!("{}: {died}", case.name));
        let all_zero = reference.numbers.iter().all(|(_, values)| values.iter().all(|value| *value == 0.0));
        assert!(!all_zero || !reference.decisions.is_empty(), "{} computes nothing", case.name);
        for (name, device) in &devices {
            for &dtype in case.types {
                let row = format!("| {} | {name} | {} ", case.name, name_of(dtype));
                if !device.supports_dtype(DType::from(dtype)) {
                    let _ = writeln!(table, "{row}| | not supported by the device | | |");
                    continue;
                }
                let start = Instant::now();
                let outcome = attempt(case, device, dtype);
                let seconds = start.elapsed().as_secs_f64();
                let allowed = case.depth.tolerance(dtype);
                match outcome {
                    Ok(results) => {
                        // Training in f16 skips steps until its loss scale fits; f32 does not skip any.
                        let of_type = match (case.depth, dtype) {
                            (Depth::Training, FloatType::F16) => attempt(case, &cpu, dtype).ok(),
                            _ => None,
                        };
                        let distance = distance(of_type.as_ref().unwrap_or(&reference), &results);
                        let (absolute, relative) = (distance.absolute, distance.relative);
                        let line = format!("{row}| {absolute:.1e} | {relative:.1e} | {allowed:.0e} | {seconds:.1} |");
                        compared += 1;
                        if relative > allowed || !distance.different.is_empty() {
                            failures.push(format!("{line} at {}: {}", distance.at, distance.different.join("; ")));
                        }
                        println!("{line}");
                        let _ = writeln!(table, "{line}");
                    }
                    Err(died) => failures.push(format!("{row}| panicked: {died}")),
                }
            }
        }
    }
    println!("{table}");
    if let Some(path) = std::env::var_os("COIN_PARITY_TABLE") {
        std::fs::write(path, &table).unwrap();
    }
    assert!(compared > 0, "no case was compared");
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}

/// A dtype that a device does not support is rejected with a message before anything is computed; the CPU supports all. Packed
/// weights are smaller on every device.
#[test]
fn unsupported_dtypes_are_rejected() {
    for (name, device) in devices() {
        let is_cpu = device == Device::flex();
        let build = |format| Llama::with_format(&config(serde_json::json!({})), format, 5, &device);
        let dense = build(WeightFormat::default()).unwrap().weight_bytes();
        for quantization in [Quantization::Int8, Quantization::Int4] {
            let built = build(WeightFormat { quantization: Some(quantization), ..WeightFormat::default() });
            assert!(built.unwrap().weight_bytes() < dense / 2, "{name}");
        }
        for dtype in [FloatType::F16, FloatType::Bf16] {
            let built = build(WeightFormat { dtype, quantization: None });
            let supported = device.supports_dtype(DType::from(dtype));
            assert!(supported || !is_cpu);
            match supported {
                true => assert_eq!(built.unwrap().weight_bytes(), dense / 2, "{name}"),
                false => {
                    let message = built.unwrap_err().to_string();
                    assert!(message.contains(name_of(dtype)) && message.contains("f32"), "{name}: {message}");
                }
            }
        }
    }
}
