//! What a batch may hold: wrong shapes and values are named, parts of a batch add up, and every part works in both evaluations.

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use coin_loss::collective::LocalCollective;
use coin_loss::{
    Batch, CoSentConfig, Direction, Evaluation, Hardness, InfoNceConfig, Loss, LossConfig, LossError, Reduction,
    SigLipConfig, SupConConfig, alignment,
};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Rows that are all different and none of them zero.
fn rows(n: usize, d: usize, phase: f32) -> Tensor<2> {
    let values: Vec<f32> = (0..n * d).map(|at| (at as f32 * 0.7 + phase).sin() + 0.1).collect();
    Tensor::from_data(TensorData::new(values, [n, d]), &device())
}

fn mask<const D: usize>(shape: [usize; D], at: impl Fn(usize) -> bool) -> Tensor<D, Bool> {
    let values: Vec<bool> = (0..shape.iter().product()).map(at).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

fn refused(loss: &dyn Loss, batch: Batch) -> String {
    loss.evaluate(batch).expect_err("the batch is wrong").to_string()
}

#[test]
fn wrong_shapes_are_named() {
    let loss = InfoNceConfig::new().init().unwrap();
    let pairs = || Batch::pairs(rows(8, 4, 0.0), rows(8, 4, 1.0));
    let hard = |shape: [usize; 3]| Tensor::<3>::ones(shape, &device());
    let weights = |n: usize| Tensor::<1>::ones([n], &device());
    for (batch, message) in [
        (
            Batch::pairs(rows(8, 4, 0.0), rows(1, 4, 1.0)),
            "the positives of shape [1, 4]: expected [n, d], as the first view = [8, 4]",
        ),
        (pairs().with_row_weights(weights(1)), "row weights of shape [1]: expected [n] = [8]"),
        (
            pairs().with_excluded(mask([1, 8], |_| false)),
            "the mask of excluded columns of shape [1, 8]: expected [n, n] = [8, 8]",
        ),
        (pairs().with_groups(Tensor::ones([1], &device())), "groups of shape [1]: expected [n] = [8]"),
        (
            pairs().with_hard_negatives(hard([8, 3, 5])),
            "hard negatives of shape [8, 3, 5]: expected [n, k, d] = [8, k, 4] with k at least 1",
        ),
        (
            pairs().with_hard_negatives(hard([8, 2, 4])).with_hard_weights(rows(8, 1, 0.0)),
            "the weights of hard negatives of shape [8, 1]: expected [n, k] = [8, 2]",
        ),
        (
            pairs().with_hard_weights(rows(8, 1, 0.0)),
            "InfoNCE needs hard negatives: add it with `Batch::with_hard_negatives`",
        ),
        (
            pairs().with_shared_negatives(rows(3, 5, 0.0)),
            "shared negatives of shape [3, 5]: expected [m, d] = [m, 4] with m at least 1",
        ),
        (pairs().with_rows(4..9), "the range of rows of shape [4, 9]: expected a range within 0..8 that is not empty"),
        (pairs().with_scores(weights(8)), "InfoNCE does not use scores: remove it, or choose a loss that does"),
        (Batch::views(vec![rows(8, 4, 0.0)]), "a list of views of shape [1]: expected 2 views"),
    ] {
        assert_eq!(refused(&loss, batch), message);
    }
    let supcon = SupConConfig::new().init().unwrap();
    assert!(refused(&supcon, Batch::views(vec![rows(4, 2, 0.0)])).starts_with("SupCon needs groups"));
    let cosent = CoSentConfig::new().init().unwrap();
    assert!(refused(&cosent, pairs()).starts_with("CoSENT needs scores"));
}

#[test]
fn burns_empty_tensors_are_refused_by_name() {
    let loss = InfoNceConfig::new().init().unwrap();
    let empty = || Tensor::<2>::empty([0, 4], &device());
    assert_eq!(
        refused(&loss, Batch::pairs(empty(), empty())),
        "the batch is empty: the anchors has shape [0, 4], expected at least one row and one feature"
    );
    let batch = Batch::pairs(rows(4, 2, 0.0), rows(4, 2, 1.0)).with_hard_negatives(Tensor::empty([4, 0, 2], &device()));
    assert!(refused(&loss, batch).starts_with("hard negatives of shape [4, 0, 2]"));
}

#[test]
#[should_panic(expected = "InfoNCE: row weights of shape [1]: expected [n] = [4]")]
fn forward_panics_with_the_same_message() {
    let batch = Batch::pairs(rows(4, 2, 0.0), rows(4, 2, 1.0)).with_row_weights(Tensor::ones([1], &device()));
    InfoNceConfig::new().init().unwrap().forward_batch(batch);
}

#[test]
#[should_panic(expected = "alignment: the positives of shape [1, 4]")]
fn alignment_does_not_broadcast() {
    alignment(rows(8, 4, 0.0), rows(1, 4, 0.0), 2.0);
}

#[test]
fn values_that_are_not_finite_and_zero_rows_are_named() {
    let loss = InfoNceConfig::new().init().unwrap();
    let with = |row: usize, value: f32| rows(4, 3, 1.0).slice_fill([row..row + 1, 0..3], value);
    let error = |batch: Batch| loss.try_forward(batch).unwrap_err();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let batch = Batch::pairs(rows(4, 3, 0.0), with(2, value));
        assert_eq!(error(batch), LossError::NotFinite { argument: "the positives", row: 2 });
        let batch = Batch::pairs(rows(4, 3, 0.0), rows(4, 3, 2.0)).with_hard_negative(with(1, value));
        assert_eq!(error(batch), LossError::NotFinite { argument: "the hard negatives", row: 1 });
    }
    let batch = Batch::pairs(with(3, 0.0), rows(4, 3, 0.0));
    assert_eq!(error(batch), LossError::ZeroRow { argument: "the anchors", row: 3 });
    let batch = Batch::pairs(rows(4, 3, 0.0), rows(4, 3, 2.0)).with_hard_negative(with(0, 0.0));
    assert_eq!(error(batch), LossError::ZeroRow { argument: "the hard negatives", row: 0 });
    assert!(loss.try_forward(Batch::pairs(rows(4, 3, 0.0), rows(4, 3, 2.0))).is_ok());
}

