//! `coin eval`: resuming after a kill, custom tasks, scorers, demonstrations, long prompts, servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coin::demo::World;
use coin::eval::{Ledger, Record, Summary};
use coin_testkit::{Coin, demo_base, refused, refused_after_notes, stderr_of, succeeded, text, write_cola};

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

/// A GLUE folder with `rows` sentences of the demo world as CoLA, for both splits.
fn glue(dir: &Path, rows: usize) -> PathBuf {
    let (glue, world) = (dir.join("glue"), World::new(1));
    for (name, rows) in [("dev.tsv", world.evaluation("cola", rows)), ("train.tsv", world.training("cola", rows))] {
        write_cola(&glue, name, rows.unwrap().iter().map(|row| (row.label, &row.fields["sentence"])));
    }
    glue
}

fn eval(glue: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = COIN.command(["eval", "--model"]);
    command.arg(demo_base()).arg("--glue").arg(glue).arg("--out").arg(out);
    command.args(["--tasks", "cola"]).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

type Place = (String, String, usize, usize);

fn by_place(records: Vec<Record>) -> BTreeMap<Place, Record> {
    let place = |record: &Record| (record.task.clone(), record.level.clone(), record.instruction, record.row);
    let count = records.len();
    let map: BTreeMap<Place, Record> = records.into_iter().map(|record| (place(&record), record)).collect();
    assert_eq!(map.len(), count, "an answer occurs twice");
    map
}

#[test]
fn killed_at_any_moment_it_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let glue = glue(dir.path(), 30);
    let more = ["--batch-size", "8"];
    let whole = dir.path().join("whole");
    let start = Instant::now();
    succeeded(&mut eval(&glue, &whole, &more));
    let takes = start.elapsed();
    let whole = by_place(Ledger::read(whole.join("ledger.jsonl")).unwrap());

    let out = dir.path().join("killed");
    let (mut kills, mut finished, mut answered, mut state) = (0, 0, 0, 12345u64);
    while kills < 50 {
        let mut child = eval(&glue, &out, &more).spawn().unwrap();
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // From before its first file to well into it.
        let share = (state >> 33) as f64 / (1u64 << 31) as f64;
        std::thread::sleep(takes.mul_f64(0.4 * share).min(Duration::from_secs(2)));
        // SIGKILL: the process cannot clean up.
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let bytes = std::fs::read(out.join("ledger.jsonl")).unwrap_or_default();
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        assert!(lines >= answered, "{lines} of {answered} answers are left");
        answered = lines;
        match status.success() {
            // The evaluation finished before the signal; start another.
            true => {
                finished += 1;
                std::fs::remove_dir_all(&out).unwrap();
                answered = 0;
            }
            false => kills += 1,
        }
    }
    succeeded(&mut eval(&glue, &out, &more));
    println!("50 kills, {finished} evaluations finished between them");
    let records = by_place(Ledger::read(out.join("ledger.jsonl")).unwrap());
    assert_eq!(records.len(), whole.len());
    for (place, record) in records {
        let expected = &whole[&place];
        // A hidden state rounds differently in another batch.
        let cosines = record.cosine_to_clean.zip(expected.cosine_to_clean);
        assert!(cosines.is_none_or(|(a, b)| (a - b).abs() < 1e-5), "{record:?} {expected:?}");
        let alike = Record { cosine_to_clean: None, margin: None, ..record };
        assert_eq!(alike, Record { cosine_to_clean: None, margin: None, ..expected.clone() });
    }
}

#[test]
fn a_ledger_of_other_settings_is_refused_and_a_fresh_start_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, out) = (glue(dir.path(), 4), dir.path().join("out"));
    succeeded(&mut eval(&glue, &out, &["--attacks", "clean"]));
    assert!(stderr_of(&mut eval(&glue, &out, &["--attacks", "clean"])).contains("24 answers are in"));
    refused(
        &mut eval(&glue, &out, &["--attacks", "clean", "--full-decode"]),
        &["ledger.jsonl", "different settings", "--fresh"],
    );
    succeeded(&mut eval(&glue, &out, &["--attacks", "clean", "--full-decode", "--fresh"]));
    assert_eq!(Ledger::read(out.join("ledger.jsonl")).unwrap().len(), 24);
    let mut torn = std::fs::read(out.join("ledger.jsonl")).unwrap();
    torn.extend_from_slice(b"{\"key\": \"");
    std::fs::write(out.join("ledger.jsonl"), torn).unwrap();
    succeeded(&mut eval(&glue, &out, &["--attacks", "clean", "--full-decode"]));
    assert!(std::fs::read(out.join("ledger.jsonl")).unwrap().ends_with(b"}\n"));
}

