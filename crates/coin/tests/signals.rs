//! Signals in the middle of a run: a kill loses at most the steps since the last checkpoint, a polite one none.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn train(config: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coin"));
    command.args(["train", "--config"]).arg(config).arg("--set").arg(format!("out={}", out.display())).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A run file for the demo's base: dropout, caching, a checkpoint after every step.
fn run_file(dir: &Path) -> PathBuf {
    let pairs = dir.join("pairs.jsonl");
    let lines = (0..24).map(|number| {
        let target = ["acceptable", "unacceptable"][number % 2];
        serde_json::json!({
            "task": "cola", "targets": target,
            "original_instruction": format!("Is this sentence fine? the cat {number} sleeps on the old mat"),
            "paraphrased_instruction": format!("Judge the grammar of: the cat {number} sleeps on the old mat"),
        })
        .to_string()
            + "\n"
    });
    std::fs::write(&pairs, lines.collect::<String>()).unwrap();
    let config = dir.join("run.toml");
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo-base");
    let text = format!(
        "out = 'unset'\n[model]\npath = '{}'\n[data]\npairs = '{}'\n[train]\nsteps = 40\nbatch_pairs = 8\n\
         micro_batch_pairs = 4\nlearning_rate = 0.003\ncheckpoint_every = 1\n",
        base.display(),
        pairs.display()
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// Waits until the run has done a few steps.
fn wait_for_checkpoint(out: &Path, child: &mut Child) {
    let start = Instant::now();
    loop {
        let steps = std::fs::read_dir(out.join("checkpoints")).into_iter().flatten().flatten();
        if steps.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-")).count() >= 3 {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be stopped");
        assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn killed_and_stopped_runs_end_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let adapter = |out: &Path| std::fs::read(out.join("adapter/adapter_model.safetensors")).unwrap();
    let whole = dir.path().join("whole");
    assert!(train(&config, &whole, &[]).status().unwrap().success());
    for signal in ["-KILL", "-TERM", "-INT"] {
        let out = dir.path().join(signal.trim_start_matches('-'));
        let mut child = train(&config, &out, &[]).spawn().unwrap();
        wait_for_checkpoint(&out, &mut child);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let ended = child.wait_with_output().unwrap();
        assert!(!out.join("adapter").exists(), "{signal}: the run was over before the signal");
        match signal {
            "-KILL" => assert_eq!(ended.status.code(), None),
            _ => {
                assert_eq!(ended.status.code(), Some(0), "{signal}: {}", String::from_utf8_lossy(&ended.stderr));
                assert!(String::from_utf8_lossy(&ended.stdout).contains("go on with --resume"));
            }
        }
        // Without --resume the run's folder is not touched.
        let refused = train(&config, &out, &[]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("earlier run"));
        assert!(train(&config, &out, &["--resume"]).status().unwrap().success());
        assert_eq!(adapter(&out), adapter(&whole), "{signal}");
    }
}
