//! `scripts/reproduce.sh` from real GLUE rows to the report, on a small scale: a pretrained LLaMA, FLAN's templates, and the
//! released perturbed instructions. Also the run files of the 7B model.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use coin::data::pairs;
use coin::loss::Pooling;
use coin::model::FloatType;
use coin::train::RunConfig;
use coin::train::config::{Objective, TrainPreset};
use coin_testkit::{Coin, stderr as error, test_folder, text};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run_file(kind: &str, preset: &str) -> RunConfig {
    RunConfig::read(&root().join(format!("examples/seven_b/{kind}-{preset}.toml")), &[]).unwrap()
}

#[test]
fn the_run_files_of_the_7b_model_have_the_papers_settings() {
    for (name, preset) in [("paper", TrainPreset::Paper), ("strict", TrainPreset::Strict)] {
        let (cit, mut coin) = (run_file("cit", name), run_file("coin", name));
        assert_eq!((cit.objective.kind, coin.objective.kind), (Objective::Cit, Objective::Coin));
        assert_ne!(cit.out, coin.out);
        let (model, data, train) = (&coin.model, &coin.data, &coin.train);
        assert_eq!(model.path, Path::new("yahma/llama-7b-hf"));
        assert_eq!(model.adapter.as_deref(), Some(Path::new("tloen/alpaca-lora-7b")));
        assert_eq!((model.dtype, &*train.device), (FloatType::Bf16, "cuda:0"));
        assert_eq!((data.max_tokens, data.validation_pairs, data.shuffle), (256, 2000, true));
        assert_eq!(
            (coin.objective.temperature, coin.objective.lambda, coin.objective.pooling),
            (0.05, 1000.0, Pooling::Last)
        );
        assert_eq!((train.preset, train.batch_pairs, train.micro_batch_pairs, train.epochs), (preset, 64, 2, 1));
        assert_eq!((train.learning_rate, train.warmup_ratio, train.max_grad_norm), (1e-4, 0.1, 1.0));
        assert_eq!((train.keep_checkpoints, train.seed, train.steps), (3, 42, None));
        // The default, an eighth of an epoch.
        assert_eq!((train.validate_every, train.checkpoint_every), (None, None));
        let lora = coin.lora.as_ref().unwrap();
        assert_eq!(lora, &coin::model::LoraConfig::default());
        assert_eq!((lora.rank, lora.alpha, lora.dropout), (16, 16.0, 0.05));
        // The two runs do not differ in anything else.
        coin.objective.kind = Objective::Cit;
        coin.out.clone_from(&cit.out);
        assert_eq!(cit, coin);
        // The presets do not differ in anything else.
        let mut paper = run_file("cit", "paper");
        (paper.train.preset, paper.out) = (preset, cit.out.clone());
        assert_eq!(cit, paper);
    }
}

/// Runs the script with these variables set.
fn reproduce(out: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("bash");
    command.arg(root().join("scripts/reproduce.sh")).env("OUT", out).env("COIN", env!("CARGO_BIN_EXE_coin"));
    command.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn wrong_settings_are_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let refused = reproduce(&out, &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(error(&refused).contains("PAIRS or DATA is needed"), "{}", error(&refused));
    assert!(!out.exists());
    let refused = reproduce(&out, &[("PAIRS", "pairs.jsonl"), ("PRESET", "other")]);
    assert!(error(&refused).contains("expected paper or strict"), "{}", error(&refused));
}

#[test]
fn the_script_runs_from_data_to_the_report_and_resumes() {
    let Some(data) = test_folder("the_script_runs_from_data_to_the_report_and_resumes", &["weights/stories260K-hf"])
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (glue, templates) = (data.join("glue"), data.join("flan/templates_v1.json"));
    let (model, prompts) = (data.join("weights/stories260K-hf"), data.join("coin/perturbed_prompts.json"));
    let variables = |steps: &'static str| {
        [
            ("MODEL", text(&model).to_owned()),
            ("ADAPTER", String::new()),
            ("DATA", text(&glue).to_owned()),
            ("FORMAT", "glue".to_owned()),
            ("TEMPLATES", text(&templates).to_owned()),
            ("TRAIN_TASKS", "cola,sst2".to_owned()),
            ("TASK_PAIRS", "40".to_owned()),
            ("LIMIT", "60".to_owned()),
            ("HELD_OUT", "20".to_owned()),
            ("GLUE", text(&glue).to_owned()),
            ("TASKS", "cola".to_owned()),
            ("PROMPTS", text(&prompts).to_owned()),
            ("EXAMPLES", "2".to_owned()),
            ("NEW_TOKENS", "12".to_owned()),
            ("DEVICE", "cpu".to_owned()),
            ("DTYPE", "f32".to_owned()),
            ("STEPS", steps.to_owned()),
            (
                "TRAIN_SET",
                "train.batch_pairs=8 train.micro_batch_pairs=4 data.max_tokens=96 train.checkpoint_every=1".to_owned(),
            ),
        ]
    };
    let run = |steps| {
        let variables = variables(steps);
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        reproduce(&out, &variables)
    };
    let output = run("3");
    assert!(output.status.success(), "{}", error(&output));
    assert_eq!(pairs::read(out.join("pairs.jsonl")).unwrap().len(), 60);
    for file in ["cit/adapter", "coin/adapter", "eval-cit/summary.json", "eval-coin/ledger.jsonl", "report.html"] {
        assert!(out.join(file).exists(), "{file}");
    }
    let read = |file: &str| std::fs::read(out.join(file)).unwrap();
    let summary: Value = serde_json::from_slice(&read("score/summary.json")).unwrap();
    assert_eq!(summary["runs"].as_array().unwrap().len(), 2);
    assert_eq!(read("tables.txt"), output.stdout[output.stdout.len() - read("tables.txt").len()..]);

    // After the last part of the results is lost, training resumes from its checkpoint and the evaluation from its ledger.
    let (adapter, ledger) = (read("coin/adapter/adapter_model.safetensors"), read("eval-coin/ledger.jsonl"));
    std::fs::remove_dir_all(out.join("coin/adapter")).unwrap();
    std::fs::remove_file(out.join("eval-coin/summary.json")).unwrap();
    let half = ledger.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(20).map(|(at, _)| at + 1).unwrap();
    std::fs::write(out.join("eval-coin/ledger.jsonl"), &ledger[..half]).unwrap();
    let output = run("3");
    assert!(output.status.success(), "{}", error(&output));
    let said = error(&output);
    assert!(said.contains("pairs.jsonl exists") && said.contains("cit/adapter exists"), "{said}");
    assert!(said.contains("answers are in"), "{said}");
    assert_eq!(read("coin/adapter/adapter_model.safetensors"), adapter);
    // Other batches round differently, but the answers are the same.
    let answers = |ledger: &[u8]| -> Vec<[Value; 2]> {
        let lines = std::str::from_utf8(ledger).unwrap().lines();
        let records = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.map(|record| [record["key"].clone(), record["token_ids"].clone()]).collect()
    };
    assert!(read("eval-coin/ledger.jsonl").starts_with(&ledger[..half]));
    assert_eq!(answers(&read("eval-coin/ledger.jsonl")), answers(&ledger));

    // Results of other settings are not mixed with them.
    let output = run("4");
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains("STEPS=4"), "{}", error(&output));
}

