//! The command's output, messages and exit codes.

mod model;
mod pairs;
mod perturb;

use std::path::Path;
use std::process::Command;

use coin_testkit::{Coin, demo_base_copy, failed, refused, stderr, stdout, succeeded, text, write_cola};
use serde_json::Value;

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

/// The command without network, with this cache of the hub's files.
fn offline(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = COIN.command(arguments);
    command.arg("--offline").env("HF_HOME", cache).env_remove("HF_HUB_CACHE");
    command
}

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn wrong_input_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let absent = dir.path().join("absent");
    COIN.refused(&["demo", "--device", "abacus", "--out", text(&out)], &["abacus", "cpu"]);
    COIN.refused(&["demo", "--device", "cuda:0", "--out", text(&out)], &["cuda:0", "--features cuda"]);
    COIN.refused(
        &["eval", "--model", text(&absent), "--glue", text(dir.path()), "--out", text(&out)],
        &["--model", "absent"],
    );
    COIN.refused(&["train", "--config", text(&absent)], &["absent"]);
    COIN.refused(&["model", "info", text(&absent)], &["absent", "no such folder"]);
    COIN.refused(&["pairs", "build", "--data", text(&absent), "--out", text(&out)], &["--data", "absent"]);
    COIN.refused(
        &["pairs", "build", "--data", text(dir.path()), "--tasks", "colla", "--out", text(&out)],
        &["`colla`", "cola"],
    );
    COIN.refused(&["score", text(&absent), "--out", text(&out)], &["absent"]);
    COIN.refused(
        &["perturb", "--attack", "tickle", "--input", text(&absent), "--out", text(&out)],
        &["tickle", "deepwordbug"],
    );
    assert!(!out.exists(), "nothing may be written");
}

#[test]
fn long_input_is_cut_in_messages() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let (input, out) = (dir.path().join("input"), dir.path().join("out"));
    let long = "x".repeat(1_000_000);
    let cut = |content: &str, arguments: &[&str]| {
        std::fs::write(&input, content).unwrap();
        let output = COIN.command(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!message.is_empty() && message.len() < 2_000, "{arguments:?}: {} bytes", message.len());
        output.status.code()
    };
    let perturb = ["perturb", "--attack", "checklist", "--input", text(&input), "--out", text(&out)];
    assert_eq!(cut(&format!("{{\"{long}\": 3}}"), &perturb), Some(2));
    assert_eq!(cut(&format!("{{\"{long}\": [\"Is it good?\"]}}"), &perturb), Some(0));
    let forward = ["model", "forward", "--model", text(&base), "--ids", text(&input), "--out", text(&out)];
    assert_eq!(cut(&format!("[\"{long}\"]"), &forward), Some(2));
    let report = ["report", text(&input), "--out", text(&out)];
    assert_eq!(cut(&format!("{{\"schema\": \"{long}\", \"version\": 2}}"), &report), Some(2));
    let train = ["train", "--config", text(&input)];
    assert_eq!(cut(&format!("{long} = 1"), &train), Some(2));
    assert_eq!(cut(&format!("out = {long}"), &train), Some(2));
}

#[test]
fn a_corrupt_weight_file_and_an_empty_data_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let pairs = dir.path().join("pairs.jsonl");
    std::fs::write(&pairs, "").unwrap();
    let run = dir.path().join("run.toml");
    let out = dir.path().join("run");
    let config = format!(
        "out = '{}'\n[model]\npath = '{}'\n[data]\npairs = '{}'\n",
        out.display(),
        base.display(),
        pairs.display()
    );
    std::fs::write(&run, config).unwrap();
    COIN.refused(&["train", "--config", text(&run)], &["pairs.jsonl", "no pair"]);
    COIN.refused(&["train", "--config", text(&run), "--set", "train.device=abacus"], &["abacus"]);
    COIN.refused(&["train", "--config", text(&run), "--set", "train.seeds=1"], &["seeds"]);

    let weights = base.join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 100]).unwrap();
    COIN.refused(&["train", "--config", text(&run)], &["model.safetensors"]);
    assert!(!out.exists(), "nothing may be written");
}

#[test]
fn a_short_demo_writes_all_its_results() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("demo");
    let table = COIN.stdout(["demo", "--out", text(&out), "--steps", "2", "--samples", "2"]);
    let summary = json(out.join("summary.json"));
    assert_eq!((summary["schema"].as_str(), summary["version"].as_u64()), (Some("coin.summary"), Some(2)));
    let names: Vec<_> = summary["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["base", "cit", "coin", "robust"]);
    let compared = summary["comparisons"].as_array().unwrap().iter();
    let compared: Vec<_> =
        compared.map(|one| [one["before"].as_str().unwrap(), one["after"].as_str().unwrap()]).collect();
    assert_eq!(compared, [["base", "cit"], ["cit", "coin"], ["cit", "robust"]]);
    for run in summary["runs"].as_array().unwrap() {
        assert_eq!(run["tasks"].as_array().unwrap().len(), 10 * 5);
    }
    for task in ["cola", "sst2", "mrpc", "qqp", "mnli", "mnli_matched", "mnli_mismatched", "qnli", "rte", "wnli"] {
        assert!(table.contains(task), "{task}");
    }
    for file in
        ["report.html", "cit/metrics.jsonl", "cit/config.resolved.toml", "coin/adapter/adapter_model.safetensors"]
    {
        assert!(out.join(file).exists(), "{file}");
    }
    // Scoring the ledger gives the same numbers.
    let scored = dir.path().join("scored");
    COIN.succeeded(["score", text(&out.join("coin/ledger.jsonl")), "--name", "coin", "--out", text(&scored)]);
    let again = json(scored.join("summary.json"));
    assert_eq!(again["runs"][0], summary["runs"][2]);
    let report = dir.path().join("report.md");
    COIN.succeeded(["report", text(&out), "--out", text(&report)]);
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("## By perturbation level") && page.contains("## Losses at the last step"), "{page}");
    // Training runs alone have learning curves.
    let report = dir.path().join("curves.html");
    let runs = [out.join("cit"), out.join("coin")];
    COIN.succeeded(["report", text(&runs[0]), text(&runs[1]), "--out", text(&report)]);
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("Learning curves") && page.matches("<polyline").count() == 10, "{page}");
}

