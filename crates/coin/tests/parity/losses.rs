//! Losses with their gradients, and pooling.

use burn::tensor::{Bool, Tensor};
use coin::loss::{
    Batch, CoinLossConfig, Direction, Evaluation, InfoNceConfig, Pooling, Similarity, SupConConfig, alignment,
    uniformity,
};
use coin::model::FloatType;

use crate::case::{Case, Depth, Results, Setting};

const F32: &[FloatType] = &[FloatType::F32];

pub const CASES: &[Case] = &[
    Case { name: "loss/info_nce, plain", types: F32, depth: Depth::Layer, run: |at| info_nce(at, Evaluation::Plain) },
    Case {
        name: "loss/info_nce, tiled",
        types: F32,
        depth: Depth::Layer,
        run: |at| info_nce(at, Evaluation::Tiled(4)),
    },
    Case { name: "loss/info_nce, 600 pairs", types: F32, depth: Depth::Layer, run: many },
    Case { name: "loss/info_nce, learned temperature", types: F32, depth: Depth::Layer, run: learned },
    Case { name: "loss/info_nce, one way, every similarity", types: F32, depth: Depth::Layer, run: one_way },
    Case { name: "loss/supcon", types: F32, depth: Depth::Layer, run: supcon },
    Case { name: "loss/alignment and uniformity", types: F32, depth: Depth::Layer, run: spread },
    Case { name: "loss/coin, capped", types: F32, depth: Depth::Layer, run: capped },
    Case { name: "loss/pooling", types: F32, depth: Depth::Layer, run: pooling },
];

/// Number of pairs; not divisible by the block size of four.
const PAIRS: usize = 11;

fn pair(at: &Setting) -> [Tensor<2>; 2] {
    [at.leaf(1, [PAIRS, 8]), at.leaf(2, [PAIRS, 8])]
}

/// Hard negatives, groups, a mask and row weights.
fn info_nce(at: &Setting, evaluation: Evaluation) -> Results {
    let mut results = Results::default();
    let [anchor, positive] = pair(at);
    let hard = at.leaf(3, [PAIRS, 2, 8]);
    let excluded: Vec<bool> = (0..PAIRS * PAIRS).map(|at| at % 13 == 5).collect();
    let excluded = burn::tensor::TensorData::new(excluded, [PAIRS, PAIRS]);
    let batch = Batch::pairs(anchor.clone(), positive.clone())
        .with_hard_negatives(hard.clone())
        .with_excluded(Tensor::<2, Bool>::from_data(excluded, &at.autodiff()))
        .with_groups(at.integers([1, 2, 3, 1, 4, 5, 6, 2, 7, 8, 9]))
        .with_row_weights(at.tensor::<1>(4, [PAIRS]).abs());
    let loss = InfoNceConfig::new().with_evaluation(evaluation).with_hard_negative_weight(0.5).init().unwrap();
    let output = loss.forward_batch(batch);
    results.tensor("per row", output.per_row);
    results.decision("accuracy", output.accuracy.into_scalar::<f32>());
    results.tensor("similarity", Tensor::cat(vec![output.similarity_positive, output.similarity_negative], 0));
    let gradients = results.backward(output.loss);
    results.gradient("anchor", &anchor, &gradients);
    results.gradient("positive", &positive, &gradients);
    results.gradient("hard negatives", &hard, &gradients);
    results
}

/// More pairs than are evaluated at once, so that blocks are kept for the gradients.
fn many(at: &Setting) -> Results {
    let mut results = Results::default();
    let [anchor, positive] = [at.leaf(1, [600, 24]), at.leaf(2, [600, 24])];
    let loss = InfoNceConfig::new().init().unwrap();
    let gradients = results.backward(loss.forward(anchor.clone(), positive.clone(), None).loss);
    results.gradient("anchor", &anchor, &gradients);
    results.gradient("positive", &positive, &gradients);
    results
}

fn learned(at: &Setting) -> Results {
    let mut results = Results::default();
    let [anchor, positive] = pair(at);
    let loss = InfoNceConfig::new().with_temperature(0.07).init_learnable(&at.autodiff()).unwrap();
    let gradients = results.backward(loss.forward(anchor.clone(), positive, None).loss);
    results.gradient("anchor", &anchor, &gradients);
    let of_parameters = burn::optim::GradientsParams::from_grads(gradients, &loss);
    results.parameters(&loss, &of_parameters);
    results
}

fn one_way(at: &Setting) -> Results {
    let mut results = Results::default();
    for similarity in [Similarity::Cosine, Similarity::Dot] {
        let [anchor, positive] = pair(at);
        let config = InfoNceConfig::new().with_direction(Direction::AnchorToPositive).with_temperature(0.5);
        let loss = config.with_similarity(similarity).init().unwrap();
        let gradients = results.backward(loss.forward(anchor.clone(), positive, None).loss);
        results.gradient("anchor", &anchor, &gradients);
    }
    results
}

fn supcon(at: &Setting) -> Results {
    let mut results = Results::default();
    let rows = at.leaf(1, [PAIRS, 8]);
    // One group has a single row.
    let groups = at.integers([0, 1, 2, 0, 1, 2, 0, 3, 1, 2, 0]);
    let output = SupConConfig::new().init().unwrap().forward(rows.clone(), groups);
    results.tensor("per row", output.per_row);
    results.tensor("similarity", Tensor::cat(vec![output.similarity_positive, output.similarity_negative], 0));
    let gradients = results.backward(output.loss);
    results.gradient("rows", &rows, &gradients);
    results
}

fn spread(at: &Setting) -> Results {
    let mut results = Results::default();
    let [anchor, positive] = pair(at);
    let loss = alignment(anchor.clone(), positive.clone(), 2.0)
        + alignment(anchor.clone(), positive.clone(), 3.0)
        + uniformity(anchor.clone(), 2.0);
    let gradients = results.backward(loss);
    results.gradient("anchor", &anchor, &gradients);
    results.gradient("positive", &positive, &gradients);
    results
}

/// The contrastive loss above and below the cap.
fn capped(at: &Setting) -> Results {
    let mut results = Results::default();
    for (lambda, generation) in [(1000.0, 0.7), (0.01, 0.7)] {
        let [anchor, positive] = pair(at);
        let generation = Tensor::<1>::from_floats([generation], &at.autodiff()).require_grad();
        let loss = CoinLossConfig::new().with_lambda(lambda).init().unwrap();
        let output = loss.forward(generation.clone(), anchor.clone(), positive, None);
        results.tensor("scaled", output.scaled);
        let gradients = results.backward(output.loss);
        results.gradient("anchor", &anchor, &gradients);
        results.gradient("generation", &generation, &gradients);
    }
    results
}

fn pooling(at: &Setting) -> Results {
    let mut results = Results::default();
    let mask = [[false, true, true, true], [true, true, false, false], [true, true, true, true]];
    for pooling in [Pooling::Last, Pooling::AverageAll, Pooling::AverageFirstLast, Pooling::Max] {
        let hidden = at.leaf(1, [3, 4, 8]);
        let mask = Tensor::<2, Bool>::from_data(mask, &at.autodiff());
        let gradients = results.backward(pooling.forward(hidden.clone(), mask));
        results.gradient("hidden", &hidden, &gradients);
    }
    results
}