/// Runs the command. Returns its success and its standard error.
fn coin(arguments: &[&str]) -> (bool, String) {
    let output = Coin::at(env!("CARGO_BIN_EXE_coin")).command(arguments).output().unwrap();
    (output.status.success(), error(&output))
}

#[test]
fn pairs_of_the_released_csv_are_taken_by_whole_couples() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, out) = (dir.path().join("released.csv"), dir.path().join("pairs.jsonl"));
    let row = |at: usize| format!("{at},\"o{at}\",\"p{at}\",t{},cola,\"{{'sentence': 's{at}'}}\"\n", at % 2);
    let header = ",original_instruction,paraphrased_instruction,targets,task_name,keyword_data\n".to_owned();
    std::fs::write(&csv, header + &(0..20).map(row).collect::<String>()).unwrap();
    let take = |more: &[&str]| {
        let (taken, said) = coin(&[&["pairs", "take", text(&csv), "--out", text(&out)], more].concat());
        assert!(taken, "{said}");
        let pairs = pairs::read(&out).unwrap();
        let place = |pair: &coin::data::Pair| pair.original_instruction[1..].parse::<usize>().unwrap();
        pairs.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(take(&["--pairs", "4"]), [0, 1, 2, 3]);
    assert_eq!(take(&["--pairs", "100"]), (0..20).collect::<Vec<_>>());
    let drawn = take(&["--pairs", "8", "--seed", "7"]);
    assert!(drawn.chunks(2).all(|couple| couple[0] % 2 == 0 && couple[1] == couple[0] + 1), "{drawn:?}");
    assert_eq!((drawn.len(), take(&["--pairs", "8", "--seed", "7"])), (8, drawn.clone()));
    assert_ne!(drawn, take(&["--pairs", "8", "--seed", "8"]));
    let (taken, said) = coin(&["pairs", "take", text(&csv), "--pairs", "3", "--out", text(&out)]);
    assert!(!taken && said.contains("--pairs 3: expected an even number"), "{said}");
}

#[test]
fn pairs_are_built_from_flans_files() {
    let dir = tempfile::tempdir().unwrap();
    let (templates, out) = (dir.path().join("templates.json"), dir.path().join("pairs.jsonl"));
    let (first, second) = ("Is this fine? {sentence}\\n{options_}", "{sentence}\\nIs that fine?\\n{options_}");
    std::fs::write(&templates, format!(r#"{{"cola": [["{first}", "{{answer}}"], ["{second}", "{{answer}}"]]}}"#))
        .unwrap();
    let row = |at: usize| {
        let answer = ["no", "yes"][at % 2];
        let inputs = format!("Is this fine? Sentence {at}.\\nOPTIONS:\\n- no\\n- yes");
        format!("{{\"inputs\": \"{inputs}\", \"targets\": \"{answer}\", \"_task_name\": \"glue/cola:2.0.0\"}}\n")
    };
    let data = dir.path().join("flan");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("part.jsonl"), (0..12).map(row).collect::<String>()).unwrap();
    let build = ["pairs", "build", "--format", "flan", "--data", text(&data), "--pairs", "8", "--out", text(&out)];
    let (built, said) = coin(&build);
    assert!(!built && said.contains("--format flan needs --templates"), "{said}");
    let (built, said) = coin(&[&build[..], &["--templates", text(&templates), "--limit", "6"]].concat());
    assert!(built && said.contains("12 rows: 12 instances"), "{said}");
    let pairs = pairs::read(&out).unwrap();
    assert_eq!(pairs.len(), 6);
    assert!(pairs::CheckReport::new(&pairs).is_sound());
    let (built, said) = coin(&[&build[..], &["--templates", text(&templates), "--limit", "5"]].concat());
    assert!(!built && said.contains("--limit 5"), "{said}");
}