#[test]
fn an_output_never_replaces_an_input() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    let lost = |path: &Path, arguments: &[&str], words: &[&str]| {
        let before = std::fs::read(path).unwrap();
        COIN.refused(arguments, &[&["--out"], words].concat());
        assert_eq!(std::fs::read(path).unwrap(), before, "{arguments:?}");
    };
    let pairs = file("a.jsonl", "{}\n");
    let other_name = dir.path().join("base/../a.jsonl");
    let take = ["pairs", "take", text(&pairs), "--pairs", "2", "--out", text(&other_name)];
    lost(&pairs, &take, &["is the file that is read"]);
    let templates = file("t.json", "{}");
    let build = ["pairs", "build", "--data", text(dir.path())];
    let out = ["--templates", text(&templates), "--out", text(&templates)];
    lost(&templates, &[&build[..], &out].concat(), &["is the --templates"]);
    let data = file("t0/x_y.jsonl", "{}");
    let folder = dir.path().join("t0");
    let build = ["pairs", "build", "--format", "t0", "--data", text(&folder), "--out", text(&data)];
    lost(&data, &build, &["is a file of --data"]);
    let ids = file("ids.json", "[[1]]");
    let forward = ["model", "forward", "--model", text(&base), "--ids", text(&ids), "--out"];
    lost(&ids, &[&forward[..], &[text(&ids)]].concat(), &["is the --ids"]);
    let weights = base.join("model.safetensors");
    lost(&weights, &[&forward[..], &[text(&weights)]].concat(), &["is inside the folder of --model"]);
}

#[test]
fn impossible_outputs_and_settings_are_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let (folder, absent) = (text(dir.path()), dir.path().join("nodir/none/x.json"));
    let input = dir.path().join("prompts.json");
    std::fs::write(&input, r#"{"cola": ["Is it fine? "]}"#).unwrap();
    COIN.refused(&["pairs", "build", "--data", folder, "--out", folder], &["--out", "is a folder"]);
    let perturb = ["perturb", "--attack", "checklist", "--input", text(&input), "--out", text(&absent)];
    COIN.refused(&perturb, &["--out", "no such folder as", "nodir/none"]);
    COIN.refused(
        &["pairs", "build", "--data", folder, "--pairs", "99999999998", "--out", "p.jsonl"],
        &["--pairs", "at most"],
    );
    let augment = ["pairs", "build", "--data", folder, "--out", "p.jsonl", "--augment"];
    std::fs::create_dir(dir.path().join("CoLA")).unwrap();
    std::fs::write(dir.path().join("CoLA/train.tsv"), "s\t1\t\tGood.\ns\t0\t*\tBad.\n").unwrap();
    for (more, message) in [
        (vec!["tickle", "--tasks", "cola"], "unknown attack `tickle`, expected one of: deepwordbug"),
        (vec!["checklist", "--augment-share", "1.5", "--tasks", "cola"], "1.5 as the share of perturbed wordings"),
        (vec!["checklist", "--format", "t0"], "--augment rewords templates, which only --format glue fills"),
    ] {
        COIN.refused(&[&augment[..], &more].concat(), &[message]);
    }
    #[cfg(target_os = "linux")]
    COIN.refused(&["demo", "--out", "/proc/x"], &["--out /proc/x", "cannot create the folder"]);

    // The ledger of an earlier evaluation is kept.
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("ledger.jsonl"), "").unwrap();
    for draws in ["1", "10", "39", "1000001", "18446744073709551615"] {
        let intervals = ["--intervals", draws, "--out"];
        let eval = ["eval", "--fresh", "--model", text(&base), "--glue", folder];
        COIN.refused(&[&eval[..], &intervals, &[text(&out)]].concat(), &["--intervals", draws, "1000000"]);
        COIN.refused(&[&["score", text(&out)], &intervals[..], &[text(&out)]].concat(), &["--intervals", draws]);
        COIN.refused(&[&["report", text(&out)], &intervals[..], &["r.html"]].concat(), &["--intervals", draws]);
    }
    assert!(out.join("ledger.jsonl").exists() && !out.join("summary.json").exists());
    let generate = ["model", "generate", "--model", text(&base), "--prompt", "a", "--max-new-tokens"];
    COIN.refused(&[&generate[..], &["18446744073709551615"]].concat(), &["row 0 has", "512 positions"]);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly_and_a_full_disk_does_not() {
    use std::process::Stdio;
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let mut info = COIN.command(["model", "info", text(&base)]);
    info.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = info.spawn().unwrap();
    // Closes the reading end.
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), stderr(&ended)), (Some(0), String::new()));
    #[cfg(target_os = "linux")]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let message = failed(info.stdout(full), 1, &[]);
        assert!(message.starts_with("coin: cannot write to standard output: No space left"), "{message}");
    }
}
