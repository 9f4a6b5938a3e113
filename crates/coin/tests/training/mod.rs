//! Short runs of `coin train` on the demo's base model.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coin_testkit::{Coin, demo_base};

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

/// The command for a run that writes to `out`.
pub fn train(config: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = COIN.command(["train", "--config"]);
    command.arg(config).arg("--set").arg(format!("out={}", out.display())).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Writes a run file for the demo's base model, with dropout, gradient caching and a checkpoint after every step.
pub fn run_file(dir: &Path) -> PathBuf {
    let pairs = dir.join("pairs.jsonl");
    let lines = (0..24).map(|number| {
        let target = ["acceptable", "unacceptable"][number % 2];
        serde_json::json!({
            "task": "cola", "targets": target,
            "original_instruction": format!("Is this sentence fine? the cat {number} sleeps on the old mat"),
            "paraphrased_instruction": format!("Judge the grammar of: the cat {number} sleeps on the old mat"),
        })
        .to_string()
            + "\n"
    });
    std::fs::write(&pairs, lines.collect::<String>()).unwrap();
    let config = dir.join("run.toml");
    let text = format!(
        "out = 'unset'\n[model]\npath = '{}'\n[data]\npairs = '{}'\n[train]\nsteps = 40\nbatch_pairs = 8\n\
         micro_batch_pairs = 4\nlearning_rate = 0.003\ncheckpoint_every = 1\n",
        demo_base().display(),
        pairs.display()
    );
    std::fs::write(&config, text).unwrap();
    config
}