/// The loss and the gradients of every input, for a batch with everything that InfoNCE takes.
fn everything(config: InfoNceConfig, padding: f32, rows_of: Option<std::ops::Range<usize>>) -> (f64, Vec<Tensor<1>>) {
    let (n, d, k, m) = (6, 4, 2, 3);
    let leaves = [rows(n, d, 0.0), rows(n, d, 0.4), rows(n * k, d, 2.0), rows(m, d, 3.0)].map(Tensor::require_grad);
    let [anchor, positive, hard, shared] = leaves.clone();
    // Anchor 4 has one hard negative only; the other slot may hold anything.
    let absent = mask([n, k], |at| at == 9);
    let padded = mask([n, k, d], |at| at / d == 9);
    let hard = hard.reshape([n, k, d]).mask_fill(padded, padding);
    let weights: Vec<f32> = (0..n * k).map(|at| 0.5 + (at % 3) as f32).collect();
    let mut batch = Batch::pairs(anchor, positive)
        .with_hard_negatives(hard)
        .with_hard_excluded(absent)
        .with_hard_weights(Tensor::from_data(TensorData::new(weights, [n, k]), &device()))
        .with_shared_negatives(shared)
        .with_shared_excluded(mask([n, m], |at| at % 5 == 0))
        .with_excluded(mask([n, n], |at| at % 7 == 3))
        .with_row_weights(Tensor::from_floats([1.0, 0.5, 2.0, 1.0, 0.0, 1.5], &device()));
    if let Some(rows_of) = rows_of {
        batch = batch.with_rows(rows_of);
    }
    let loss = config.init().unwrap().try_forward(batch).unwrap().loss;
    let gradients = loss.backward();
    let gradient = |leaf: &Tensor<2>| leaf.grad(&gradients).unwrap().flatten::<1>(0, 1);
    (scalar(&loss), leaves.iter().map(gradient).collect())
}

fn assert_close(a: &(f64, Vec<Tensor<1>>), b: &(f64, Vec<Tensor<1>>)) {
    assert!((a.0 - b.0).abs() < 1e-5 * (1.0 + b.0.abs()), "{} {}", a.0, b.0);
    for (a, b) in a.1.iter().zip(&b.1) {
        let off = scalar(&(a.clone() - b.clone()).abs().max());
        assert!(off < 1e-5, "{off}");
    }
}

#[test]
fn both_evaluations_agree_and_masked_slots_may_hold_anything() {
    for direction in [Direction::Symmetric, Direction::AnchorToPositive] {
        let config = InfoNceConfig::new().with_temperature(0.3).with_direction(direction);
        for part in [None, Some(2..5)] {
            let plain = everything(config.with_evaluation(Evaluation::Plain), 1.0, part.clone());
            assert_close(&everything(config.with_evaluation(Evaluation::Tiled(2)), 1.0, part.clone()), &plain);
            for padding in [0.0, f32::NAN, f32::INFINITY] {
                for evaluation in [Evaluation::Plain, Evaluation::Tiled(4)] {
                    assert_close(&everything(config.with_evaluation(evaluation), padding, part.clone()), &plain);
                }
            }
        }
    }
}

#[test]
fn the_shares_of_rows_add_up_to_the_whole() {
    for direction in [Direction::Symmetric, Direction::AnchorToPositive, Direction::Joint] {
        let config =
            InfoNceConfig::new().with_temperature(0.3).with_direction(direction).with_reduction(Reduction::Sum);
        let whole = everything(config, 1.0, None);
        let (first, second) = (everything(config, 1.0, Some(0..2)), everything(config, 1.0, Some(2..6)));
        let gradients = first.1.into_iter().zip(second.1).map(|(a, b)| a + b).collect();
        assert_close(&(first.0 + second.0, gradients), &whole);
    }
    let loss = SigLipConfig::new().init().unwrap();
    let batch = || Batch::pairs(rows(6, 3, 0.0), rows(6, 3, 1.0));
    let (a, b) = (loss.forward(batch().with_rows(0..4)).loss, loss.forward(batch().with_rows(4..6)).loss);
    let whole = loss.forward(batch()).loss;
    assert!((scalar(&a) * 4.0 + scalar(&b) * 2.0 - scalar(&whole) * 6.0).abs() < 1e-4);
}

