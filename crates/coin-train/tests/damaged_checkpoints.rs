//! A checkpoint that changed since it was written is refused, and the message names a way to resume.

mod short_run;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use coin_core::output_folder::OutputFolder;
use coin_train::{Progress, RunConfig, RunOptions, Trainer};
use short_run::{RESUME, prepare, results, run};

/// A run that was stopped after step 7, with its checkpoints 6 and 7.
fn stopped(config: &RunConfig) -> [PathBuf; 2] {
    let stop = AtomicBool::new(false);
    let options = RunOptions { resume: false, stop: Some(&stop) };
    run(config, options, |event| {
        let at_seven = matches!(event, Progress::Step(step, _) if step.step + 1 == 7);
        stop.fetch_or(at_seven, Ordering::Relaxed);
    })
    .unwrap();
    [6, 7].map(|step| config.out.join(format!("checkpoints/step-{step:06}")))
}

/// The files of a checkpoint.
fn files(dir: &Path) -> Vec<PathBuf> {
    let names = ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "config.resolved.toml"];
    names.into_iter().chain(["optimizer.bpk", "state.json", "SHA256SUMS"]).map(|name| dir.join(name)).collect()
}

/// Every file below `dir` with its content.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(content(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn a_changed_byte_in_any_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let [_, newest] = stopped(&config);
    let trainer = Trainer::new(config.clone(), &Device::flex()).unwrap();
    for path in files(&newest) {
        let whole = std::fs::read(&path).unwrap();
        let damaged = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let message = trainer.check_folder(true).unwrap_err().to_string();
            assert!(message.contains("step-000007: is damaged: "), "{message}");
            assert!(message.ends_with("remove this folder, and --resume continues from step-000006"), "{message}");
        };
        for place in (0..whole.len()).step_by(whole.len().div_ceil(40)).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            damaged(&bytes);
        }
        let garbage: Vec<u8> = (0..whole.len()).map(|at| (at * 37 % 251) as u8).collect();
        let longer = [&whole[..], b"\n"].concat();
        for bytes in [&whole[..whole.len() / 2], &whole[..3], &[], &garbage, &longer] {
            damaged(bytes);
        }
        std::fs::remove_file(&path).unwrap();
        let message = run(&config, RESUME, |_| {}).unwrap_err().to_string();
        assert!(message.contains("is missing") && message.contains("step-000006"), "{message}");
        std::fs::write(&path, &whole).unwrap();
    }
    trainer.check_folder(true).unwrap();
}

#[test]
fn a_file_or_a_name_of_another_step_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let [older, newest] = stopped(&config);
    let refused = || run(&config, RESUME, |_| {}).unwrap_err().to_string();
    for (from, to) in files(&older).iter().zip(files(&newest)) {
        let whole = std::fs::read(&to).unwrap();
        let other = std::fs::read(from).unwrap();
        if other != whole {
            std::fs::write(&to, other).unwrap();
            let message = refused();
            assert!(message.contains("step-000007: is damaged: "), "{}: {message}", to.display());
            std::fs::write(&to, whole).unwrap();
        }
    }
    let state = newest.join("state.json");
    let whole = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, whole.replace("\"step\": 7", "\"step\": 1000000000000000000")).unwrap();
    assert!(refused().contains("state.json does not have the hash in SHA256SUMS"));
    std::fs::write(&state, whole).unwrap();
    std::fs::rename(&older, newest.with_file_name("step-000009")).unwrap();
    let message = refused();
    assert!(message.contains("step-000009: is damaged: it was written after step 6"), "{message}");
    assert!(message.ends_with("--resume continues from step-000007"), "{message}");
}

#[test]
fn without_the_damaged_checkpoint_the_run_ends_like_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    run(&config, RunOptions::default(), |_| {}).unwrap();
    let expected = results(&config.out);
    let config = short_run::at(&config, "damaged");
    let [older, newest] = stopped(&config);
    for dir in [&newest, &older] {
        std::fs::write(dir.join("optimizer.bpk"), "").unwrap();
    }
    let message = run(&config, RESUME, |_| {}).unwrap_err().to_string();
    let advice =
        "remove this folder and step-000006, which is also damaged, and --resume starts the run at its beginning";
    assert!(message.ends_with(advice), "{message}");
    std::fs::remove_dir_all(&newest).unwrap();
    std::fs::remove_dir_all(&older).unwrap();
    run(&config, RESUME, |_| {}).unwrap();
    assert_eq!(results(&config.out), expected);
}

#[test]
fn metrics_that_do_not_reach_the_checkpoint_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    stopped(&config);
    let path = config.out.join("metrics.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    let kept =
        |keep: &dyn Fn(&str) -> bool| -> String { whole.split_inclusive('\n').filter(|line| keep(line)).collect() };
    // The last step is missing, then one in the middle, then all of them.
    for (text, reached) in [
        (kept(&|line| !line.starts_with("{\"step\":6,")), 6),
        (kept(&|line| !line.starts_with("{\"step\":2,")), 2),
        (String::new(), 0),
    ] {
        std::fs::write(&path, text).unwrap();
        let before = content(&config.out);
        let message = run(&config, RESUME, |_| {}).unwrap_err().to_string();
        let expected = format!("metrics.jsonl: contains steps 1 to {reached} of the 7 before the newest checkpoint");
        assert!(message.contains(&expected), "{message}");
        assert_eq!(content(&config.out), before);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(run(&config, RESUME, |_| {}).unwrap_err().to_string().contains("metrics.jsonl"));
    std::fs::write(&path, whole).unwrap();
    run(&config, RESUME, |_| {}).unwrap();
}

#[test]
fn one_run_at_a_time_writes_to_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    stopped(&config);
    let held = OutputFolder::claim(&config.out, &[]).unwrap();
    let before = content(&config.out);
    let message = run(&config, RESUME, |_| {}).unwrap_err().to_string();
    assert!(message.contains("another process is writing to this folder"), "{message}");
    assert_eq!(content(&config.out), before);
    drop(held);
    // The run holds the lock until it ends.
    run(&config, RESUME, |event| {
        if let Progress::Step(..) = event {
            OutputFolder::claim(&config.out, &[]).unwrap_err();
        }
    })
    .unwrap();
    let _free = OutputFolder::claim(&config.out, &[]).unwrap();
}
