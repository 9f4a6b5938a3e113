//! A run that was stopped, killed or damaged goes on to the bit, or says why it does not.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use coin_data::{Pair, pairs};
use coin_loss::collective::LocalCollective;
use coin_model::{FloatType, Llama, LlamaConfig, checkpoint};
use coin_train::config::ModelTable;
use coin_train::{Outcome, Progress, RunConfig, RunOptions, TrainError, Trainer};
use serde_json::{Value, json};

const WORDS: usize = 40;

/// A model folder, pairs, and the settings of a short run with everything that has a state.
fn prepare(dir: &Path) -> RunConfig {
    let config: LlamaConfig = serde_json::from_value(json!({
        "model_type": "llama", "vocab_size": WORDS, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": true, "initializer_range": 0.2,
        "bos_token_id": 1, "eos_token_id": 2,
    }))
    .unwrap();
    let base = dir.join("base");
    checkpoint::save(&Llama::new(&config, 3, &Device::flex()).unwrap(), &base, FloatType::F32).unwrap();
    let vocabulary: serde_json::Map<String, Value> =
        (0..WORDS).map(|id| (if id == 0 { "<unk>".to_owned() } else { format!("w{id}") }, id.into())).collect();
    let tokenizer = json!({
        "version": "1.0", "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    });
    std::fs::write(base.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    write_pairs(&dir.join("pairs.jsonl"), 0);
    let text = format!(
        "out = '{0}/run'\n[model]\npath = '{0}/base'\n[data]\npairs = '{0}/pairs.jsonl'\nmax_tokens = 32\n\
         validation_pairs = 4\n[lora]\nrank = 2\ndropout = 0.2\n[train]\nsteps = 10\nbatch_pairs = 4\n\
         micro_batch_pairs = 2\nlearning_rate = 0.02\nvalidate_every = 3\ncheckpoint_every = 2\nkeep_checkpoints = 2\n",
        dir.display()
    );
    RunConfig::parse(&text, "run.toml", &[]).unwrap()
}

/// Pairs over the words of the tokenizer; another `variant` has other texts.
fn write_pairs(path: &Path, variant: usize) {
    let pair = |number: usize| {
        let word = |at: usize| format!("w{}", 3 + (number * 7 + at * 5 + variant) % (WORDS - 3));
        serde_json::from_value::<Pair>(json!({
            "original_instruction": format!("{} {} {}", word(0), word(1), word(2)),
            "paraphrased_instruction": format!("{} {} {} {}", word(3), word(1), word(2), word(4)),
            "targets": format!("w{}", 30 + number % 3),
            "task": "cola",
        }))
        .unwrap()
    };
    pairs::write_jsonl(path, &(0..18).map(pair).collect::<Vec<_>>()).unwrap();
}

fn run(config: &RunConfig, options: RunOptions, progress: impl FnMut(&Progress)) -> Result<Outcome, TrainError> {
    Trainer::new(config.clone(), &Device::flex())?.run(options, progress)
}

/// The run in another folder.
fn at(config: &RunConfig, name: &str) -> RunConfig {
    RunConfig { out: config.out.with_file_name(name), ..config.clone() }
}

/// The adapters and every line of the metrics but the seconds.
fn results(out: &Path) -> (Vec<u8>, Vec<u8>, Vec<Value>) {
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    let lines = String::from_utf8(read("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("seconds");
        value
    });
    let lines = lines.collect();
    (read("adapter/adapter_model.safetensors"), read("adapter-best/adapter_model.safetensors"), lines)
}

const RESUME: RunOptions = RunOptions { resume: true, stop: None };

#[test]
fn a_stopped_run_ends_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    assert!(matches!(run(&config, RunOptions::default(), |_| {}).unwrap(), Outcome::Finished(_)));
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
        assert!(matches!(outcome.unwrap(), Outcome::Stopped(step) if step == after));
        assert!(!config.out.join("adapter").exists(), "a run that is not finished has no final adapter");
        let mut resumed = None;
        let outcome = run(&config, RESUME, |event| {
            if let Progress::Resumed(step) = event {
                resumed = Some(*step);
            }
        });
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
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
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    std::fs::write(out.join("metrics.jsonl"), &metrics[..metrics.len() - 40]).unwrap();
    run(&config, RESUME, |_| {}).unwrap();
    assert_eq!(results(out), expected);
    assert!(!partial.exists());
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
    // What only says how checkpoints are kept may change.
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
    assert!(message.contains("weights of model.path") && !message.contains("data.pairs"), "{message}");
}

#[test]
fn a_run_without_checkpoints_starts_at_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let mut resumed = false;
    run(&config, RESUME, |event| resumed |= matches!(event, Progress::Resumed(_))).unwrap();
    assert!(!resumed);
    // A second time there is nothing left to do, and the results stay.
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
    assert!(message.contains("holds a finished run"), "{message}");
    let Outcome::Finished(model) = run(&config, RESUME, |event| panic!("{event:?}")).unwrap() else { panic!() };
    assert!(coin_model::adapter::parameters(&model) > 0);

    let mut other = config.clone();
    other.train.seed = 7;
    let message = run(&other, RESUME, |_| {}).unwrap_err().to_string();
    assert!(message.contains("config.resolved.toml") && message.contains("train.seed (42 -> 7)"), "{message}");
    assert_eq!(trainer(&other).check_folder(true).unwrap_err().to_string(), message);
    // Before its first checkpoint, too, a run is not mixed with another.
    std::fs::remove_dir_all(config.out.join("adapter")).unwrap();
    assert!(run(&other, RESUME, |_| {}).unwrap_err().to_string().contains("train.seed (42 -> 7)"));
    assert_eq!(std::fs::read(config.out.join("metrics.jsonl")).unwrap(), metrics);
    run(&config, RESUME, |_| {}).unwrap();
    assert_eq!(results(&config.out).0, adapter);
}

#[test]
fn nothing_is_removed_that_is_no_runs() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let mine = config.out.join("adapter/mine.txt");
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    std::fs::write(&mine, "mine").unwrap();
    for resume in [false, true] {
        let message = run(&config, RunOptions { resume, stop: None }, |_| {}).unwrap_err().to_string();
        assert!(message.contains("is no run's folder, but holds") && message.contains("run/adapter"), "{message}");
        let trainer = Trainer::new(config.clone(), &Device::flex()).unwrap();
        assert_eq!(trainer.check_folder(resume).unwrap_err().to_string(), message);
    }
    assert_eq!(std::fs::read_dir(&config.out).unwrap().count(), 1);
    std::fs::remove_dir_all(&config.out).unwrap();

    // An adapter that training starts from does not lie where the new one goes.
    let mut first = config.clone();
    first.train.checkpoint_every = Some(0);
    run(&first, RunOptions::default(), |_| {}).unwrap();
    let adapter = results(&first.out).0;
    let mut second = first.clone();
    second.model.adapter = Some(first.out.join("adapter-best/../adapter"));
    let message = run(&second, RunOptions::default(), |_| {}).unwrap_err().to_string();
    assert!(message.contains("model.adapter lies in it"), "{message}");
    assert_eq!(results(&first.out).0, adapter);
    // An earlier run's results go, where it left no checkpoint.
    std::fs::write(first.out.join("tensorboard/old"), "").unwrap();
    run(&first, RunOptions::default(), |_| {}).unwrap();
    assert!(!first.out.join("tensorboard/old").exists());
}