#[test]
fn a_queue_and_a_column_for_every_anchor_are_the_same() {
    let (anchor, positive, queue) = (rows(5, 4, 0.0), rows(5, 4, 1.0), rows(3, 4, 2.0));
    let loss = InfoNceConfig::new().with_direction(Direction::AnchorToPositive).init().unwrap();
    let shared =
        loss.forward_batch(Batch::pairs(anchor.clone(), positive.clone()).with_shared_negatives(queue.clone()));
    let repeated = queue.unsqueeze_dim::<3>(0).expand([5, 3, 4]);
    let hard = loss.forward_batch(Batch::pairs(anchor, positive).with_hard_negatives(repeated));
    assert!((scalar(&shared.loss) - scalar(&hard.loss)).abs() < 1e-6);
    assert_eq!(scalar(&shared.accuracy), scalar(&hard.accuracy));
    assert!((scalar(&shared.similarity_negative) - scalar(&hard.similarity_negative)).abs() < 1e-6);
}

#[test]
fn hardness_raises_the_share_of_similar_negatives() {
    let loss = |config: InfoNceConfig| {
        let batch = Batch::pairs(rows(5, 4, 0.0), rows(5, 4, 1.0)).with_hard_negative(rows(5, 4, 2.0));
        scalar(&config.init().unwrap().forward_batch(batch).loss)
    };
    let config = InfoNceConfig::new().with_direction(Direction::AnchorToPositive).with_hardness(9.0);
    let [all, of_batch, hard] =
        [Hardness::All, Hardness::InBatch, Hardness::Hard].map(|of| loss(config.with_hardness_of(of)));
    assert!(loss(config.with_hardness(0.0)) != all && all != of_batch && of_batch != hard);
    assert!(config.with_hardness(-1.0).init().is_err() && config.with_evaluation(Evaluation::Tiled(2)).init().is_err());
}

#[test]
fn large_group_ids_survive_gathering() {
    let loss = InfoNceConfig::new().with_temperature(1.0).init().unwrap();
    let wide = |ids: &[i64]| Tensor::<1, Int>::from_data(TensorData::from(ids), (&Device::flex(), DType::I64));
    let ids = |first: i64| wide(&[first << 32, (first + 1) << 32, -1 - first, first]);
    let of = |part: std::ops::Range<usize>, ids: Tensor<1, Int>| {
        let part = |phase| rows(8, 3, phase).without_autodiff().slice([part.clone(), 0..3]);
        Batch::pairs(part(0.0), part(2.0)).with_groups(ids)
    };
    let whole = loss.forward_batch(of(0..8, Tensor::cat(vec![ids(0), ids(1)], 0)));
    // Row 1 of the first half and row 0 of the second are one group, so fewer rows are negatives.
    assert!(scalar(&whole.loss) != scalar(&loss.forward_batch(of(0..8, wide(&[0, 1, 2, 3, 4, 5, 6, 7]))).loss));
    let losses: Vec<f64> = std::thread::scope(|scope| {
        let ranks = LocalCollective::new(2).into_iter().enumerate().map(|(rank, collective)| {
            let (loss, of, ids) = (loss.clone(), &of, &ids);
            scope.spawn(move || {
                let batch = of(4 * rank..4 * rank + 4, ids(rank as i64)).all_gather(&collective).unwrap();
                scalar(&loss.forward_batch(batch).loss)
            })
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    assert_eq!(losses, [scalar(&whole.loss); 2]);
}

#[test]
fn every_kind_of_loss_can_be_named_in_a_file() {
    let kinds = ["info_nce", "supcon", "siglip", "cosent", "distillation", "consistency"];
    for kind in kinds {
        let config: LossConfig = serde_json::from_value(serde_json::json!({ "kind": kind })).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap()["kind"], kind);
        assert_eq!(config.init().unwrap().name(), kind);
    }
    let error = serde_json::from_value::<LossConfig>(serde_json::json!({ "kind": "triplet" })).unwrap_err().to_string();
    assert!(kinds.iter().all(|kind| error.contains(kind)), "{error}");
    let settings = serde_json::json!({ "kind": "info_nce", "temperature": 0.1, "direction": "anchor_to_positive", "evaluation": { "tiled": 64 } });
    let LossConfig::InfoNce(config) = serde_json::from_value(settings).unwrap() else { panic!("another kind") };
    let expected = InfoNceConfig::new().with_temperature(0.1).with_direction(Direction::AnchorToPositive);
    assert_eq!(config, expected.with_evaluation(Evaluation::Tiled(64)));
}
