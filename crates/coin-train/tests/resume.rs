//! A run that was stopped or killed resumes bit-identically, or reports why it cannot.

mod short_run;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use coin_loss::collective::LocalCollective;
use coin_model::{FloatType, Llama, LlamaConfig, checkpoint};
use coin_train::config::ModelTable;
use coin_train::{Progress, RunConfig, RunOptions, TrainError, TrainOutcome, Trainer};
use serde_json::Value;
use short_run::{RESUME, at, prepare, results, run, write_pairs};

#[test]
fn a_stopped_run_ends_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    assert!(matches!(run(&config, RunOptions::default(), |_| {}).unwrap(), TrainOutcome::Finished(_)));
    let expected = results(&config.out);
    assert_eq!(expected.2.iter().filter(|line| line.get("split").is_none()).count(), 10);
    for after in [1, 4, 7] {
        let config = at(&config, &format!("stopped-{after}"));
        let stop = AtomicBool::new(false);
        let options = RunOptions { resume: false, stop: Some(&stop) };
        let outcome = run(&config, options, |event| {
            if matches!(event, Progress::Step(step, _) if step.step + 1 == after) {
                stop.store(true, Ordering::Relaxed);
            }
        });
        assert!(matches!(outcome.unwrap(), TrainOutcome::Stopped(step) if step == after));
        assert!(!config.out.join("adapter").exists(), "a run that is not finished has no final adapter");
        let mut resumed = None;
        let outcome = run(&config, RESUME, |event| {
            if let Progress::Resumed(step) = event {
                resumed = Some(*step);
            }
        });
        assert!(matches!(outcome.unwrap(), TrainOutcome::Finished(_)));
        assert_eq!(resumed, Some(after));
        assert_eq!(results(&config.out), expected, "stopped after {after}");
        assert_eq!(std::fs::read_dir(config.out.join("checkpoints")).unwrap().count(), 2, "the newest two are kept");
    }
}

#[test]
fn what_a_killed_run_leaves_is_set_right() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    run(&config, RunOptions::default(), |_| {}).unwrap();
    let expected = results(&config.out);
    // Killed two steps after a checkpoint, in the middle of a line and of the next checkpoint.
    let out = &config.out;
    for name in ["adapter", "checkpoints/step-000008"] {
        std::fs::remove_dir_all(out.join(name)).unwrap();
    }
    let partial = out.join("checkpoints/.partial-step-000008");
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("optimizer.bpk"), "torn").unwrap();
    let places = ["", "adapter-best", "tensorboard", "checkpoints/step-000006", "checkpoints/step-000006/adapter"];
    let torn = places.map(|place| out.join(place).join(".partial-x1y2z3"));
    torn.iter().for_each(|torn| std::fs::write(torn, "torn").unwrap());
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    std::fs::write(out.join("metrics.jsonl"), &metrics[..metrics.len() - 40]).unwrap();
    run(&config, RESUME, |_| {}).unwrap();
    assert_eq!(results(out), expected);
    assert!(!partial.exists());
    assert_eq!(torn.iter().find(|torn| torn.exists()), None);
}

#[test]
fn another_run_is_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    run(&config, RunOptions::default(), |_| {}).unwrap();
    let refused = |config: &RunConfig, resume: bool| {
        run(config, RunOptions { resume, stop: None }, |_| {}).unwrap_err().to_string()
    };
    assert!(refused(&config, false).contains("earlier run"));
    let mut other = config.clone();
    other.train.learning_rate = 0.03;
    other.objective.temperature = 0.1;
    // Settings of checkpoints may change.
    other.train.checkpoint_every = Some(5);
    let message = refused(&other, true);
    assert!(message.contains("train.learning_rate (0.02 -> 0.03)"), "{message}");
    assert!(
        message.contains("objective.temperature (0.05 -> 0.1)") && !message.contains("checkpoint_every"),
        "{message}"
    );

    write_pairs(&dir.path().join("pairs.jsonl"), 1);
    assert!(refused(&config, true).contains("content of data.pairs"));
    write_pairs(&dir.path().join("pairs.jsonl"), 0);
    let base = dir.path().join("base");
    let architecture = LlamaConfig::read(&base).unwrap();
    checkpoint::save(&Llama::new(&architecture, 4, &Device::flex()).unwrap(), &base, FloatType::F32).unwrap();
    let message = refused(&config, true);
    assert!(message.contains("files of model.path") && !message.contains("data.pairs"), "{message}");
}

