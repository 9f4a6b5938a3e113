//! Output folders and files: foreign folders, locks, launchers, failed writes, unusual paths and signals.

mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use coin::core::output_folder::{MARKER, OutputFolder};
use coin::demo::World;
use coin::demo::{BASE_FILES, Demo};
use coin::eval::folder;
use coin_testkit::{Coin, demo_base, failed, stderr_of, stdout_of, succeeded, text, write_cola};
use training::{run_file, train};

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

fn coin(arguments: &[&str]) -> Command {
    COIN.command(arguments)
}

/// A GLUE folder with a few sentences.
fn glue(dir: &Path) -> PathBuf {
    let rows = World::new(1).evaluation("cola", 4).unwrap();
    write_cola(&dir.join("glue"), "dev.tsv", rows.iter().map(|row| (row.label, &row.fields["sentence"])));
    dir.join("glue")
}

/// A short evaluation.
fn eval(glue: &Path, out: &Path) -> Command {
    let base = demo_base();
    let mut command = coin(&["eval", "--model", text(&base), "--glue", text(glue), "--tasks", "cola"]);
    command.args(["--attacks", "clean", "--intervals", "0", "--out"]).arg(out);
    command
}

/// The adapter of a short training run.
fn adapter(dir: &Path) -> PathBuf {
    let run = dir.join("run");
    succeeded(&mut train(&run_file(dir), &run, &["--set", "train.steps=1"]));
    run.join("adapter")
}

/// All files below a folder with their contents, and all folders.
fn content(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => {
                all.extend(content(&path));
                all.insert(path, None);
            }
            false => {
                let bytes = std::fs::read(&path).unwrap();
                all.insert(path, Some(bytes));
            }
        }
    }
    all
}

#[test]
fn a_folder_that_is_not_this_programs_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let glue = glue(dir.path());
    let evaluated = dir.path().join("evaluated");
    succeeded(&mut eval(&glue, &evaluated));
    let refused = |name: &str, command: &dyn Fn(&Path) -> Command| {
        let out = dir.path().join("foreign");
        // A folder with the name of a file is foreign too, and vice versa.
        for is_folder in [false, true] {
            match is_folder {
                true => {
                    std::fs::create_dir_all(out.join(name)).unwrap();
                    std::fs::write(out.join(name).join("mine.csv"), "1").unwrap();
                }
                false => {
                    std::fs::create_dir_all(&out).unwrap();
                    std::fs::write(out.join(name), "mine").unwrap();
                }
            }
            let before = content(&out);
            failed(&mut command(&out), 2, &["--out", "foreign", name, "was not created by this program"]);
            assert_eq!(content(&out), before, "{name}");
            std::fs::remove_dir_all(&out).unwrap();
        }
    };
    for name in folder::ENTRIES {
        refused(name, &|out| eval(&glue, out));
        refused(name, &|out| {
            let mut fresh = eval(&glue, out);
            fresh.arg("--fresh");
            fresh
        });
    }
    for name in Demo::ENTRIES {
        refused(name, &|out| coin(&["demo", "--steps", "1", "--samples", "1", "--out", text(out)]));
    }
    for name in ["summary.json", "unseen_instruction_acc.csv"] {
        refused(name, &|out| coin(&["score", text(&evaluated), "--intervals", "0", "--out", text(out)]));
    }
    // A foreign folder inside the folder of a demo.
    let demo = dir.path().join("demo");
    std::fs::create_dir_all(demo.join("coin/adapter")).unwrap();
    std::fs::write(demo.join(MARKER), "").unwrap();
    let before = content(&demo);
    failed(&mut coin(&["demo", "--out", text(&demo)]), 2, &["demo/coin contains adapter"]);
    assert_eq!(content(&demo), before);
}

#[test]
fn other_files_in_the_folder_are_kept_and_results_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, out) = (glue(dir.path()), dir.path().join("out"));
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("log.txt"), "mine").unwrap();
    succeeded(&mut eval(&glue, &out));
    std::fs::write(out.join("results/stale.csv"), "").unwrap();
    succeeded(&mut eval(&glue, &out));
    assert!(!out.join("results/stale.csv").exists());
    // `coin score` may write to the folder of its ledger.
    succeeded(&mut coin(&["score", text(&out), "--intervals", "0", "--out", text(&out)]));
    assert_eq!(std::fs::read_to_string(out.join("log.txt")).unwrap(), "mine");
}

