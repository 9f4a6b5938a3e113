//! Optimizer steps and a short run.

use std::path::Path;

use coin::data::tokenize::{PairRow, TokenRow};
use coin::data::{Pair, pairs};
use coin::loss::collective::LocalCollective;
use coin::loss::{CoinLossConfig, Pooling};
use coin::model::{FloatType, Llama, checkpoint};
use coin::train::config::{Objective, TrainPreset};
use coin::train::{Progress, RunConfig, RunOptions, StepObjective, Trainer};
use serde_json::{Value, json};

use crate::case::{Case, Depth, Results, Setting, config};

const ALL: &[FloatType] = &[FloatType::F32, FloatType::F16, FloatType::Bf16];
const F32: &[FloatType] = &[FloatType::F32];

pub const CASES: &[Case] = &[
    Case {
        name: "step/strict, whole batch",
        types: ALL,
        depth: Depth::Step,
        run: |at| step(at, TrainPreset::Strict, 6, false),
    },
    Case {
        name: "step/strict, gradients cached",
        types: F32,
        depth: Depth::Step,
        run: |at| step(at, TrainPreset::Strict, 2, false),
    },
    Case {
        name: "step/strict, cached, recomputed",
        types: F32,
        depth: Depth::Step,
        run: |at| step(at, TrainPreset::Strict, 4, true),
    },
    Case {
        name: "step/paper, micro-batches",
        types: F32,
        depth: Depth::Step,
        run: |at| step(at, TrainPreset::Paper, 2, false),
    },
    Case { name: "step/two ranks", types: F32, depth: Depth::Step, run: two_ranks },
    Case { name: "run/20 steps, validation, adapter", types: F32, depth: Depth::Training, run },
    Case { name: "run/20 steps, losses alone", types: ALL, depth: Depth::Training, run: losses },
];

fn pairs_of_rows() -> Vec<PairRow> {
    let row = |seed: u32, length: u32| TokenRow {
        ids: (0..length).map(|at| (seed * 7 + at * 3) % 31).collect(),
        prompt: (length - 2) as usize,
        shortened: 0,
        cut: 0,
    };
    (0..6)
        .map(|pair| PairRow {
            original: row(pair, 6 + pair % 3),
            paraphrase: row(pair + 11, 7 + (pair * 2) % 5),
            task: Some("cola".to_owned()),
            target: ["yes", "no"][pair as usize % 2].to_owned(),
        })
        .collect()
}

fn objective(kind: Objective, preset: TrainPreset, checkpointing: bool) -> StepObjective {
    StepObjective {
        kind,
        preset,
        loss: CoinLossConfig::new().init().unwrap(),
        terms: Vec::new(),
        contrastive_batch: 64,
        pooling: Pooling::Last,
        seed: 3,
        gradient_checkpointing: checkpointing,
        loss_scale: 1.0,
    }
}

/// Both objectives, with dropout.
fn step(at: &Setting, preset: TrainPreset, micro: usize, checkpointing: bool) -> Results {
    let mut results = Results::default();
    let (model, pairs) = (at.adapted(0.2, None), pairs_of_rows());
    let pairs: Vec<&PairRow> = pairs.iter().collect();
    for kind in [Objective::Coin, Objective::Cit] {
        let objective = objective(kind, preset, checkpointing);
        let (gradients, values) = objective.step(&model, &pairs, micro, 4).unwrap();
        results.values("losses", [values.loss, values.generation, values.contrastive, values.scaled]);
        results.values("similarity", [values.similarity_positive, values.similarity_negative.unwrap()]);
        results.parameters(&model, &gradients);
    }
    results
}