#[test]
fn a_custom_task_needs_no_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("topic.toml");
    std::fs::write(
        &file,
        "version = 3\nname = 'topic'\ngroup = 'topic'\ncontent = 'Question: {question}'\nlabels = ['acceptable', 'unacceptable']\n\
         metrics = ['accuracy', 'f1']\n[data]\nvalidation = 'rows.csv'\nlabel = 'kind'\nvalues = ['HUM', 'LOC']\ncolumns = { question = 'text' }\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("rows.csv"), "text,kind\nwho was it,HUM\nwhere was it,LOC\n\"who, then\",HUM\n")
        .unwrap();
    let prompts = dir.path().join("prompts.json");
    std::fs::write(
        &prompts,
        r#"{"clean": {"topic": ["What is asked for? "]}, "noisy": {"topic": ["Wht is askd for? "]}}"#,
    )
    .unwrap();
    let command = |out: &str, more: &[&str]| {
        let mut command = COIN.command(["eval", "--model"]);
        command.arg(demo_base()).arg("--task-file").arg(&file).arg("--prompts").arg(&prompts);
        command.arg("--out").arg(dir.path().join(out)).args(more);
        command
    };
    succeeded(&mut command("generated", &[]));
    succeeded(&mut command("scored", &["--scorer", "likelihood"]));
    let summary = Summary::read(dir.path().join("scored/summary.json")).unwrap();
    let cell = summary.runs[0].task("topic", "noisy").unwrap();
    assert_eq!((cell.group.as_str(), cell.examples, cell.measures.unparsable), ("topic", 3, 0.0));
    assert!(cell.measures.f1.is_some());
    assert_eq!(summary.settings["tasks"][0], "topic version 3");
    let records = Ledger::read(dir.path().join("scored/ledger.jsonl")).unwrap();
    assert!(records.iter().all(|record| record.likelihoods.as_ref().is_some_and(|words| words.len() == 2)));

    refused(&mut command("x", &["--attacks", "textfooler"]), &["prompts.json", "`textfooler`", "clean, noisy"]);
    refused(&mut command("x", &["--shots", "1"]), &["topic", "data.train"]);
    std::fs::write(dir.path().join("rows.csv"), "text,kind\nwho was it,NUM\n").unwrap();
    refused(&mut command("x", &[]), &["rows.csv:2", "unknown label `NUM`", "HUM, LOC"]);
    std::fs::write(dir.path().join("rows.csv"), "words,kind\nwho was it,HUM\n").unwrap();
    refused(&mut command("x", &[]), &["rows.csv:1", "no column `text`"]);
    assert!(!dir.path().join("x").exists());
}

#[test]
fn system_text_and_demonstrations_are_evaluated_components() {
    let dir = tempfile::tempdir().unwrap();
    let glue = glue(dir.path(), 6);
    let input_of = |out: &Path, level: &str, shots: usize| {
        let path = out.join(format!("results/cola/{level}/len_7_{shots}_shot_prompt0.csv"));
        std::fs::read_to_string(path).unwrap()
    };
    let out = dir.path().join("system");
    succeeded(&mut eval(&glue, &out, &["--system", "Answer every question carefully.", "--component", "system"]));
    assert!(input_of(&out, "clean", 0).contains("Answer every question carefully."));
    let changed = input_of(&out, "deepwordbug", 0);
    assert!(!changed.contains("Answer every question carefully.") && changed.contains("acceptable"));
    assert!(input_of(&out, "checklist", 0).contains("Answer every question carefully"));

    let out = dir.path().join("shots");
    let more = ["--shots", "2", "--component", "demonstrations", "--attacks", "deepwordbug"];
    succeeded(&mut eval(&glue, &out, &more));
    let (clean, changed) = (input_of(&out, "clean", 2), input_of(&out, "deepwordbug", 2));
    assert_eq!(clean.matches("### Response:").count(), 3 * 6);
    assert_eq!(changed.matches("### Response:").count(), 3 * 6);
    assert_ne!(clean, changed);
    refused(&mut eval(&glue, &dir.path().join("x"), &["--component", "system"]), &["--system"]);
    let all = ["--shots", "6", "--shots-from", "validation"];
    refused(&mut eval(&glue, &dir.path().join("x"), &all), &["task `cola` has no examples"]);
}