#[test]
fn a_run_without_checkpoints_starts_at_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let mut resumed = false;
    run(&config, RESUME, |event| resumed |= matches!(event, Progress::Resumed(_))).unwrap();
    assert!(!resumed);
    // Resuming again has nothing to do and leaves the results unchanged.
    let expected = results(&config.out);
    run(&config, RESUME, |_| {}).unwrap();
    assert_eq!(results(&config.out), expected);
}

#[test]
fn a_finished_run_is_not_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = prepare(dir.path());
    config.train.checkpoint_every = Some(0);
    let trainer = |config: &RunConfig| Trainer::new(config.clone(), &Device::flex()).unwrap();
    assert!(!trainer(&config).is_finished().unwrap());
    run(&config, RESUME, |_| {}).unwrap();
    let metrics = std::fs::read(config.out.join("metrics.jsonl")).unwrap();
    let adapter = results(&config.out).0;
    assert!(trainer(&config).is_finished().unwrap());
    trainer(&config).check_folder(true).unwrap();
    let message = trainer(&config).check_folder(false).unwrap_err().to_string();
    assert!(message.contains("contains a finished run"), "{message}");
    let TrainOutcome::Finished(model) = run(&config, RESUME, |event| panic!("{event:?}")).unwrap() else { panic!() };
    assert!(coin_model::adapter::parameters(&model) > 0);

    let mut other = config.clone();
    other.train.seed = 7;
    let message = run(&other, RESUME, |_| {}).unwrap_err().to_string();
    assert!(message.contains("config.resolved.toml") && message.contains("train.seed (42 -> 7)"), "{message}");
    assert_eq!(trainer(&other).check_folder(true).unwrap_err().to_string(), message);
    // A run without a checkpoint is not mixed with another either.
    std::fs::remove_dir_all(config.out.join("adapter")).unwrap();
    assert!(run(&other, RESUME, |_| {}).unwrap_err().to_string().contains("train.seed (42 -> 7)"));
    assert_eq!(std::fs::read(config.out.join("metrics.jsonl")).unwrap(), metrics);
    run(&config, RESUME, |_| {}).unwrap();
    assert_eq!(results(&config.out).0, adapter);
}

#[test]
fn only_files_of_a_run_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let mine = config.out.join("adapter/mine.txt");
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    std::fs::write(&mine, "mine").unwrap();
    for resume in [false, true] {
        let message = run(&config, RunOptions { resume, stop: None }, |_| {}).unwrap_err().to_string();
        assert!(message.contains("run contains adapter but was not created by this program"), "{message}");
        let trainer = Trainer::new(config.clone(), &Device::flex()).unwrap();
        assert_eq!(trainer.check_folder(resume).unwrap_err().to_string(), message);
    }
    assert_eq!(std::fs::read_dir(&config.out).unwrap().count(), 1);
    // A folder of another command of this program is not a run folder.
    std::fs::write(config.out.join(coin_core::output_folder::MARKER), "").unwrap();
    let message = run(&config, RunOptions::default(), |_| {}).unwrap_err().to_string();
    assert!(message.contains("is not a run folder: it contains"), "{message}");
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
    std::fs::remove_dir_all(&config.out).unwrap();

    // The adapter that training starts from must not be in the folder of the new one.
    let mut first = config.clone();
    first.train.checkpoint_every = Some(0);
    run(&first, RunOptions::default(), |_| {}).unwrap();
    let adapter = results(&first.out).0;
    let mut second = first.clone();
    second.model.adapter = Some(first.out.join("adapter-best/../adapter"));
    let message = run(&second, RunOptions::default(), |_| {}).unwrap_err().to_string();
    assert!(message.contains("model.adapter is in this folder"), "{message}");
    assert_eq!(results(&first.out).0, adapter);
    // Results of an earlier run without checkpoints are removed.
    std::fs::write(first.out.join("tensorboard/old"), "").unwrap();
    run(&first, RunOptions::default(), |_| {}).unwrap();
    assert!(!first.out.join("tensorboard/old").exists());
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_the_pair() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let base = dir.path().join("base");
    // The embedding of a token that occurs in one pair only is not finite.
    let architecture = LlamaConfig::read(&base).unwrap();
    let mut model = Llama::new(&architecture, 3, &Device::flex()).unwrap();
    let embedding = model.embedding.val();
    let poisoned =
        embedding.slice_assign([39..40, 0..16], burn::tensor::Tensor::full([1, 16], f32::NAN, &Device::flex()));
    model.embedding = burn::module::Param::from_tensor(poisoned);
    checkpoint::save(&model, &base, FloatType::F32).unwrap();
    let trainer = Trainer::new(config.clone(), &Device::flex()).unwrap();
    assert!(trainer.warnings()[0].contains("embed_tokens"));
    let message = trainer.run(RunOptions::default(), |_| {}).unwrap_err().to_string();
    // The head is tied to the embedding, so every row is affected.
    assert!(message.contains("step 1: the loss is NaN") && message.contains("pair"), "{message}");
    let batch: Value = serde_json::from_slice(&std::fs::read(config.out.join("failed-batch.json")).unwrap()).unwrap();
    assert_eq!(batch["pairs"].as_array().unwrap().len(), 4);
    assert!(!config.out.join("adapter").exists());
}

