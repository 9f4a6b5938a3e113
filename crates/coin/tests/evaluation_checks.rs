//! Warnings and errors of `coin eval`, `coin score` and `coin report` about their inputs: unreadable rows, prompts that lost their
//! label words, thoughts, ledgers of two models. Also progress without a terminal.

use std::path::{Path, PathBuf};

use coin::eval::{Ledger, Record, Summary};
use coin_testkit::{Coin, demo_base, text, write_cola};

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

/// A GLUE folder with these rows as CoLA's development set.
fn glue(dir: &Path, rows: &[(&str, &str)]) -> PathBuf {
    write_cola(&dir.join("glue"), "dev.tsv", rows.iter().copied());
    dir.join("glue")
}

const GOOD: [(&str, &str); 2] = [("1", "The boat sank."), ("0", "Sank boat the.")];

#[test]
fn rows_that_cannot_be_read_are_left_out_on_request_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let glue = glue(dir.path(), &[GOOD[0], ("good", "No class."), GOOD[1]]);
    let (out, base) = (dir.path().join("out"), demo_base());
    let arguments =
        ["eval", "--model", text(&base), "--glue", text(&glue), "--tasks", "cola", "--attacks", "clean", "--out"];
    let arguments = [&arguments[..], &[text(&out)]].concat();
    COIN.refused(&arguments, &["dev.tsv:2"]);
    let message = COIN.stderr(&[&arguments[..], &["--skip-bad"]].concat());
    assert!(message.contains("cola: line 2 left out") && message.contains("1 of 3 rows left out"), "{message}");
    // Without a terminal, progress is a line with the rate.
    let line = message.lines().find(|line| line.starts_with("evaluate: 12 of 12 in ")).unwrap();
    assert!(line.ends_with(" a second"), "{line}");
    let summary = Summary::read(out.join("summary.json")).unwrap();
    assert_eq!(summary.settings["skipped_rows"], serde_json::json!({"cola": 1}));
    let rows: Vec<usize> = Ledger::read(out.join("ledger.jsonl")).unwrap().iter().map(|record| record.row).collect();
    assert!(rows.contains(&0) && rows.contains(&2) && !rows.contains(&1), "{rows:?}");
}

#[test]
fn prompts_of_a_file_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, base) = (glue(dir.path(), &GOOD), demo_base());
    let (clean, frozen, out) = (dir.path().join("clean.json"), dir.path().join("frozen.json"), dir.path().join("out"));
    let evaluate = |prompts: &Path| {
        let arguments =
            ["eval", "--model", text(&base), "--glue", text(&glue), "--tasks", "cola", "--fresh", "--prompts"];
        let message = COIN.stderr(&[&arguments[..], &[text(prompts), "--out", text(&out)]].concat());
        (message, Summary::read(out.join("summary.json")).unwrap().settings)
    };
    std::fs::write(&clean, r#"{"clean": {"cola": ["Decide whether the sentence is acceptable or unacceptable: ", "Judge the grammar: "]}}"#).unwrap();
    COIN.succeeded(&["perturb", "--attack", "deepwordbug", "--input", text(&clean), "--out", text(&frozen)]);
    let (message, settings) = evaluate(&frozen);
    assert!(!message.contains("warning"), "{message}");
    assert_eq!(settings["prompts_check"]["recipe"], "verified");

    // An edited set: one instruction lost a label word, another is identical to the clean one.
    let mut set: serde_json::Value = serde_json::from_slice(&std::fs::read(&frozen).unwrap()).unwrap();
    set["deepwordbug"]["cola"] =
        serde_json::json!(["Decide whether the sentence is accetable or unacceptable: ", "Judge the grammar: "]);
    std::fs::write(&frozen, set.to_string()).unwrap();
    let (message, settings) = evaluate(&frozen);
    for part in [
        "level `deepwordbug`: 1 of 2 instructions do not contain the label words of the clean one, such as task `cola`, instruction 0",
        "level `deepwordbug`: 1 of 2 instructions are identical to the clean one, such as task `cola`, instruction 1",
        "frozen.json does not match its recipe",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let found = &settings["prompts_check"];
    assert_eq!(found["labels_changed"], serde_json::json!({"deepwordbug": 1}));
    assert_eq!(found["unchanged"], serde_json::json!({"deepwordbug": 1}));
    assert!(found["recipe"].as_str().unwrap().starts_with("altered"), "{found}");
}

#[test]
fn a_ledger_of_two_models_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (run, out) = (dir.path().join("run"), dir.path().join("out"));
    std::fs::create_dir(&run).unwrap();
    let record = |model: &str, row| Record {
        model: model.to_owned(),
        task: "cola".to_owned(),
        level: "clean".to_owned(),
        row,
        ..Record::default()
    };
    let write = |second: &str| {
        let mut ledger = coin::eval::Ledger::create(run.join("ledger.jsonl")).unwrap();
        ledger.append(&[record("one", 0), record(second, 1)]).unwrap();
    };
    write("one");
    COIN.succeeded(&["score", text(&run), "--out", text(&run)]);
    write("two");
    let words = ["ledger.jsonl:2: answered by the model `two`, but line 1 by `one`"];
    COIN.refused(&["score", text(&run), "--out", text(&out)], &words);
    // Control characters in a message are escaped.
    write("\u{1b}[31m");
    COIN.refused(&["score", text(&run), "--out", text(&out)], &["answered by the model `\\u{1b}[31m`"]);
    write("two");
    COIN.refused(&["report", text(&run), "--out", text(&dir.path().join("r.md"))], &words);
}