#[test]
fn no_example_is_shown_its_own_answer_and_instructions_place_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let glue = glue(dir.path(), 6);
    // Four of the training rows are also in the development file.
    let dev = std::fs::read_to_string(glue.join("CoLA/dev.tsv")).unwrap();
    let train = std::fs::read_to_string(glue.join("CoLA/train.tsv")).unwrap();
    let twins: String = dev.lines().take(4).chain(train.lines().take(2)).map(|line| format!("{line}\n")).collect();
    std::fs::write(glue.join("CoLA/train.tsv"), twins).unwrap();
    let prompts = dir.path().join("prompts.json");
    let set = |instruction: &str| {
        std::fs::write(&prompts, format!("{{\"clean\": {{\"cola\": [\"{instruction}\"]}}}}")).unwrap();
    };
    set("Sentence: {content} Is it acceptable or unacceptable? { 'a': 1 }");
    let out = dir.path().join("out");
    let with = |more: &[&str], out: &Path| eval(&glue, out, &[&["--prompts", text(&prompts)], more].concat());
    let message = stderr_of(&mut with(&["--shots", "2"], &out));
    assert!(message.contains("cola: 4 training rows are also evaluated"), "{message}");
    let texts = std::fs::read_to_string(out.join("results/cola/clean/len_7_2_shot_prompt0.csv")).unwrap();
    assert_eq!(texts.matches("Is it acceptable or unacceptable? { 'a': 1 }").count(), 3 * 6);
    for sentence in dev.lines().map(|line| line.split('\t').nth(3).unwrap()) {
        assert_eq!(texts.matches(&format!("Sentence: {sentence} Is it")).count(), 1, "{sentence}");
    }
    refused_after_notes(
        &mut with(&["--shots", "3"], &dir.path().join("x")),
        &["3 demonstrations requested, but there are only 2 examples"],
    );

    set("Judge {sentence}, {premise}: ");
    let words = ["level `clean`", "task `cola`", "{premise}", "{content}, {sentence}"];
    refused(&mut with(&[], &dir.path().join("x")), &words);
    set("Judge {sentence}: ");
    refused_after_notes(&mut with(&["--shots", "1"], &dir.path().join("x")), &["places the field {sentence}"]);

    // The twin of a demonstration is not evaluated.
    set("Judge: ");
    std::fs::write(glue.join("CoLA/dev.tsv"), format!("{dev}{dev}")).unwrap();
    let out = dir.path().join("validation");
    succeeded(&mut with(&["--shots", "2", "--shots-from", "validation"], &out));
    let texts = std::fs::read_to_string(out.join("results/cola/clean/len_7_2_shot_prompt0.csv")).unwrap();
    assert_eq!(texts.matches("### Response:").count(), 3 * 8, "{texts}");
}

#[test]
fn prompts_longer_than_the_context_are_refused_shortened_or_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let glue = glue(dir.path(), 4);
    let file = glue.join("CoLA/dev.tsv");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str(&format!("w\t1\t\t{}\n", "the cat sleeps ".repeat(400)));
    std::fs::write(&file, text).unwrap();
    let out = dir.path().join("out");
    let clean = ["--attacks", "clean", "--long-prompts"];
    refused(&mut eval(&glue, &out, &["--attacks", "clean"]), &["example 4", "too long for the model"]);
    for (policy, answers, shortened, left_out) in [("shorten", 30, 6, 0), ("skip", 24, 0, 1)] {
        succeeded(&mut eval(&glue, &out, &[&clean[..], &[policy, "--fresh"]].concat()));
        let records = Ledger::read(out.join("ledger.jsonl")).unwrap();
        assert_eq!(records.len(), answers);
        assert_eq!(records.iter().filter(|record| record.shortened).count(), shortened);
        let summary = Summary::read(out.join("summary.json")).unwrap();
        assert_eq!(
            (summary.settings["left_out"].as_u64(), summary.settings["shortened"].as_u64()),
            (Some(left_out), Some(shortened as u64))
        );
    }
}

