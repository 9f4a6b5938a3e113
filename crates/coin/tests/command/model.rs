//! `coin model`.

use super::*;

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
