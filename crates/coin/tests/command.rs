//! The command's output, messages and exit codes.

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
fn a_tokenizer_that_would_panic_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let pairs = dir.path().join("pairs.jsonl");
    let pair = serde_json::json!({"original_instruction": "Is it good? ", "paraphrased_instruction": "Good? ", "targets": "yes"});
    std::fs::write(&pairs, format!("{pair}\n{pair}\n")).unwrap();
    let path = base.join("tokenizer.json");
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for pattern in [serde_json::json!({"String": ""}), serde_json::json!({"Regex": "x*"})] {
        tokenizer["normalizer"] = serde_json::json!({"type": "Replace", "pattern": pattern, "content": "a".repeat(50)});
        std::fs::write(&path, tokenizer.to_string()).unwrap();
        let inspect = ["pairs", "inspect", "--model", text(&base), text(&pairs)];
        COIN.refused(inspect, &["tokenizer.json", "its normalizer replaces", "matches the empty text"]);
    }
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
fn a_perturbed_set_has_audit_and_recipe_and_is_reproducible() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("prompts.json");
    std::fs::write(&input, r#"{"cola": ["Decide whether the given sentence is 'acceptable' or 'unacceptable': "]}"#)
        .unwrap();
    let run = |name: &str| {
        let out = dir.path().join(name);
        let attacks = "deepwordbug,textfooler,checklist,semantic";
        COIN.succeeded(["perturb", "--attack", attacks, "--input", text(&input), "--seed", "7", "--out", text(&out)]);
        std::fs::read_to_string(out).unwrap()
    };
    let first = run("a.json");
    assert_eq!(first, run("b.json"));
    let set: Value = serde_json::from_str(&first).unwrap();
    for attack in ["deepwordbug", "textfooler", "checklist", "semantic"] {
        let perturbed = set[attack]["cola"][0].as_str().unwrap();
        assert_ne!(perturbed, set["clean"]["cola"][0].as_str().unwrap(), "{attack}");
        assert!(perturbed.contains("'acceptable'") && perturbed.contains("'unacceptable'"), "{attack}: {perturbed}");
    }
    assert!(dir.path().join("a.json.audit.jsonl").exists() && dir.path().join("a.json.recipe.json").exists());

    let set = dir.path().join("a.json");
    assert!(COIN.stdout(&["perturb", "--verify", text(&set)]).contains("unchanged since it was written, with seed 7"));
    std::fs::write(&set, first.replacen("cceptable", "cceptabel", 1)).unwrap();
    COIN.refused(&["perturb", "--verify", text(&set)], &["a.json", "changed after it was written"]);

    // The input is not overwritten.
    let same = ["perturb", "--attack", "checklist", "--input", text(&input), "--out", text(&input)];
    COIN.refused(&same, &["--out", "is the --input"]);
    let mild = dir.path().join("mild.json");
    let severity = ["--attack", "textfooler", "--budget", "1words", "--component", "system"];
    let files = ["--input", text(&input), "--out", text(&mild)];
    let table = COIN.stdout(&[&["perturb"], &severity[..], &files[..]].concat());
    assert!(table.contains("textfooler") && table.contains("1 of 1"), "{table}");
    let audit = json(dir.path().join("mild.json.audit.jsonl"));
    assert_eq!(audit["words_changed"], 1);
    let recipe = std::fs::read_to_string(dir.path().join("mild.json.recipe.json")).unwrap();
    assert!(recipe.contains(r#""component": "system""#) && recipe.contains(r#""budget": "1words""#), "{recipe}");
    let unkept = ["perturb", "--attack", "semantic", "--budget", "1words", "--input", text(&input), "--out", "x"];
    COIN.refused(&unkept, &["`semantic` cannot be limited to 1 word"]);
    let endless =
        ["perturb", "--attack", "checklist", "--budget", "1000000000characters", "--input", text(&input), "--out", "x"];
    COIN.refused(&endless, &["at most 100000 characters"]);
}

#[test]
fn a_search_hurts_the_model_it_is_aimed_at() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let (input, out) = (dir.path().join("prompts.json"), dir.path().join("searched.json"));
    std::fs::write(&input, r#"{"cola": ["Is the grammar of this sentence 'acceptable' or 'unacceptable'? "]}"#)
        .unwrap();
    let sentences = ["the cat sleeps", "cat the sleeps", "a dog runs home", "dog home a runs"];
    let rows = sentences.iter().enumerate().map(|(row, text)| ((row + 1) % 2, format!("{text} .")));
    write_cola(dir.path(), "dev.tsv", rows);
    let command = ["perturb", "--attack", "deepwordbug,checklist", "--input", text(&input), "--out", text(&out)];
    let search = ["--model", text(&base), "--glue", text(dir.path()), "--queries", "12"];
    let table = COIN.stdout(&[&command[..], &search[..]].concat());
    assert!(table.contains("checklist cola 1: ") && table.contains("after 12 queries"), "{table}");
    let log = std::fs::read_to_string(dir.path().join("searched.json.search.jsonl")).unwrap();
    let scores: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |attack: &str| scores.iter().filter(|line| line["attack"] == attack).count();
    assert!((2..=14).contains(&of("deepwordbug")) && of("checklist") == 12, "{log}");
    // The search kept the best of all candidates.
    let candidates = scores.iter().filter(|line| line["attack"] == "checklist" && line["step"] == "candidate");
    let lowest = candidates.map(|line| line["score"].as_f64().unwrap()).fold(f64::INFINITY, f64::min);
    let set = json(&out);
    let kept = set["checklist"]["cola"][0].as_str().unwrap();
    let line = scores.iter().find(|line| line["candidate"] == kept).unwrap();
    assert_eq!(line["score"].as_f64(), Some(lowest));
    assert!(COIN.stdout(&["perturb", "--verify", text(&out)]).contains("unchanged since it was written"));
    COIN.refused(&[&command[..], &["--model", text(&base)]].concat(), &["--glue"]);
}

#[test]
fn a_short_demo_writes_all_its_results() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("demo");
    let table = COIN.stdout(["demo", "--out", text(&out), "--steps", "2", "--samples", "2"]);
    let summary = json(out.join("summary.json"));
    assert_eq!((summary["schema"].as_str(), summary["version"].as_u64()), (Some("coin.summary"), Some(2)));
    let names: Vec<_> = summary["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["base", "cit", "coin"]);
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

/// A change of `config.json`, and words of the message that refuses it.
type ConfigFault = (&'static str, Value, &'static [&'static str]);

#[test]
fn model_commands_refuse_what_they_cannot_compute() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let (ids, out) = (dir.path().join("ids.json"), dir.path().join("out.safetensors"));
    let forward = |rows: &str, words: &[&str]| {
        std::fs::write(&ids, rows).unwrap();
        COIN.refused(&["model", "forward", "--model", text(&base), "--ids", text(&ids), "--out", text(&out)], words);
    };
    forward("[[1, 2], [3, 1536]]", &["row 1", "token id 1536 at position 1", "1536 ids"]);
    forward("[[1], []]", &["row 1 is empty"]);
    forward(&format!("[{:?}]", vec![1; 513]), &["row 0 has 513 tokens", "512 positions"]);
    forward("[1, 2]", &["list of lists"]);
    let prompt = "word ".repeat(600);
    COIN.refused(&["model", "generate", "--model", text(&base), "--prompt", &prompt], &["row 0", "512 positions"]);
    COIN.refused(
        &["model", "generate", "--model", text(&base), "--prompt", "a", "--temperature", "0"],
        &["temperature must be positive"],
    );
    COIN.refused(&["model", "merge", "--model", text(&base), "--out", text(dir.path())], &["--adapter"]);

    let config = base.join("config.json");
    let good = json(&config);
    let faults: [ConfigFault; 3] = [
        ("rope_scaling", serde_json::json!({"type": "dynamic", "factor": 2.0}), &["rope_scaling.rope_type", "dynamic"]),
        ("intermediate_size", 96.into(), &["model.safetensors", "mlp.gate_proj", "has shape"]),
        ("model_type", "gpt2".into(), &["model_type", "gpt2"]),
    ];
    for (key, value, words) in faults {
        let mut changed = good.clone();
        changed[key] = value;
        std::fs::write(&config, changed.to_string()).unwrap();
        COIN.refused(&["model", "generate", "--model", text(&base), "--prompt", "a"], words);
    }
    assert!(!out.exists(), "nothing may be written");
}

#[test]
fn a_model_that_is_only_on_the_hub_is_not_fetched_offline() {
    let cache = tempfile::tempdir().unwrap();
    let generate = ["model", "generate", "--model", "some-org/some-model", "--prompt", "a"];
    refused(&mut offline(cache.path(), &generate), &["some-org/some-model", text(cache.path())]);
}

#[test]
fn data_that_is_only_on_the_hub_is_not_fetched_offline() {
    let cache = tempfile::tempdir().unwrap();
    let out = cache.path().join("pairs.jsonl");
    let build = ["pairs", "build", "--data", "some-org/some-data", "--out", text(&out)];
    refused(&mut offline(cache.path(), &build), &["datasets", text(cache.path())]);
    assert!(!out.exists());
    // A snapshot in the cache, in the layout of Python's library, is used.
    let repo = cache.path().join("hub/datasets--some-org--some-data");
    let commit = "0123456789012345678901234567890123456789";
    let folder = repo.join("snapshots").join(commit).join("cola");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), commit).unwrap();
    let rows = (0..8).map(|row| format!("{{\"sentence\":\"It is {row}.\",\"label\":{}}}\n", row % 2));
    std::fs::write(folder.join("train.jsonl"), rows.collect::<String>()).unwrap();
    let build =
        ["pairs", "build", "--data", "some-org/some-data", "--tasks", "cola", "--pairs", "4", "--out", text(&out)];
    succeeded(&mut offline(cache.path(), &build));
    COIN.succeeded(["pairs", "check", text(&out)]);
}

#[test]
fn pairs_are_checked_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let file = dir.path().join("pairs.csv");
    let row = |text: &str, target: &str| format!("{text},\"{text}, again\",{target},cola,\"{{'n': 1}}\"\n");
    let head = "original_instruction,paraphrased_instruction,targets,task_name,keyword_data\n";
    let good = [row("Is it fine", "acceptable"), row("Was it fine", "unacceptable")].concat();
    std::fs::write(&file, format!("{head}{good}")).unwrap();
    let report: Value = serde_json::from_str(&COIN.stdout(&["pairs", "check", text(&file), "--json"])).unwrap();
    assert_eq!((report["pairs"].as_u64(), report["longest"].as_u64()), (Some(2), Some(30)));
    let shown = COIN.stdout(&["pairs", "inspect", text(&file), "--model", text(&base), "--count", "1"]);
    assert!(shown.contains("pair 1, original") && shown.contains("x -100") && !shown.contains('\u{1b}'), "{shown}");
    let line = COIN.stdout(&["pairs", "inspect", text(&file), "--model", text(&base), "--count", "1", "--json"]);
    let token: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let (ids, labels) = (token["ids"].as_array().unwrap(), token["labels"].as_array().unwrap());
    assert_eq!((ids.len(), labels[0].as_i64()), (labels.len(), Some(-100)));
    assert_eq!(labels.last(), ids.last());
    COIN.refused(
        &["pairs", "inspect", text(&file), "--model", text(&base), "--row", "9"],
        &["--row 9", "pairs 1 to 2"],
    );
    COIN.refused(&["pairs", "build", "--data", text(dir.path()), "--out", "pairs.csv"], &["expected .jsonl"]);
    COIN.refused(&["pairs", "build", "--data", text(dir.path()), "--out", "/no/such/p.jsonl"], &["/no/such"]);

    // Two pairs with equal targets are not hard negatives of each other.
    std::fs::write(&file, format!("{head}{}{}", row("a", "yes"), row("b", "yes"))).unwrap();
    let output = COIN.command(["pairs", "check", text(&file)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("1 couples have one target"));
    std::fs::write(&file, format!("{head}{good}a \"quote,b,c,d,{{}}\n{good}x,y,z,t,{{}}\n")).unwrap();
    COIN.refused(&["pairs", "check", text(&file)], &["pairs.csv:4", "quote"]);
}

#[test]
fn pairs_of_one_instance_stay_on_one_side_of_the_split() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let rows = coin::demo::World::new(1).training("cola", 200).unwrap();
    write_cola(&dir.path().join("glue"), "train.tsv", rows.iter().map(|row| (row.label, &row.fields["sentence"])));
    let (data, file) = (dir.path().join("glue"), dir.path().join("pairs.jsonl"));
    let build = ["pairs", "build", "--data", text(&data), "--tasks", "cola", "--pairs", "160", "--paraphrases", "2"];
    COIN.succeeded(&[&build[..], &["--out", text(&file)]].concat());
    let check = COIN.stdout(&["pairs", "check", text(&file), "--validation-pairs", "40", "--json"]);
    let held = &serde_json::from_str::<Value>(&check).unwrap()["held_out"];
    assert!(held["leaking"].as_u64().unwrap() > 10, "{held}");
    assert_eq!(
        (held["last"].as_u64(), held["whole"].as_u64(), held["left_out"].as_u64()),
        (Some(40), Some(40), Some(0))
    );
    COIN.refused(&["pairs", "check", text(&file), "--validation-pairs", "3"], &["--validation-pairs 3", "even"]);

    let run = dir.path().join("run.toml");
    let settings = format!(
        "out = '{0}/run'\n[model]\npath = '{1}'\n[data]\npairs = '{0}/pairs.jsonl'\nvalidation_pairs = 40\n[train]\nbatch_pairs = 8\n",
        dir.path().display(),
        base.display()
    );
    std::fs::write(&run, settings).unwrap();
    let warned = |preset: &str| {
        COIN.stderr(["train", "--config", text(&run), "--dry-run", "--set", &format!("train.preset={preset}")])
    };
    let leaking = format!(
        "{} of 40 held-out pairs are of instances that are trained on, so their loss is too low",
        held["leaking"]
    );
    assert!(warned("paper").contains(&leaking), "{}", warned("paper"));
    assert!(!warned("strict").contains("held-out"), "{}", warned("strict"));
}

#[test]
fn append_eos_trains_on_the_end_of_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let file = dir.path().join("pairs.jsonl");
    let pair = |text: &str, target: &str| {
        format!(
            "{{\"original_instruction\":\"{text}\",\"paraphrased_instruction\":\"{text}?\",\"targets\":\"{target}\"}}\n"
        )
    };
    std::fs::write(&file, [pair("Is it fine", "acceptable"), pair("Was it fine", "unacceptable")].concat()).unwrap();
    let inspect = |more: &[&str]| -> Value {
        let all = ["pairs", "inspect", text(&file), "--model", text(&base), "--json"];
        serde_json::from_str(COIN.stdout(&[&all[..], more].concat()).lines().next().unwrap()).unwrap()
    };
    let (plain, ending) = (inspect(&[]), inspect(&["--append-eos"]));
    let list = |row: &Value, key: &str| row[key].as_array().unwrap().clone();
    let (ids, labels) = (list(&ending, "ids"), list(&ending, "labels"));
    assert_eq!(ids[..ids.len() - 1], list(&plain, "ids")[..]);
    assert_eq!((ids.last().unwrap().as_u64(), labels.last()), (Some(2), ids.last()));
    // A tokenizer without an EOS token is refused.
    let mut config = json(base.join("config.json"));
    config.as_object_mut().unwrap().remove("eos_token_id");
    std::fs::write(base.join("config.json"), config.to_string()).unwrap();
    let all = ["pairs", "inspect", text(&file), "--model", text(&base), "--append-eos"];
    COIN.refused(&all, &["--append-eos", "has no EOS token"]);
    let run = dir.path().join("run.toml");
    let settings = format!(
        "out = '{0}/run'\n[model]\npath = '{1}'\n[data]\npairs = '{0}/pairs.jsonl'\nappend_eos = true\n[train]\nbatch_pairs = 2\n",
        dir.path().display(),
        base.display()
    );
    std::fs::write(&run, settings).unwrap();
    COIN.refused(&["train", "--config", text(&run), "--dry-run"], &["data.append_eos", "EOS"]);
}