#[test]
fn answers_of_other_settings_are_not_reused_and_stale_results_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (file, rows, prompts) = (dir.path().join("t.toml"), dir.path().join("rows.csv"), dir.path().join("p.json"));
    let task = |labels: &str| {
        format!(
            "version = 1\nname = 't'\ngroup = 't'\ncontent = '{{text}}'\nlabels = {labels}\n[data]\nvalidation = 'rows.csv'\n\
             label = 'kind'\nvalues = ['a', 'b']\n"
        )
    };
    std::fs::write(&file, task("['acceptable', 'unacceptable']")).unwrap();
    std::fs::write(
        &rows,
        (0..40).map(|row| format!("row {row},a\n")).fold("text,kind\n".to_owned(), |all, row| all + &row),
    )
    .unwrap();
    std::fs::write(&prompts, r#"{"clean": {"t": ["Judge: "]}, "noisy": {"t": ["Jdge: "]}}"#).unwrap();
    let command = |out: &str, more: &[&str]| {
        let mut command = COIN.command(["eval", "--model"]);
        command.arg(demo_base()).arg("--task-file").arg(&file).arg("--prompts").arg(&prompts);
        command.arg("--out").arg(dir.path().join(out)).args(more);
        command
    };
    let at = |path: &str| dir.path().join(path);
    succeeded(&mut command("one", &["--representations", "t"]));
    assert!(at("one/representations.safetensors").exists());
    succeeded(&mut command("one", &["--fresh", "--samples", "30"]));
    assert!(!at("one/representations.safetensors").exists() && at("one/summary.json").exists());
    // Other label words, or another class of an example, make another evaluation.
    std::fs::write(&file, task("['yes', 'no']")).unwrap();
    refused(&mut command("one", &["--samples", "30"]), &["different settings", "--fresh"]);
    refused(&mut command("one", &["--samples", "40"]), &["different settings", "--fresh"]);
    assert!(at("one/summary.json").exists() && at("one/results").exists(), "a refused folder stays as it is");
    std::fs::write(&file, task("['acceptable', 'unacceptable']")).unwrap();
    let flipped = std::fs::read_to_string(&rows).unwrap().replace(",a\n", ",b\n");
    std::fs::write(&rows, &flipped).unwrap();
    refused(&mut command("one", &["--samples", "30"]), &["has class 0 in the ledger, but class 1 in this evaluation"]);
    std::fs::write(&file, task("['yes', 'yes']")).unwrap();
    refused(&mut command("x", &[]), &["the label `yes` twice"]);

    // Runs with different sentences in the same rows are not compared.
    std::fs::write(&file, task("['acceptable', 'unacceptable']")).unwrap();
    std::fs::write(&rows, flipped.replace(",b\n", ",a\n").replace("row", "line")).unwrap();
    succeeded(&mut command("two", &["--samples", "30"]));
    let report = |more: &[&str]| {
        let mut command = COIN.command(["report"]);
        command.args([at("one"), at("two")]).arg("--out").arg(at("r.md")).args(more);
        command
    };
    let message = stderr_of(&mut report(&["--name", "first", "--name", "second"]));
    assert!(message.contains("first and second are not compared: they answered different examples"), "{message}");
    let page = std::fs::read_to_string(at("r.md")).unwrap();
    assert!(page.contains("first") && page.contains("second") && !page.contains("second compared with first"));
    std::fs::remove_file(at("two/summary.json")).unwrap();
    refused(&mut report(&[]), &["two: the evaluation is not finished"]);
}

/// A server that answers every completion with ` acceptable`, except the first two, which it answers with an error.
fn server() -> String {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut reader = BufReader::new(stream.unwrap());
            let head: Vec<String> =
                reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let length =
                head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            reader.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
            let (status, body) = match number {
                0 | 1 => ("503 Service Unavailable", "{}"),
                _ => (
                    "200 OK",
                    r#"{"choices": [{"text": " acceptable"}], "usage": {"prompt_tokens": 10, "completion_tokens": 2}}"#,
                ),
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    format!("http://{address}")
}

#[test]
fn a_model_behind_a_server_is_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let (glue, out) = (glue(dir.path(), 5), dir.path().join("out"));
    let command = |more: &[&str]| {
        let mut command =
            COIN.command(["eval", "--model", "served", "--tasks", "cola", "--attacks", "clean", "--glue"]);
        command.arg(&glue).arg("--out").arg(&out).args(more).env("COIN_TEST_KEY", "sk-secret");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let address = server();
    let message = stderr_of(&mut command(&[
        "--endpoint",
        &address,
        "--key-env",
        "COIN_TEST_KEY",
        "--price-prompt",
        "1",
        "--price-completion",
        "2",
    ]));
    assert!(message.contains("32 requests, 2 of them retries; 300 tokens sent, 60 generated"), "{message}");
    let records = Ledger::read(out.join("ledger.jsonl")).unwrap();
    assert!(records.len() == 30 && records.iter().all(|record| record.pred == 1));
    for file in ["ledger.jsonl", "summary.json"] {
        assert!(!std::fs::read_to_string(out.join(file)).unwrap().contains("sk-secret"));
    }
    refused(&mut command(&["--endpoint", &address, "--key-env", "COIN_NO_SUCH_KEY"]), &["COIN_NO_SUCH_KEY"]);
    refused(&mut command(&["--endpoint", "http://10.0.0.1", "--key-env", "COIN_TEST_KEY"]), &["unencrypted"]);
    refused(&mut command(&["--endpoint", &address, "--parameter", "seed=x"]), &["--parameter seed=x"]);
}