#[test]
fn a_damaged_optimiser_is_told_in_plain_words() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    run(&config, RunOptions::default(), |_| {}).unwrap();
    std::fs::remove_dir_all(config.out.join("adapter")).unwrap();
    let path = config.out.join("checkpoints/step-000008/optimizer.bpk");
    let whole = std::fs::read(&path).unwrap();
    let garbage: Vec<u8> = (0..whole.len()).map(|at| (at * 37 % 251) as u8).collect();
    for damaged in [&whole[..whole.len() / 2], &whole[..3], &[], &garbage] {
        std::fs::write(&path, damaged).unwrap();
        let message = run(&config, RESUME, |_| {}).unwrap_err().to_string();
        assert!(message.contains("optimizer.bpk: is damaged") && !message.contains('{'), "{message}");
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_the_pair() {
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let base = dir.path().join("base");
    // A token that only one pair has gets an embedding that is not finite.
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
    // The head is tied to the embedding, so every row is hit.
    assert!(message.contains("step 0: the loss is NaN") && message.contains("pair"), "{message}");
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
        // The first steps may overflow until the scale has come down.
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

/// The run on so many ranks.
fn run_parallel(config: &RunConfig, ranks: usize, options: RunOptions) -> Result<Outcome, TrainError> {
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
            // Sums in another order, carried through ten steps of a large rate.
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{key} {a} {b}");
        }
    }
    // Going on from the last checkpoint but one.
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