#[test]
fn two_processes_do_not_write_to_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, out) = (glue(dir.path()), dir.path().join("out"));
    succeeded(&mut eval(&glue, &out));
    let before = content(&out);
    let held = OutputFolder::claim(&out, &[]).unwrap();
    let words = ["out", "another process is writing to this folder"];
    failed(&mut eval(&glue, &out), 2, &words);
    failed(&mut coin(&["score", text(&out), "--intervals", "0", "--out", text(&out)]), 2, &words);
    failed(&mut coin(&["demo", "--steps", "1", "--out", text(&out)]), 2, &words);
    assert_eq!(content(&out), before);
    drop(held);
    succeeded(&mut eval(&glue, &out));
}

#[test]
fn processes_of_a_launcher_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, out) = (glue(dir.path()), dir.path().join("out"));
    let launched = |mut command: Command, variable: &str| {
        command.env(variable, "2");
        failed(&mut command, 2, &[&format!("{variable}=2"), "coin train --ranks"]);
    };
    for variable in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "WORLD_SIZE"] {
        launched(eval(&glue, &out), variable);
    }
    let config = dir.path().join("run.toml");
    for command in [
        &["train", "--config", text(&config)][..],
        &["demo", "--out", text(&out)],
        &["score", text(&out), "--out", text(&out)],
        &["report", text(&out), "--out", "r.html"],
        &["perturb", "--attack", "checklist", "--input", "x", "--out", "y"],
        &["pairs", "build", "--data", "x", "--out", "y"],
        &["model", "merge", "--model", "x", "--adapter", "y", "--out", text(&out)],
    ] {
        launched(coin(command), "WORLD_SIZE");
    }
    // Allowed: joined ranks, a command that does not write, one process, an allocation.
    let mut joined = coin(&["train", "--config", text(&config), "--ranks", "2", "--rank", "0", "--address", "x:1"]);
    joined.env("WORLD_SIZE", "2");
    failed(&mut joined, 2, &["run.toml"]);
    let base = demo_base();
    let mut info = coin(&["model", "info", text(&base)]);
    info.env("WORLD_SIZE", "2");
    succeeded(&mut info);
    let mut alone = eval(&glue, &out);
    alone.env("WORLD_SIZE", "1").env("SLURM_NTASKS", "8");
    succeeded(&mut alone);
}

#[test]
fn an_output_file_must_not_be_a_result_in_a_folder_of_this_program() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, out) = (glue(dir.path()), dir.path().join("out"));
    succeeded(&mut eval(&glue, &out));
    let input = dir.path().join("prompts.json");
    std::fs::write(&input, r#"{"cola": ["Is it fine? "]}"#).unwrap();
    let perturb = |to: &Path| coin(&["perturb", "--attack", "checklist", "--input", text(&input), "--out", text(to)]);
    let before = content(&out);
    for name in ["ledger.jsonl", "summary.json", "prompts.json", "results/new.json", MARKER] {
        failed(&mut perturb(&out.join(name)), 2, &["--out", "is a result in", "choose another name"]);
    }
    assert_eq!(content(&out), before);
    // A file with another name may be written and replaced, and so may a report.
    for _ in 0..2 {
        succeeded(&mut perturb(&out.join("mine.json")));
        succeeded(&mut coin(&["report", text(&out), "--intervals", "0", "--out", text(&out.join("report.html"))]));
    }
    // The same checks apply to the files written next to a set.
    let set = dir.path().join("set.json");
    std::fs::create_dir(dir.path().join("set.json.audit.jsonl")).unwrap();
    failed(&mut perturb(&set), 2, &["--out", "set.json.audit.jsonl", "is a folder"]);
    let recipe = dir.path().join("a.recipe.json");
    std::fs::copy(&input, &recipe).unwrap();
    let a = dir.path().join("a");
    let command = ["perturb", "--attack", "checklist", "--input", text(&recipe), "--out", text(&a)];
    failed(&mut coin(&command), 2, &["a.recipe.json", "is the --input"]);
}