#[test]
fn other_number_types_train() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let mut losses = Vec::new();
    for dtype in [FloatType::F32, FloatType::Bf16, FloatType::F16] {
        let mut config = at(&config, &format!("{dtype:?}"));
        config.model = ModelTable { dtype, ..config.model };
        run(&config, RunOptions::default(), |_| {}).unwrap();
        let (_, _, lines) = results(&config.out);
        let steps: Vec<&Value> = lines.iter().filter(|line| line.get("split").is_none()).collect();
        // The first steps may overflow until the scale is small enough.
        assert_eq!(steps[9].get("loss_scale").is_some(), dtype == FloatType::F16);
        if dtype == FloatType::F16 {
            assert!(steps[9]["skipped_steps"].as_u64().unwrap() < 10);
        }
        losses.push(steps[0]["loss_generation"].as_f64().unwrap());
    }
    // 8 and 11 bits of mantissa in every operation.
    assert!((losses[1] / losses[0] - 1.0).abs() < 0.03 && losses[1] != losses[0], "{losses:?}");
    assert!((losses[2] / losses[0] - 1.0).abs() < 0.01 && losses[2] != losses[0], "{losses:?}");
}

/// Runs on this number of ranks.
fn run_parallel(config: &RunConfig, ranks: usize, options: RunOptions) -> Result<TrainOutcome, TrainError> {
    let ranks = LocalCollective::new(ranks).into_iter().map(|collective| (Device::flex(), collective)).collect();
    Trainer::new(config.clone(), &Device::flex())?.run_parallel(ranks, options, |_| {})
}

#[test]
fn several_ranks_train_as_one_and_resume_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let together = at(&config, "together");
    run(&config, RunOptions::default(), |_| {}).unwrap();
    run_parallel(&together, 2, RunOptions::default()).unwrap();
    let (expected, found) = (results(&config.out), results(&together.out));
    assert_eq!(expected.2.len(), found.2.len());
    for (expected, found) in expected.2.iter().zip(&found.2) {
        let (expected, found) = (expected.as_object().unwrap(), found.as_object().unwrap());
        assert!(expected.keys().eq(found.keys()));
        for (key, value) in expected.iter().filter(|(_, value)| value.is_number()) {
            let (a, b) = (value.as_f64().unwrap(), found[key].as_f64().unwrap());
            // Sums in another order, over ten steps with a large learning rate.
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{key} {a} {b}");
        }
    }
    // Resumes from the last checkpoint but one.
    for name in ["adapter", "checkpoints/step-000008"] {
        std::fs::remove_dir_all(together.out.join(name)).unwrap();
    }
    run_parallel(&together, 2, RESUME).unwrap();
    assert_eq!(results(&together.out), found);
}

#[test]
fn a_failure_of_one_rank_ends_all() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    std::fs::write(&config.out, "in the way").unwrap();
    let message = run_parallel(&config, 3, RunOptions::default()).unwrap_err().to_string();
    assert!(message.contains("run"), "{message}");
    assert!(!message.contains("gone"), "{message}");
}

#[test]
fn defaults_are_an_eighth_of_an_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = prepare(dir.path());
    config.train = coin_train::config::TrainTable {
        validate_every: None,
        checkpoint_every: Some(0),
        steps: None,
        epochs: 3,
        batch_pairs: 2,
        ..config.train
    };
    let trainer = Trainer::new(config, &Device::flex()).unwrap();
    // 14 pairs in 7 steps.
    assert_eq!(trainer.steps(), 21);
    assert_eq!(trainer.config().train.validate_every, Some(1));
    assert_eq!(trainer.config().train.checkpoint_every, Some(0));
}