#[test]
fn thoughts_in_a_ledger_are_scored_again() {
    let dir = tempfile::tempdir().unwrap();
    let record = |row, raw_pred: &str| Record {
        task: "cola".to_owned(),
        level: "clean".to_owned(),
        row,
        raw_pred: raw_pred.to_owned(),
        pred: -1,
        gold: 1,
        ..Record::default()
    };
    let answers = ["<think>unacceptable?</think>acceptable", "unacceptable?</think> acceptable", "<think>acceptable"];
    let records: Vec<Record> = answers.iter().enumerate().map(|(row, answer)| record(row, answer)).collect();
    coin::eval::Ledger::create(dir.path().join("ledger.jsonl")).unwrap().append(&records).unwrap();
    for scorer in ["released", "normalizing"] {
        COIN.succeeded(&["score", text(dir.path()), "--scorer", scorer, "--out", text(dir.path())]);
        let summary = Summary::read(dir.path().join("summary.json")).unwrap();
        let measures = &summary.runs[0].tasks[0].measures;
        let third = 1.0 / 3.0;
        assert_eq!((measures.accuracy, measures.unparsable, measures.unfinished_thoughts), (2.0 * third, third, third));
    }
}

#[test]
fn training_runs_have_the_given_names_in_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"step":0,"epoch":0.0,"lr":0.0,"loss":1.0,"loss_generation":1.0,"loss_contrastive":1.0,"loss_contrastive_scaled":1.0,"contrastive_accuracy":0.5,"similarity_positive":0.5,"similarity_negative":0.5,"grad_norm":1.0,"pairs":2,"supervised_tokens":4,"seconds":0.1}"#;
    let runs = ["a", "b"].map(|name| dir.path().join(name).join("coin"));
    for run in &runs {
        std::fs::create_dir_all(run).unwrap();
        std::fs::write(run.join("metrics.jsonl"), format!("{line}\n")).unwrap();
        std::fs::write(run.join("config.resolved.toml"), "out = \"x\"\n").unwrap();
    }
    let report = dir.path().join("report.md");
    let arguments = ["report", text(&runs[0]), text(&runs[1]), "--out", text(&report)];
    COIN.refused(&arguments, &["there is already a run called `coin`; give --name"]);
    COIN.succeeded(&[&arguments[..], &["--name", "first", "--name", "second"]].concat());
    let page = std::fs::read_to_string(&report).unwrap();
    assert!(page.contains("| first | 0 |") && page.contains("| second | 0 |"), "{page}");
}

