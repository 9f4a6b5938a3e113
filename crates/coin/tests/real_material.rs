//! Training and evaluation on a small scale with real material: a pretrained LLaMA, GLUE rows, FLAN templates, and the released
//! perturbed instructions.

use std::path::Path;

use coin_testkit::{Coin, succeeded, test_folder, text};
use serde_json::Value;

fn coin(arguments: &[&str]) {
    succeeded(&mut Coin::at(env!("CARGO_BIN_EXE_coin")).command(arguments));
}

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value}"))
}

#[test]
fn a_real_model_learns_to_rank_positives_above_hard_negatives() {
    let Some(data) =
        test_folder("a_real_model_learns_to_rank_positives_above_hard_negatives", &["weights/stories260K-hf"])
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let pairs = dir.path().join("pairs.jsonl");
    let (glue, templates) = (data.join("glue"), data.join("flan/templates_v1.json"));
    coin(&[
        "pairs",
        "build",
        "--data",
        text(&glue),
        "--templates",
        text(&templates),
        "--tasks",
        "cola,sst2,rte",
        "--pairs",
        "100",
        "--out",
        text(&pairs),
    ]);
    let model = data.join("weights/stories260K-hf");
    let run = dir.path().join("run.toml");
    std::fs::write(
        &run,
        format!(
            "out = 'unset'\n[model]\npath = '{}'\n[data]\npairs = '{}'\nmax_tokens = 128\nvalidation_pairs = 64\n[lora]\nrank = 8\n\
             [objective]\npooling = 'max'\n\
             [train]\nvalidate_every = 0\nbatch_pairs = 16\nmicro_batch_pairs = 8\nsteps = 14\nlearning_rate = 0.005\n",
            model.display(),
            pairs.display()
        ),
    )
    .unwrap();
    let held_out = |kind: &str| {
        let out = dir.path().join(kind);
        let (kind, place) = (format!("objective.kind={kind}"), format!("out={}", out.display()));
        coin(&["train", "--config", text(&run), "--set", &kind, "--set", &place]);
        let metrics = lines(&out.join("metrics.jsonl"));
        let steps: Vec<Value> = metrics.iter().filter(|line| line.get("split").is_none()).cloned().collect();
        assert_eq!(steps.len(), 14);
        let validation: Vec<Value> = metrics.into_iter().filter(|line| line.get("split").is_some()).collect();
        assert_eq!(validation.len(), 2);
        validation
    };
    let (cit, coin_run) = (held_out("cit"), held_out("coin"));
    for run in [&cit, &coin_run] {
        let (before, after) = (number(&run[0], "loss_generation"), number(&run[1], "loss_generation"));
        assert!(after < 0.9 * before, "generation loss {before} -> {after}");
    }
    // Ranking of the positive above the hard negative, and above every column with another answer, with max pooling: the state at the
    // last answer token distinguishes answers before any training. When this was written, the accuracy on hard negatives rose from
    // 84.4 % to 85.9 % under cit and 96.9 % under coin, and on all columns from 50.0 % to 56.2 % and 85.9 %.
    for (key, margin) in [("hard_negative_accuracy", 0.05), ("contrastive_accuracy", 0.15)] {
        let [before, cit, coin] = [number(&coin_run[0], key), number(&cit[1], key), number(&coin_run[1], key)];
        assert!(coin > cit + margin && coin > before + margin, "{key}: {before} before, cit {cit}, coin {coin}");
    }

    let out = dir.path().join("eval");
    let (adapter, prompts) = (dir.path().join("coin/adapter"), data.join("coin/perturbed_prompts.json"));
    coin(&[
        "eval",
        "--model",
        text(&model),
        "--adapter",
        text(&adapter),
        "--glue",
        text(&glue),
        "--prompts",
        text(&prompts),
        "--tasks",
        "cola",
        "--samples",
        "6",
        "--max-new-tokens",
        "12",
        "--out",
        text(&out),
    ]);
    assert_eq!(lines(&out.join("ledger.jsonl")).len(), 6 * 6 * 5);
    assert!(out.join("results/cola/deepwordbug/len_12_0_shot_prompt5.csv").exists());
    assert!(out.join("unseen_instruction_acc.csv").exists());
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["runs"][0]["tasks"].as_array().unwrap().len(), 5);
}
