//! `coin compare` on the demo's base model.

use std::process::Command;

use coin::eval::wordings::Wordings;
use coin_testkit::{Coin, demo_base, refused};
use serde_json::Value;

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

fn compare(arguments: &[&str]) -> Command {
    let mut command = COIN.command(["compare", "--input", "The boat sank the.", "--model"]);
    command.arg(demo_base()).args(arguments);
    command
}

fn printed(arguments: &[&str]) -> String {
    coin_testkit::stdout_of(&mut compare(arguments))
}

const FIRST: &str = "Is this sentence acceptable or unacceptable? ";
const SECOND: &str = "Say whether the grammar is right: acceptable or unacceptable: ";

#[test]
fn label_probabilities_cosines_and_perturbed_wordings() {
    let attacks = "deepwordbug,textfooler,checklist,semantic";
    let arguments =
        ["--instruction", FIRST, "--instruction", SECOND, "--task", "cola", "--attacks", attacks, "--seed", "7"];
    let json: Value = serde_json::from_str(&printed(&[&arguments[..], &["--json"]].concat())).unwrap();
    let origins: Vec<&str> =
        json["wordings"].as_array().unwrap().iter().map(|w| w["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["given", "given", "deepwordbug", "textfooler", "checklist", "semantic"]);
    let perturbed = json["wordings"][2]["instruction"].as_str().unwrap();
    assert!(perturbed != FIRST && perturbed.contains("acceptable or unacceptable"), "{perturbed}");

    let found: Wordings = serde_json::from_value(json["models"][0]["comparison"].clone()).unwrap();
    assert_eq!(found.answers.len(), 6);
    for answer in &found.answers {
        let words: Vec<&str> = answer.probabilities.iter().map(|label| label.word.as_str()).collect();
        assert_eq!(words, ["unacceptable", "acceptable"]);
        let total: f64 = answer.probabilities.iter().map(|label| label.share).sum();
        assert!((total - 1.0).abs() < 1e-9, "{total}");
        let mass: f64 = answer.probabilities.iter().map(|label| label.probability).sum();
        assert!(mass > 0.0 && mass < 1.0 + 1e-6, "{mass}");
        // If greedy decoding generates a label, it is the more probable one.
        if let Some(label) = &answer.label {
            let best = answer.probabilities.iter().max_by(|a, b| a.share.total_cmp(&b.share)).unwrap();
            assert!(*label == best.word || mass < 0.5, "{answer:?}");
        }
    }
    let cosines = found.cosines.unwrap();
    for (i, row) in cosines.iter().enumerate() {
        assert!((row[i] - 1.0).abs() < 1e-6);
        assert!((0..6).all(|j| (row[j] - cosines[j][i]).abs() < 1e-9));
    }
    assert!(cosines[0][1] < 0.9999, "other words give another hidden state");

    let table = printed(&arguments);
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    for part in ["(checklist) ", "unacceptable", "mass", "cosine of hidden states", "of 15 pairs of wordings"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn every_table_fits_a_terminal() {
    let words = ["extraordinarily", "uncontroversial", "incomprehensible", "notwithstanding"];
    for count in 2..=4 {
        let labels = words[..count].join(",");
        let mut arguments = vec!["--labels", &labels, "--attacks", "deepwordbug"];
        arguments.extend(["--instruction", FIRST].iter().cycle().take(20));
        let table = printed(&arguments);
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
        assert_eq!(table.contains("most probable"), count == 4, "{table}");
    }
}

#[test]
fn open_answers_of_a_model_compared_with_itself() {
    let arguments = ["--instruction", FIRST, "--instruction", FIRST, "--max-new-tokens", "5", "--beside", "none"];
    let json: Value = serde_json::from_str(&printed(&[&arguments[..], &["--json"]].concat())).unwrap();
    let models = json["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    assert_eq!(models[0]["comparison"], models[1]["comparison"]);
    let found: Wordings = serde_json::from_value(models[0]["comparison"].clone()).unwrap();
    assert_eq!((found.agreement, found.overlaps[0][1]), (1.0, 1.0), "the same wording gets the same answer");
    assert!(found.answers[0].probabilities.is_empty());
    assert!(printed(&arguments).contains("same answer: 1 of 1 pairs"));
}

#[test]
fn wrong_use_is_one_clear_line() {
    for (arguments, words) in [
        (&["--instruction", "a"][..], &["one wording", "--attacks"][..]),
        (&["--instruction", "a", "--instruction", " "], &["--instruction", "empty"]),
        (&["--instruction", "a", "--attacks", "tickle"], &["tickle", "deepwordbug"]),
        (&["--instruction", "a", "--instruction", "b", "--labels", "yes,yes"], &["--labels", "twice"]),
        (&["--instruction", "a", "--instruction", "b", "--labels", "yes"], &["--labels", "at least two"]),
        (&["--instruction", "a", "--instruction", "b", "--task", "colla"], &["`colla`", "cola"]),
        (&["--instruction", "a", "--instruction", "b", "--max-new-tokens", "0"], &["--max-new-tokens"]),
        (&["--instruction", "a", "--instruction", "b", "--beside", "./absent"], &["absent", "no such folder"]),
    ] {
        refused(&mut compare(arguments), words);
    }
}
