//! `coin experiment`: kills, shares of a job array, several runs at once, settings that differ, bad files.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coin_testkit::{Coin, demo_base, refused, refused_after_notes, stderr, stdout_of, succeeded, write_cola};

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

/// Two arms with two seeds. The embedded model is trained for some steps, with frequent checkpoints.
const SMALL: &str = "name = 'tiny'
seeds = [1, 2]
baseline = 'cit'
draws = 100
[world]
kind = 'demo'
[evaluation]
samples = 2
levels = ['deepwordbug', 'semantic']
[data]
validation_pairs = 0
[train]
steps = 12
batch_pairs = 8
checkpoint_every = 2
[[arm]]
name = 'cit'
objective.kind = 'cit'
[[arm]]
name = 'coin'
objective.kind = 'coin'
";

/// The file `text` as an experiment with the output folder `out`.
fn experiment(dir: &Path, text: &str, out: &str, more: &[&str]) -> Command {
    let config = dir.join("experiment.toml");
    std::fs::write(&config, text).unwrap();
    let mut command = COIN.command(["experiment", "--config"]);
    command.arg(config).arg("--out").arg(dir.join(out)).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The files of results, byte for byte.
fn results(out: &Path) -> Vec<Vec<u8>> {
    let read = |name: &str| std::fs::read(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    ["table.md", "summary.json", "report.html", "experiment.resolved.toml"].map(read).to_vec()
}

/// Waits until a file or folder with a name that begins with `name` is in `folder`.
fn wait_for(folder: PathBuf, name: &str, child: &mut Child) {
    let start = Instant::now();
    let there = || {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(name))
    };
    while !there() {
        assert!(child.try_wait().unwrap().is_none(), "the experiment ended before it could be stopped");
        assert!(start.elapsed() < Duration::from_secs(120), "{name} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn modified(path: PathBuf) -> std::time::SystemTime {
    path.metadata().and_then(|metadata| metadata.modified()).unwrap()
}

#[test]
fn killed_shared_and_parallel_experiments_end_like_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name);
    let shown = stdout_of(&mut experiment(dir.path(), SMALL, "whole", &[]));
    assert!(shown.contains("− cit") && shown.contains("table.md"), "{shown}");
    let expected = results(&out("whole"));
    let table = String::from_utf8(expected[0].clone()).unwrap();
    assert!(table.contains("| cit |") && table.contains("| coin |") && table.contains("seeds 1, 2"), "{table}");

    // Killed in training, then in an evaluation.
    for (folder, name) in
        [("arms/cit/seed-1/training/checkpoints", "step-"), ("arms/coin/seed-1/evaluation", "prompts")]
    {
        let mut child = experiment(dir.path(), SMALL, "killed", &[]).spawn().unwrap();
        wait_for(out("killed").join(folder), name, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!out("killed/table.md").exists());
    }
    let done = out("killed/arms/cit/seed-1/evaluation/summary.json");
    let before = modified(done.clone());
    succeeded(&mut experiment(dir.path(), SMALL, "killed", &[]));
    assert!(results(&out("killed")) == expected, "the tables differ after a kill");
    assert_eq!(modified(done), before, "a finished run was repeated");

    // Stopped by a signal: the exit code and the message say so.
    let mut child = experiment(dir.path(), SMALL, "stopped", &[]).spawn().unwrap();
    wait_for(out("stopped/arms/cit/seed-1/training/checkpoints"), "step-", &mut child);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", stderr(&ended));
    assert!(
        stderr(&ended).contains("runs finished") && stderr(&ended).contains("the same command resumes"),
        "{}",
        stderr(&ended)
    );

    // The rest, two runs at a time, and a share of a job array at the same time as another.
    let first = stdout_of(&mut experiment(dir.path(), SMALL, "stopped", &["--only", "1/2", "--jobs", "2"]));
    assert!(first.contains("2 of 4 runs are finished; missing: coin/seed-1, coin/seed-2"), "{first}");
    assert!(!out("stopped/table.md").exists());
    let last = stdout_of(&mut experiment(dir.path(), SMALL, "stopped", &["--only", "2/2"]));
    assert!(last.contains("table.md"), "{last}");
    assert!(results(&out("stopped")) == expected, "the tables of shares differ");

    // Other settings are refused, and nothing is lost.
    let longer = SMALL.replace("steps = 12", "steps = 13");
    let words = ["arms/cit/seed-1", "train.steps (12 -> 13)", "choose another output folder"];
    refused(&mut experiment(dir.path(), &longer, "whole", &[]), &words);
    let samples = SMALL.replace("samples = 2", "samples = 3");
    refused(&mut experiment(dir.path(), &samples, "whole", &[]), &["evaluation.samples (2 -> 3)"]);
    let untrained = SMALL.replace("objective.kind = 'cit'", "train = false");
    refused(&mut experiment(dir.path(), &untrained, "whole", &[]), &["train (trained -> not trained)"]);
    assert!(results(&out("whole")) == expected);

    // Another arm is added without repeating the others.
    let before = modified(out("whole/arms/coin/seed-2/evaluation/summary.json"));
    let more = format!("{SMALL}[[arm]]\nname = 'base'\ntrain = false\n");
    let shown = stdout_of(&mut experiment(dir.path(), &more, "whole", &["--jobs", "2"]));
    assert!(shown.contains("base "), "{shown}");
    assert_eq!(modified(out("whole/arms/coin/seed-2/evaluation/summary.json")), before);
}

#[test]
fn two_processes_do_not_work_on_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("out/arms/cit/seed-1");
    // An experiment's folder.
    drop(coin::core::output_folder::OutputFolder::claim(&dir.path().join("out"), &[]).unwrap());
    let held = coin::core::output_folder::OutputFolder::claim(&unit, &["settings.toml"]).unwrap();
    // One seed, so that there is one run to wait for.
    let one = SMALL.replace("[1, 2]", "[1]").replace("[[arm]]\nname = 'coin'\nobjective.kind = 'coin'\n", "");
    refused_after_notes(&mut experiment(dir.path(), &one, "out", &[]), &["cit/seed-1", "another process"]);
    drop(held);
    let shown = stdout_of(&mut experiment(dir.path(), &one, "out", &[]));
    assert!(shown.contains("cit"), "{shown}");
}

