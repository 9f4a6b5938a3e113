//! `coin pairs`, and the options of `coin train` for pairs.

use super::*;

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
        "{} of 40 held-out pairs share their instance with training pairs, so their loss is too low",
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
