//! `coin perturb`.

use super::*;

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