#[test]
fn with_the_settings_of_the_demo_the_answers_are_those_of_the_demo() {
    let dir = tempfile::tempdir().unwrap();
    let demo = dir.path().join("demo");
    let options = ["--seed", "3", "--steps", "2", "--samples", "1", "--out"];
    succeeded(COIN.command(["demo"]).args(options).arg(&demo));
    let text = "seeds = [3]\nbaseline = 'coin'\nworld.kind = 'demo'\nevaluation.samples = 1\ntrain.steps = 2\n\
                [[arm]]\nname = 'coin'\n";
    let shown = stdout_of(&mut experiment(dir.path(), text, "experiment", &[]));
    assert!(shown.contains("coin"), "{shown}");
    let answers = |folder: PathBuf| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(folder.join("ledger.jsonl")).unwrap();
        let record = |line: &str| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            // The fingerprint of the model covers the adapter's file, which names the folder of the base.
            let fields = record.as_object_mut().unwrap();
            assert!(fields.remove("key").is_some() && fields.remove("model").is_some());
            record
        };
        text.lines().map(record).collect()
    };
    let ours = answers(dir.path().join("experiment/arms/coin/seed-3/evaluation"));
    assert!(ours.len() == 300 && ours == answers(demo.join("coin")), "the answers differ");
}

#[test]
fn a_model_folder_and_files_are_an_experiment_too() {
    let dir = tempfile::tempdir().unwrap();
    let world = coin::demo::World::new(1);
    let rows = world.evaluation("cola", 4).unwrap();
    write_cola(&dir.path().join("glue"), "dev.tsv", rows.iter().map(|row| (row.label, &row.fields["sentence"])));
    for seed in [1, 2] {
        let pairs = coin::demo::pairs(seed, 64).unwrap();
        coin::data::pairs::write_jsonl(dir.path().join(format!("pairs-{seed}.jsonl")), &pairs).unwrap();
    }
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "seeds = [1, 2]\nbaseline = 'base'\ndraws = 40\n[world]\nkind = 'files'\nmodel = '{}'\nglue = '{}'\npairs = '{}'\n\
         tasks = ['cola']\n[evaluation]\nsamples = 3\nlevels = ['textfooler']\n[train]\nsteps = 2\n\
         batch_pairs = 8\n[[arm]]\nname = 'base'\ntrain = false\n[[arm]]\nname = 'coin'\n",
        demo_base().display(),
        path("glue"),
        path("pairs-{seed}.jsonl"),
    );
    let shown = stdout_of(&mut experiment(dir.path(), &text, "out", &["--jobs", "2"]));
    assert!(shown.contains("word") && !shown.contains("semantic"), "{shown}");
    let resolved = std::fs::read_to_string(dir.path().join("out/arms/coin/seed-2/settings.toml")).unwrap();
    assert!(resolved.contains("pairs-2.jsonl"), "{resolved}");
    let absent = text.replace("[1, 2]", "[1, 5]");
    refused(&mut experiment(dir.path(), &absent, "other", &[]), &["world.pairs", "pairs-5.jsonl", "no such file"]);
}

#[test]
fn bad_files_are_refused_on_one_line() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to, words) in [
        ("name = 'coin'", "name = 'cit'", &["two arms are called `cit`"][..]),
        ("[1, 2]", "[1, 1]", &["seeds names 1 twice"]),
        ("[1, 2]", "[]", &["seeds is empty"]),
        ("baseline = 'cit'", "baseline = 'base'", &["`base`", "the arms are cit, coin"]),
        ("steps = 12", "stesp = 12", &["arm `cit`", "unknown field `stesp`", "`steps`"]),
        ("kind = 'demo'", "kind = 'glue'", &["unknown variant `glue`", "`demo`", "`files`"]),
        ("[train]", "[trian]", &["unknown field `trian`"]),
        ("checkpoint_every = 2", "device = 'abacus'", &["arm `cit`", "`abacus`"]),
        (
            "kind = 'demo'",
            "kind = 'files'\nmodel = 'no'\nglue = 'no'\npairs = 'no.jsonl'",
            &["world.model", "no such folder"],
        ),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let message = refused(&mut experiment(dir.path(), &SMALL.replacen(from, to, 1), "out", &[]), words);
        assert!(message.len() < 1_500, "{message}");
    }
    for wrong in [&["--jobs", "0"][..], &["--jobs", "0", "--only", "1/2"]] {
        refused(&mut experiment(dir.path(), SMALL, "out", wrong), &["--jobs must be at least 1"]);
    }
    let output = experiment(dir.path(), SMALL, "out", &["--only", "3/2"]).output().unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output).contains("I from 1 to N")),
        (Some(2), true),
        "{}",
        stderr(&output)
    );
    assert!(!dir.path().join("out").exists(), "a refused experiment wrote something");
    // A folder of another program.
    std::fs::create_dir_all(dir.path().join("theirs/arms")).unwrap();
    refused(&mut experiment(dir.path(), SMALL, "theirs", &[]), &["was not created by this program"]);
}