#[test]
fn a_merged_model_has_all_files_of_its_base_except_the_weights() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = adapter(dir.path());
    let folder = dir.path().join("base");
    std::fs::create_dir_all(folder.join("checkpoint-5")).unwrap();
    std::fs::create_dir_all(folder.join(".git")).unwrap();
    let along = [
        "LICENSE",
        "README.md",
        "added_tokens.json",
        "chat_template.jinja",
        "generation_config.json",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    ];
    let behind = [
        ".gitattributes",
        "adapter_config.json",
        "adapter_model.bin",
        "checkpoint-5/trainer_state.json",
        ".git/config",
        "model.Q4_K_M.gguf",
        "model.safetensors.index.json",
        "pytorch_model-00001-of-00002.bin",
        "training_args.bin",
    ];
    for name in along.iter().chain(&behind) {
        std::fs::write(folder.join(name), "{}").unwrap();
    }
    for name in BASE_FILES {
        std::fs::copy(demo_base().join(name), folder.join(name)).unwrap();
    }
    let merge = |out: &Path, more: &[&str]| {
        let mut command = coin(&["model", "merge", "--model", text(&folder), "--adapter", text(&adapter)]);
        command.arg("--out").arg(out).args(more);
        command
    };
    let out = dir.path().join("merged");
    // Another process merges into the same folder.
    std::fs::create_dir(dir.path().join(".merged.partial")).unwrap();
    let held = OutputFolder::claim(&dir.path().join(".merged.partial"), &[]).unwrap();
    failed(&mut merge(&out, &[]), 2, &["another process"]);
    drop(held);
    succeeded(&mut merge(&out, &[]));
    let mut names: Vec<String> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected = [&along[..], &BASE_FILES].concat();
    expected.sort();
    assert_eq!(names, expected);
    assert!(!dir.path().join(".merged.partial").exists());
    let before = content(&out);
    failed(&mut merge(&out, &[]), 2, &["--out", "merged is not empty, expected a new folder"]);
    assert_eq!(content(&out), before);
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    config["max_position_embeddings"] = 0.into();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let other = dir.path().join("other");
    failed(&mut merge(&other, &[]), 2, &["`max_position_embeddings` = 0", "at least 1"]);
    assert!(!other.exists());
}

/// Runs `coin` under a limit on the size of files, in units of 512 or 1024 bytes.
#[cfg(unix)]
fn limited(units: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -f {units}; exec \"$0\" \"$@\""), COIN.path()]).args(arguments);
    command
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_written_leaves_a_set_and_its_files_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let (short, long) = (dir.path().join("short.json"), dir.path().join("long.json"));
    std::fs::write(&short, r#"{"cola": ["Is this sentence fine? "]}"#).unwrap();
    let text_of_many_words = "Is this sentence of many words fine? ".repeat(40);
    std::fs::write(&long, serde_json::json!({ "cola": vec![text_of_many_words; 4] }).to_string()).unwrap();
    let out = dir.path().join("set.json");
    let perturb = |input: &Path| {
        ["perturb", "--attack", "checklist", "--input", text(input), "--out", text(&out)].map(str::to_owned)
    };
    let arguments = perturb(&short);
    succeeded(&mut coin(&arguments.each_ref().map(String::as_str)));
    let before = content(dir.path());
    let arguments = perturb(&long);
    // The recipe is below the limit; the set, which is written last, is not.
    failed(&mut limited(8, &arguments.each_ref().map(String::as_str)), 1, &["set.json", "File too large"]);
    assert_eq!(content(dir.path()), before);
    succeeded(&mut coin(&["perturb", "--verify", text(&out)]));
}

#[cfg(unix)]
#[test]
fn a_merge_that_cannot_be_written_leaves_nothing_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let (adapter, base, out) = (adapter(dir.path()), demo_base(), dir.path().join("merged"));
    let merge = ["model", "merge", "--model", text(&base), "--adapter", text(&adapter), "--out", text(&out)];
    let before = content(dir.path());
    failed(&mut limited(64, &merge), 1, &["File too large"]);
    assert_eq!(content(dir.path()), before);
    succeeded(&mut coin(&merge));
    succeeded(&mut coin(&["model", "info", text(&out)]));
}

