//! Signals in the middle of a run: a kill loses at most the steps since the last checkpoint, a polite one none.
#![cfg(unix)]

mod training;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use training::{run_file, train};

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
        let told = String::from_utf8_lossy(&ended.stderr);
        match signal {
            "-KILL" => assert_eq!(ended.status.code(), None),
            // As the shell has it, so that `train && eval` does not evaluate half a run.
            _ => {
                let code = if signal == "-INT" { 130 } else { 143 };
                assert_eq!(ended.status.code(), Some(code), "{signal}: {told}");
                assert!(told.contains("with a checkpoint; resume with --resume"), "{told}");
                assert!(told.contains(&format!("stopped by SIG{}", signal.trim_start_matches('-'))), "{told}");
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

#[test]
fn a_signal_that_the_caller_ignores_does_not_stop_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let out = dir.path().join("run");
    let run = train(&config, &out, &[]);
    // As `nohup` does it.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    let mut child = shell.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for_checkpoint(&out, &mut child);
    assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(out.join("adapter").exists());
}

#[test]
fn processes_share_a_run_and_agree_with_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = run_file(dir.path());
    let steps = ["--set", "train.steps=6", "--set", "train.checkpoint_every=4"];
    let alone = dir.path().join("alone");
    assert!(train(&config, &alone, &steps).output().unwrap().status.success());
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let out = dir.path().join("shared");
    let rank = |rank: &str, more: &[&str]| {
        let ranks = ["--ranks", "2", "--rank", rank, "--address", &address];
        train(&config, &out, &[&steps[..], &ranks[..], more].concat()).spawn().unwrap()
    };
    let both = |more: &[&str]| {
        for child in [rank("0", more), rank("1", more)] {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    };
    both(&[]);
    let metrics = |out: &Path| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (expected, found) = (metrics(&alone), metrics(&out));
    assert_eq!((expected.len(), found.len()), (6, 6));
    for (expected, found) in expected.iter().zip(&found) {
        for key in ["loss", "loss_contrastive", "grad_norm", "supervised_tokens"] {
            let (a, b) = (expected[key].as_f64().unwrap(), found[key].as_f64().unwrap());
            // Sums in another order.
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{key}: {a} {b}");
        }
    }
    // Both go on from the checkpoint that rank 0 wrote.
    let adapter = |out: &Path| std::fs::read(out.join("adapter/adapter_model.safetensors")).unwrap();
    let whole = adapter(&out);
    std::fs::remove_dir_all(out.join("adapter")).unwrap();
    both(&["--resume"]);
    assert!(adapter(&out) == whole);
    // Ranks of different runs do not train together.
    let other = |rank: &str, seed: &str| {
        let out = dir.path().join("other");
        let ranks = ["--ranks", "2", "--rank", rank, "--address", &address, "--set", seed];
        train(&config, &out, &ranks).spawn().unwrap()
    };
    let children = [other("0", "train.seed=1"), other("1", "train.seed=2")];
    for child in children {
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && message.contains("expected 2 ranks"), "{message}");
    }
}