/// Two ranks as threads that share the device and a step; records the results of both.
fn two_ranks(at: &Setting) -> Results {
    let mut results = Results::default();
    let (model, pairs) = (at.adapted(0.2, None), pairs_of_rows());
    let objective = objective(Objective::Coin, TrainPreset::Strict, false);
    let step = |collective: LocalCollective| {
        let pairs: Vec<&PairRow> = pairs.iter().collect();
        objective.step_of_rank(&model, &pairs, 2, 4, &collective).unwrap()
    };
    let ranks: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = LocalCollective::new(2).into_iter().map(|rank| scope.spawn(|| step(rank))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (gradients, values) in &ranks {
        results.values("losses", [values.loss, values.generation, values.contrastive]);
        results.parameters(&model, gradients);
    }
    results
}

const WORDS: usize = 40;

/// Writes a model folder with a tokenizer and a file of pairs, and returns the run configuration.
fn prepare(dir: &Path) -> RunConfig {
    let architecture = config(json!({"vocab_size": WORDS, "initializer_range": 0.2}));
    let base = dir.join("base");
    let model = Llama::new(&architecture, 3, &burn::tensor::Device::flex()).unwrap();
    checkpoint::save(&model, &base, FloatType::F32).unwrap();
    let vocabulary: serde_json::Map<String, Value> =
        (0..WORDS).map(|id| (if id == 0 { "<unk>".to_owned() } else { format!("w{id}") }, id.into())).collect();
    let tokenizer = json!({
        "version": "1.0", "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    });
    std::fs::write(base.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let pair = |number: usize| {
        let word = |at: usize| format!("w{}", 3 + (number * 7 + at * 5) % (WORDS - 3));
        serde_json::from_value::<Pair>(json!({
            "original_instruction": format!("{} {} {}", word(0), word(1), word(2)),
            "paraphrased_instruction": format!("{} {} {} {}", word(3), word(1), word(2), word(4)),
            "targets": format!("w{}", 30 + number % 3),
            "task": "cola",
        }))
        .unwrap()
    };
    pairs::write_jsonl(dir.join("pairs.jsonl"), &(0..18).map(pair).collect::<Vec<_>>()).unwrap();
    let text = format!(
        "out = '{0}/run'\n[model]\npath = '{0}/base'\n[data]\npairs = '{0}/pairs.jsonl'\nmax_tokens = 32\n\
         validation_pairs = 4\n[lora]\nrank = 2\ndropout = 0.2\n[train]\nsteps = 20\nbatch_pairs = 4\n\
         micro_batch_pairs = 2\nlearning_rate = 0.01\nvalidate_every = 10\ncheckpoint_every = 0\n",
        dir.display()
    );
    RunConfig::parse(&text, "run.toml", &[]).unwrap()
}

/// The metrics that a run reported.
struct Told {
    losses: Vec<f64>,
    norms: Vec<f64>,
    held_out: Vec<f64>,
}

fn train(at: &Setting, config: &RunConfig) -> Told {
    let mut told = Told { losses: Vec::new(), norms: Vec::new(), held_out: Vec::new() };
    let listen = |progress: &Progress| match progress {
        Progress::Step(metrics, _) => {
            told.losses.push(metrics.loss);
            told.norms.push(metrics.grad_norm);
        }
        Progress::Validation(metrics) => told.held_out.push(metrics.loss_generation),
        _ => {}
    };
    Trainer::new(config.clone(), &at.device).unwrap().run(RunOptions::default(), listen).unwrap();
    assert_eq!((told.losses.len(), told.held_out.len()), (20, 3));
    assert!(told.losses[19] < 0.9 * told.losses[0], "nothing was learned: {:?}", told.losses);
    told
}

/// Losses and gradient norms of every step, validation losses, and the written adapter.
fn run(at: &Setting) -> Results {
    let mut results = Results::default();
    let dir = tempfile::tempdir().unwrap();
    let config = prepare(dir.path());
    let Told { losses, norms, held_out } = train(at, &config);
    results.values("losses", losses);
    results.values("gradient norms", norms);
    results.values("held-out losses", held_out);
    // The adapter is read on the CPU, whichever device wrote it.
    let base = checkpoint::load(&dir.path().join("base"), Default::default(), &burn::tensor::Device::flex()).unwrap();
    let tuned = coin::model::adapter::load(base.model, &config.out.join("adapter")).unwrap();
    for (path, [a, b]) in coin::model::adapter::factors(&tuned) {
        results.tensor(&format!("{path} A"), a.val());
        results.tensor(&format!("{path} B"), b.val());
    }
    results
}

/// In 16 bits the adapter differs after twenty steps, but its losses are similar.
fn losses(at: &Setting) -> Results {
    let mut results = Results::default();
    let dir = tempfile::tempdir().unwrap();
    let mut config = prepare(dir.path());
    config.model.dtype = at.dtype;
    let told = train(at, &config);
    results.values("losses", told.losses);
    results.values("held-out losses", told.held_out);
    results
}
