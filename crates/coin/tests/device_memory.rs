//! A failed allocation on a device is an error with advice, not a crash.

mod training;

use std::path::Path;
use std::sync::Mutex;

use burn::tensor::{Device, Tensor};
use coin::device::{Backend, DeviceKind, states};
use coin::memory::{Shortage, catch};
use coin_testkit::{Coin, text};
use training::{run_file, train};

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

/// Serializes the tests, because [`catch`] observes the whole process.
static CATCHING: Mutex<()> = Mutex::new(());

/// Allocates a tensor that is larger than the device's memory or its largest buffer.
fn too_large(name: &str, device: &Device) -> Result<f32, String> {
    // wgpu's shaders use 32-bit indices, so its tensor must have fewer than 2^32 values: 16 GiB, four times the largest
    // possible buffer.
    let rows = if name.starts_with("wgpu") { (1 << 16) - 1 } else { 1 << 24 };
    let tensor = Tensor::<2>::ones([rows, 1 << 16], device);
    tensor.sum().try_into_scalar::<f32>().map_err(|error| error.to_string())
}

#[test]
fn an_allocation_that_fails_is_a_shortage() {
    let _alone = CATCHING.lock();
    for name in coin::device::present().into_iter().filter(|name| name != "cpu") {
        let device = coin::device::named(&name).unwrap();
        let outcome = catch(|| too_large(&name, &device), |error| Some(error.clone()));
        match outcome {
            Err(Shortage { bytes: Some(bytes), .. }) => assert!(bytes > 16 << 30 || name.starts_with("wgpu"), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        // The device is still usable.
        let eight =
            || Tensor::<1>::ones([8], &device).sum().try_into_scalar::<f32>().map_err(|error| error.to_string());
        assert_eq!(catch(eight, |error| Some(error.clone())), Ok(Ok(8.0)), "{name}");
    }
}

/// Text about memory that does not come from a device is shown as it is.
#[test]
fn words_about_memory_are_not_a_shortage() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("out of memory").join("model");
    let message = COIN.refused(["model", "info", text(&absent)], &[text(&absent)]);
    assert!(!message.contains("--device"), "{message}");
}

/// A known limitation of cubecl 0.11 and WGSL: a kernel over more than 2^32 values uses 64-bit indices, which WGSL does not
/// support, so its compilation fails. A model that fits in memory does not use tensors of this size. (With `autotune`, the
/// tensor is allocated before a kernel is chosen, and the allocation already fails, as it should.)
#[test]
fn wgsl_does_not_support_64_bit_indices() {
    let _alone = CATCHING.lock();
    let software = states().into_iter().filter(|state| state.backend.is_compiled() && state.backend == Backend::Wgpu);
    let software =
        software.flat_map(|state| state.devices.unwrap_or_default()).filter(|found| found.kind == DeviceKind::Software);
    for found in software {
        let device = coin::device::named(&found.device).unwrap();
        let sum = || Tensor::<2>::ones([1 << 17, 1 << 16], &device).sum().try_into_scalar::<f32>();
        let outcome = catch(|| sum().map_err(|error| error.to_string()), |error| Some(error.clone()));
        match &outcome {
            Ok(Err(message)) => assert!(message.contains("WGSL compilation failed"), "{message}"),
            other => assert!(cfg!(feature = "autotune") && matches!(other, Err(Shortage { .. })), "{other:?}"),
        }
    }
}

/// A buffer of a wgpu software adapter is limited to about 128 MiB, less than the attention of 64 pairs of 300 tokens needs.
#[test]
fn a_batch_that_does_not_fit_gives_advice() {
    let software = states()
        .into_iter()
        .filter(|state| state.backend.is_compiled())
        .flat_map(|state| state.devices.unwrap_or_default());
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let pairs = dir.path().join("long.jsonl");
    let words = "the cat sleeps on the old mat ".repeat(20);
    let lines = (0..64).map(|number| {
        let target = ["acceptable", "unacceptable"][number % 2];
        serde_json::json!({
            "task": "cola", "targets": target,
            "original_instruction": format!("Is this sentence fine? {words} {number}"),
            "paraphrased_instruction": format!("Judge the grammar of: {words} {number}"),
        })
        .to_string()
            + "\n"
    });
    std::fs::write(&pairs, lines.collect::<String>()).unwrap();
    for device in software.filter(|found| found.kind == DeviceKind::Software).map(|found| found.device) {
        let out = dir.path().join("out");
        let pairs = format!("data.pairs={}", pairs.display());
        let device = format!("train.device={device}");
        let more = [&pairs, &device, "data.max_tokens=400", "train.batch_pairs=64", "train.micro_batch_pairs=64"];
        let more: Vec<&str> = more.into_iter().flat_map(|setting| ["--set", setting]).collect();
        let output = train(&config, &out, &more).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        for part in ["MiB", "train.micro_batch_pairs", "train.gradient_checkpointing", "--resume"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("panicked"), "{message}");
    }
}

/// The settings named in the advice, and the devices, may change when a run resumes.
#[test]
fn a_run_resumes_with_smaller_micro_batches() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let settings = ["train.micro_batch_pairs=2", "train.gradient_checkpointing=true", "train.device=cpu,cpu"];
    let smaller: Vec<&str> =
        ["--resume"].into_iter().chain(settings.into_iter().flat_map(|key| ["--set", key])).collect();
    let last_loss = |out: &Path| {
        let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["step"] == 3).find_map(|line| line["loss"].as_f64()).unwrap()
    };
    for preset in ["strict", "paper"] {
        let out = dir.path().join(preset);
        let preset_key = format!("train.preset={preset}");
        let settings = ["--set", "train.steps=4", "--set", &preset_key];
        assert!(train(&config, &out, &settings).output().unwrap().status.success());
        let whole = last_loss(&out);
        let output = train(&config, &out, &[&settings[..], &smaller].concat()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        match preset {
            "strict" => {
                assert!(output.status.success(), "{message}");
                let resumed = last_loss(&out);
                // The last step again, with sums in a different order.
                assert!((whole - resumed).abs() < 1e-4, "{whole} {resumed}");
            }
            // In the paper preset, every micro-batch has a separate loss.
            _ => {
                assert_eq!(output.status.code(), Some(2), "{message}");
                assert!(message.contains("train.micro_batch_pairs (4 -> 2)"), "{message}");
                assert!(!message.contains("checkpointing") && !message.contains("device"), "{message}");
            }
        }
    }
}
