//! Runs with pairs that have no negative warn about it and do not report a perfect ranking.

mod short_run;

use burn::tensor::Device;
use coin_data::{Pair, pairs};
use coin_train::{Progress, RunConfig, RunOptions, Trainer, metrics};
use serde_json::{Value, json};
use short_run::{prepare, results};

/// Replaces the pairs of the run by `count` pairs that cycle through these targets.
fn with_targets(config: &RunConfig, count: usize, targets: &[&str]) {
    let pair = |number: usize| {
        serde_json::from_value::<Pair>(json!({
            "original_instruction": format!("w{} w{}", 3 + number % 20, 4 + number % 7),
            "paraphrased_instruction": format!("w{} w{}", 5 + number % 19, 6 + number % 11),
            "targets": targets[number % targets.len()],
            "task": "cola",
        }))
        .unwrap()
    };
    pairs::write_jsonl(&config.data.pairs, &(0..count).map(pair).collect::<Vec<_>>()).unwrap();
}

#[test]
fn one_answer_is_no_contrast() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    with_targets(&config, 18, &["w30"]);
    let trainer = Trainer::new(config.clone(), &Device::flex()).unwrap();
    let warnings = trainer.contrast_warnings().unwrap();
    // Fourteen pairs in batches of four; the last batch is smaller.
    assert!(warnings[0].starts_with("14 of 14 pairs of the first epoch (100.0 %) have no negative"), "{warnings:?}");
    assert!(warnings[1].starts_with("4 of 4 pairs held out (100.0 %) have no negative"), "{warnings:?}");
    let mut told = 0;
    trainer
        .run(RunOptions::default(), |event| match event {
            Progress::Step(step, _) => {
                assert_eq!(
                    (step.loss_contrastive, step.contrastive_accuracy, step.similarity_negative),
                    (None, None, None)
                );
                assert_eq!((step.loss_contrastive_scaled, step.loss), (0.0, step.loss_generation));
                told += 1;
            }
            Progress::Validation(found) => {
                assert_eq!((found.loss_contrastive, found.contrastive_accuracy), (None, None));
                assert_eq!((found.hard_negative_accuracy, found.similarity_negative), (None, None));
            }
            _ => {}
        })
        .unwrap();
    assert_eq!(told, 10);
    for line in results(&config.out).2 {
        let keys = ["loss_contrastive", "contrastive_accuracy", "similarity_negative"];
        assert!(keys.iter().all(|key| line.get(key) == Some(&Value::Null)), "{line}");
        assert!(line["similarity_positive"].is_number());
    }
    let (steps, held_out) = metrics::read(&config.out.join("metrics.jsonl")).unwrap();
    assert_eq!((steps.len(), steps[9].contrastive_accuracy, held_out[0].hard_negative_accuracy), (10, None, None));
    // There is no curve either. Tags are stored as plain text.
    let events = std::fs::read_dir(config.out.join("tensorboard")).unwrap().next().unwrap().unwrap().path();
    let events = std::fs::read(events).unwrap();
    let has = |tag: &str| events.windows(tag.len()).any(|window| window == tag.as_bytes());
    assert!(has("loss/generation") && !has("loss/contrastive") && !has("contrastive/accuracy"));
    assert!(has("validation/loss_generation") && !has("validation/contrastive_accuracy"));
}

#[test]
fn the_share_of_pairs_without_a_negative_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = prepare(dir.path());
    config.objective.contrastive_batch = Some(2);
    config.data.shuffle = false;
    config.data.validation_pairs = 0;
    // Contrastive batches of two: the second of three couples has one answer.
    with_targets(&config, 18, &["w30", "w31", "w32", "w32", "w33", "w34"]);
    let warnings = Trainer::new(config.clone(), &Device::flex()).unwrap().contrast_warnings().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("6 of 18 pairs of the first epoch (33.3 %) have no negative"), "{warnings:?}");
    with_targets(&config, 18, &["w30", "w31"]);
    assert_eq!(Trainer::new(config, &Device::flex()).unwrap().contrast_warnings().unwrap(), Vec::<String>::new());
}