#[cfg(target_os = "linux")]
#[test]
fn paths_that_are_not_utf8_and_names_with_control_characters() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let glue = glue(dir.path());
    let odd = |name: &[u8]| dir.path().join(std::ffi::OsStr::from_bytes(name));
    // The path is written to the settings of a summary.
    let prompts = odd(b"prompts-\xff.json");
    std::fs::write(&prompts, r#"{"clean": {"cola": ["Is it 'acceptable' or 'unacceptable'? "]}}"#).unwrap();
    let out = odd(b"out-\xff");
    let mut command = eval(&glue, &out);
    command.arg("--prompts").arg(&prompts);
    succeeded(&mut command);
    let summary = std::fs::read_to_string(out.join("summary.json")).unwrap();
    assert!(summary.contains("prompts-\u{fffd}.json"), "{summary}");
    let mut score = coin(&["score", "--intervals", "0"]);
    score.arg(&out).arg("--out").arg(odd(b"score-\xff"));
    succeeded(&mut score);
    let mut report = coin(&["report", "--intervals", "0"]);
    report.arg(&out).arg("--out").arg(odd(b"report-\xff.html"));
    succeeded(&mut report);
    let (input, set) = (odd(b"in-\xff.json"), odd(b"set-\xff.json"));
    std::fs::copy(&prompts, &input).unwrap();
    let mut perturb = coin(&["perturb", "--attack", "checklist"]);
    perturb.arg("--input").arg(&input).arg("--out").arg(&set);
    succeeded(&mut perturb);
    // The demo's run files are text and cannot contain the path.
    let demo = odd(b"demo-\xff");
    let mut command = coin(&["demo", "--steps", "1", "--out"]);
    command.arg(&demo);
    failed(&mut command, 2, &["--out", "not UTF-8"]);
    assert!(!demo.exists());

    let escape = odd(b"a\x1b]0;title\x07");
    let mut score = coin(&["score", "--intervals", "0"]);
    score.arg(&escape).args(["--out", "x"]);
    failed(&mut score, 2, &["a\\u{1b}]0;title\\u{7}"]);
    let printed = {
        let mut report = coin(&["report", "--intervals", "0"]);
        report.arg(&out).arg("--out").arg(odd(b"\x1b[31m.html"));
        stdout_of(&mut report)
    };
    assert!(printed.contains("\\u{1b}[31m.html") && !printed.contains('\u{1b}'), "{printed}");
}

/// Starts a command, sends `signal` when `ready` returns true, and returns the exit code and standard error.
#[cfg(unix)]
fn signaled(mut command: Command, signal: &str, ready: impl Fn() -> bool) -> (Option<i32>, String) {
    use std::time::{Duration, Instant};
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "the command ended before it could be stopped");
        assert!(start.elapsed() < Duration::from_secs(120), "the command did not get ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[cfg(unix)]
#[test]
fn an_evaluation_stopped_by_a_signal_reports_what_is_kept_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, out) = (glue(dir.path()), dir.path().join("out"));
    let slow = |out: &Path| {
        let mut command = eval(&glue, out);
        command.args(["--batch-size", "1", "--full-decode", "--max-new-tokens", "200"]);
        command
    };
    let whole = dir.path().join("whole");
    succeeded(&mut slow(&whole));
    let lines = |out: &Path| std::fs::read_to_string(out.join("ledger.jsonl")).unwrap_or_default().lines().count();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let (ended, message) = signaled(slow(&out), signal, || lines(&out) > 0);
        let kept = lines(&out);
        assert!(ended == Some(code) && kept < lines(&whole), "{signal}: {ended:?}: {message}");
        let total = lines(&whole);
        assert!(message.contains(&format!("with {kept} of {total} answers, kept in")), "{message}");
        assert!(message.contains("ledger.jsonl; the same command resumes there"), "{message}");
        assert!(!out.join("summary.json").exists());
        std::fs::remove_dir_all(&out).unwrap();
    }
    let (_, message) = signaled(slow(&out), "-INT", || lines(&out) > 0);
    assert!(message.contains("a second signal ends the program immediately"), "{message}");
    let kept = lines(&out);
    assert!(stderr_of(&mut slow(&out)).contains(&format!("{kept} answers are in")));
    assert_eq!(lines(&out), lines(&whole));
}

#[cfg(unix)]
#[test]
fn a_demo_stopped_by_a_signal_can_be_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("demo");
    let demo = |steps: &str| coin(&["demo", "--steps", steps, "--samples", "1", "--out", text(&out)]);
    // During training, and during evaluation.
    for (steps, file, signal, code) in
        [("500", "cit/metrics.jsonl", "-TERM", 143), ("1", "base/ledger.jsonl", "-INT", 130)]
    {
        let ready = || out.join(file).metadata().is_ok_and(|metadata| metadata.len() > 0);
        let (ended, message) = signaled(demo(steps), signal, ready);
        assert_eq!(ended, Some(code), "{message}");
        assert!(message.contains("keeps what was written, without a summary"), "{message}");
        assert!(!out.join("summary.json").exists());
    }
    succeeded(&mut demo("1"));
    assert!(out.join("summary.json").exists() && !out.join("cit/checkpoints").exists());
}
