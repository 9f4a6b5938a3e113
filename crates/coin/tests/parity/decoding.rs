//! Generation and log-likelihoods.

use burn::tensor::{Tensor, TensorData};
use coin::model::generate::{Continuation, GenerateOptions, generate, generate_each};
use coin::model::score::{ScoreOptions, score_each};
use coin::model::{FloatType, Llama, ModelError, Quantization, Sampling, WeightFormat, checkpoint};
use serde_json::json;

use crate::case::{Case, Depth, Results, Setting, config};

const F32: &[FloatType] = &[FloatType::F32];

pub const CASES: &[Case] = &[
    Case { name: "decoding/greedy, shared prefix", types: F32, depth: Depth::Model, run: |at| greedy(at, &[]) },
    Case { name: "decoding/greedy, groups", types: F32, depth: Depth::Model, run: |at| greedy(at, &[7, 3, 7, 3, 3]) },
    Case { name: "decoding/rows that end early", types: F32, depth: Depth::Model, run: early },
    Case { name: "decoding/equal logits", types: F32, depth: Depth::Model, run: equal },
    Case { name: "decoding/greedy, int4", types: F32, depth: Depth::Model, run: packed },
    Case { name: "decoding/sampling", types: F32, depth: Depth::Model, run: sampled },
    Case { name: "decoding/greedy, wide", types: F32, depth: Depth::Model, run: wide },
    Case { name: "decoding/log-likelihoods", types: F32, depth: Depth::Model, run: likelihoods },
];

fn model(at: &Setting) -> Llama {
    Llama::new(&config(json!({})), 11, &at.device).unwrap()
}

fn rows() -> Vec<Vec<u32>> {
    [[1, 4, 5, 6, 7], [1, 4, 9, 2, 3], [1, 4, 5, 6, 8], [1, 4, 9, 2, 2], [1, 4, 9, 2, 5]].map(Vec::from).into()
}

fn options() -> GenerateOptions {
    GenerateOptions {
        max_new_tokens: 8,
        batch_size: 3,
        memory: None,
        threads: 1,
        eos: Vec::new(),
        hidden: true,
        sampling: None,
    }
}

fn add(results: &mut Results, continuations: &[Continuation]) {
    // In one vector, because a small margin is a difference of large logits.
    results.values("margins", continuations.iter().map(|continuation| f64::from(continuation.margin)));
    for continuation in continuations {
        results.decision("ids", &continuation.ids);
        results.values("hidden", continuation.hidden.iter().flatten().map(|&value| f64::from(value)));
    }
}

fn greedy(at: &Setting, groups: &[usize]) -> Results {
    let mut results = Results::default();
    let mut out = vec![Continuation::default(); rows().len()];
    let keep = |finished: Vec<(usize, Continuation)>| {
        for (row, continuation) in finished {
            out[row] = continuation;
        }
        Ok::<_, ModelError>(())
    };
    generate_each(&model(at), &rows(), groups, &options(), |_, _| false, keep).unwrap();
    add(&mut results, &out);
    results
}

/// A base model with 4-bit matrices.
fn packed(at: &Setting) -> Results {
    let mut results = Results::default();
    let format = WeightFormat { quantization: Some(Quantization::Int4), ..WeightFormat::default() };
    let model = Llama::with_format(&config(json!({})), format, 11, &at.device).unwrap();
    add(&mut results, &generate(&model, &rows(), &options(), |_, _| false).unwrap());
    results
}

/// Rows of different lengths, an end id, and a caller that stops a row.
fn early(at: &Setting) -> Results {
    let mut results = Results::default();
    let rows: Vec<Vec<u32>> = vec![vec![1, 4, 5, 6, 7], vec![1, 4, 9], vec![1, 4, 5, 8, 10, 11, 12], vec![2, 4]];
    let model = model(at);
    let whole = generate(&model, &rows, &options(), |_, _| false).unwrap();
    // The third token of the first row, which may also occur in other rows.
    let options = GenerateOptions { eos: vec![whole[0].ids[2]], ..options() };
    let some = generate(&model, &rows, &options, |row, ids| row == 2 && ids.len() == 4).unwrap();
    results.decision("stopped", some.iter().map(|row| row.stopped).collect::<Vec<_>>());
    add(&mut results, &whole);
    add(&mut results, &some);
    results
}

/// With a zero head, every token has the same logit: the lowest id is taken, and the margin is 0.
fn equal(at: &Setting) -> Results {
    let mut results = Results::default();
    let mut model = Llama::new(&config(json!({"tie_word_embeddings": false})), 11, &at.device).unwrap();
    model.head = model.head.map(|head| head.map(|values| values.zeros_like()));
    let continuations = generate(&model, &rows(), &options(), |_, _| false).unwrap();
    assert!(continuations.iter().all(|row| row.ids == [0; 8] && row.margin == 0.0), "{continuations:?}");
    add(&mut results, &continuations);
    results
}

/// The demo's base model.
fn wide(at: &Setting) -> Results {
    let mut results = Results::default();
    let base = coin_testkit::demo_base();
    let model = checkpoint::load(&base, WeightFormat::default(), &at.device).unwrap().model;
    let rows: Vec<Vec<u32>> = (0..5u32)
        .map(|row| {
            (0..40 + 7 * row)
                .map(|place| if place < 12 { 100 + place } else { (place * 37 + row * 101) % 1536 })
                .collect()
        })
        .collect();
    let continuations = generate(&model, &rows, &options(), |_, _| false).unwrap();
    let least = continuations.iter().map(|continuation| continuation.margin).fold(f32::INFINITY, f32::min);
    assert!(least > 1e-3, "the margin is too small to compare devices: {least}");
    add(&mut results, &continuations);
    results
}

fn sampled(at: &Setting) -> Results {
    let mut results = Results::default();
    let sampling = Sampling { temperature: 1.5, top_k: Some(9), seed: 5, ..Sampling::default() };
    let options = GenerateOptions { sampling: Some(sampling), ..options() };
    let model = model(at);
    let continuations = generate(&model, &rows(), &options, |_, _| false).unwrap();
    let hidden: Vec<f32> = continuations.iter().flat_map(|row| row.hidden.clone().unwrap()).collect();
    let hidden = Tensor::from_data(TensorData::new(hidden, [continuations.len(), 16]), &at.device);
    // Sampled tokens have small margins. They are differences of logits and only as exact as those.
    let largest = model.logits(hidden).abs().max().into_scalar::<f32>();
    let margins = continuations.iter().map(|row| row.margin).chain([largest]);
    results.values("margins and the largest logit", margins.map(f64::from));
    results.decision("ids", continuations.iter().map(|row| &row.ids).collect::<Vec<_>>());
    results
}

fn likelihoods(at: &Setting) -> Results {
    let mut results = Results::default();
    let continuations: Vec<Vec<Vec<u32>>> =
        (0..5).map(|row| vec![vec![row + 3], vec![7, 8, row], vec![30, 2, 11, 12]]).collect();
    let options = ScoreOptions { batch_size: 3, memory: None, threads: 1 };
    for groups in [&[][..], &[7, 3, 7, 3, 3]] {
        let keep = |scored: Vec<(usize, Vec<f64>)>| {
            for (row, sums) in scored {
                results.values(&format!("row {row}"), sums);
            }
            Ok::<_, ModelError>(())
        };
        score_each(&model(at), &rows(), &continuations, groups, &options, keep).unwrap();
    }
    results
}