#[test]
fn a_merged_model_answers_as_the_model_with_its_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let base = demo_base_copy(dir.path());
    let run = dir.path().join("demo");
    let pairs = dir.path().join("pairs.jsonl");
    let pair = |number: usize| {
        let target = ["acceptable", "unacceptable"][number % 2];
        serde_json::json!({
            "task": "cola", "original_instruction": format!("Is this sentence fine? the cat {number} sleeps"),
            "paraphrased_instruction": format!("Judge the grammar: the cat {number} sleeps"),
            "targets": target,
        })
        .to_string()
    };
    std::fs::write(&pairs, (0..16).map(|number| pair(number) + "\n").collect::<String>()).unwrap();
    let config = dir.path().join("run.toml");
    // All options of the model at once: 8-bit weights, adapters on all layers, recomputed activations.
    let toml = format!(
        "out = '{}'\n[model]\npath = '{}'\nquantization = 'int8'\n[data]\npairs = '{}'\n[lora]\nrank = 4\n\
         target_modules = 'all-linear'\n[train]\nsteps = 4\nbatch_pairs = 4\nlearning_rate = 0.01\ngradient_checkpointing = true\n",
        run.display(),
        base.display(),
        pairs.display()
    );
    std::fs::write(&config, toml).unwrap();
    COIN.succeeded(&["train", "--config", text(&config)]);
    let adapter = run.join("adapter");
    let merged = dir.path().join("merged");
    let report =
        COIN.stdout(&["model", "merge", "--model", text(&base), "--adapter", text(&adapter), "--out", text(&merged)]);
    assert!(report.contains("largest difference of a logit"), "{report}");
    let generate = |more: &[&str]| {
        let prompt =
            ["model", "generate", "--prompt", "Is this sentence fine? the dog sleeps", "--max-new-tokens", "9"];
        COIN.stdout(&[&prompt, more].concat())
    };
    let with_adapter = generate(&["--model", text(&base), "--adapter", text(&adapter)]);
    assert_eq!(generate(&["--model", text(&merged)]), with_adapter);
    let words = ["--out", "is not empty"];
    COIN.refused(
        &["model", "merge", "--model", text(&base), "--adapter", text(&adapter), "--out", text(&merged)],
        &words,
    );
    let drawn = |seed: &str| generate(&["--model", text(&base), "--temperature", "3", "--top-k", "40", "--seed", seed]);
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    let info = COIN.stdout(&["model", "info", text(&merged)]);
    assert!(info.contains("`<s>` before a text") && info.contains("in int4"), "{info}");
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
    lost(&weights, &[&forward[..], &[text(&weights)]].concat(), &["lies in the folder of --model"]);
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