#[test]
fn summaries_are_called_as_the_report_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let record = Record { task: "cola".to_owned(), level: "clean".to_owned(), ..Record::default() };
    let files = ["a", "b"].map(|name| {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let run = coin::eval::metrics::score("base", std::slice::from_ref(&record)).unwrap();
        let file = folder.join("summary.json");
        Summary::new(serde_json::Map::new(), vec![run]).write(&file).unwrap();
        file
    });
    let report = dir.path().join("report.md");
    let page = |more: &[&str]| {
        COIN.succeeded([&["report", text(&files[0]), text(&files[1]), "--out", text(&report)], more].concat());
        std::fs::read_to_string(&report).unwrap()
    };
    let named = page(&["--name", "first", "--name", "second"]);
    assert!(named.contains("| first | second |") && !named.contains("| base"), "{named}");
    let unnamed = page(&[]);
    assert!(unnamed.contains("| base | b |"), "{unnamed}");
    let folder = dir.path().join("a");
    for again in [&files[0], &folder] {
        let arguments = ["report", text(&files[0]), text(again), "--name", "x", "--name", "y", "--out", text(&report)];
        COIN.refused(arguments, &["this summary is given twice"]);
    }
}

#[test]
fn texts_made_here_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, base, out) = (glue(dir.path(), &GOOD), demo_base(), dir.path().join("out"));
    let arguments = ["eval", "--model", text(&base), "--glue", text(&glue), "--tasks", "cola", "--out", text(&out)];
    let system =
        |system| [&arguments[..], &["--component", "system", "--attacks", "textfooler", "--system", system]].concat();
    COIN.refused(system(" "), &["--system is empty"]);
    let message = COIN.stderr(system("the a"));
    assert!(
        message.contains("warning: level `textfooler`: 1 of 1 system texts are identical to the clean one: the a"),
        "{message}"
    );
    let settings = Summary::read(out.join("summary.json")).unwrap().settings;
    assert_eq!(settings["prompts_check"]["unchanged"], serde_json::json!({"textfooler": 1}));
}

#[test]
fn pairs_without_keywords_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pairs.jsonl");
    let write = |keywords: &str| {
        let line = |text: &str, target: &str| {
            format!(
                "{{\"original_instruction\": \"{text}\", \"paraphrased_instruction\": \"{text}?\", \"targets\": \"{target}\"{keywords}}}\n"
            )
        };
        std::fs::write(&file, line("a", "yes") + &line("b", "no")).unwrap();
        COIN.stdout(["pairs", "check", text(&file), "--validation-pairs", "2"])
    };
    let caveat = "2 pairs have no keywords: their instances are recognized by their texts only";
    let found = write("");
    assert!(found.contains(caveat), "{found}");
    let found = write(", \"keywords\": {\"sentence\": \"x\"}");
    assert!(found.contains("held out") && !found.contains("no keywords"), "{found}");
}

#[test]
fn instructions_that_an_attack_leaves_unchanged_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (input, out) = (dir.path().join("in.json"), dir.path().join("out.json"));
    std::fs::write(&input, r#"{"cola": ["", "Is this good English? "]}"#).unwrap();
    let printed = COIN.stdout(["perturb", "--attack", "deepwordbug", "--input", text(&input), "--out", text(&out)]);
    assert!(printed.contains("unchanged"), "{printed}");
    assert!(printed.contains("deepwordbug left unchanged: cola 1 (empty)\n"), "{printed}");
    let audit = std::fs::read_to_string(dir.path().join("out.json.audit.jsonl")).unwrap();
    assert_eq!(audit.lines().filter(|line| line.contains("\"unchanged\":true")).count(), 1, "{audit}");
}
