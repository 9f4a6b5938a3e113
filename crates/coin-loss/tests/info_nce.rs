//! Plain InfoNCE compared with an f64 reference, and its properties.

mod reference;

use burn::tensor::{DType, Device, Tensor};
use coin_loss::{Batch, Direction, Evaluation, InfoNceConfig, LossError, Reduction, Similarity};
use proptest::prelude::*;
use reference::{Case, distance, largest, numbers, scalar, values};

#[test]
fn losses_and_gradients_match_the_formulas() {
    for case in Case::all() {
        let (loss, gradient) = case.ours(Evaluation::Plain);
        let (expected, by_difference) = (case.loss(), case.gradient());
        // f32 similarities divided by a temperature of 0.3: an error of about 1e-6 per logit.
        assert!((loss - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{loss} {expected} {case:?}");
        assert!(largest(&by_difference) > 1e-3);
        let off = distance(&gradient, &by_difference);
        assert!(off < 1e-5 * (1.0 + largest(&by_difference)), "{off} {case:?}");
    }
}

#[test]
fn unreduced_terms_have_graphs() {
    let case = Case::new(5, 4, 9).with_weights(9);
    let (leaves, batch) = case.leaves(&Device::flex().autodiff());
    let rows = case.config.with_reduction(Reduction::None).init().unwrap().forward_batch(batch);
    assert_eq!(rows.loss.dims(), [5]);
    let weighted: Vec<f64> = case.terms(0.3).iter().zip(case.weights.as_ref().unwrap()).map(|(t, w)| t * w).collect();
    assert!(distance(&values(rows.loss.clone()), &weighted) < 1e-5);
    assert!(distance(&values(rows.per_row), &case.terms(0.3)) < 1e-5);
    let gradient = values(leaves[0].grad(&rows.loss.mean().backward()).unwrap());
    assert!(distance(&gradient, &case.gradient()[..20]) < 1e-5);
}

#[test]
fn statistics_match_hand_computed_values() {
    let device = Device::flex();
    let anchor = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]], &device);
    let positive = Tensor::<2>::from_floats([[1.0, 0.2], [0.0, 1.0], [1.0, 0.0]], &device);
    let loss = InfoNceConfig::new().init().unwrap();
    let batch = Batch::pairs(anchor, positive);
    // cos(a0, p2) = 1 > cos(a0, p0) = 0.981, and cos(a2, p0) = 0.9952 > cos(a2, p2) = 0.9950: only row 1 is right.
    let plain = loss.forward_batch(batch.clone());
    assert!((scalar(&plain.accuracy) - 1.0 / 3.0).abs() < 1e-6);
    assert!((scalar(&plain.similarity_positive) - (0.980581 + 1.0 + 0.995037) / 3.0).abs() < 1e-5);
    // 0 + 1, 0.196116 + 0, 0.995227... + 0.0995037
    assert!((scalar(&plain.similarity_negative) - (1.0 + 0.196116 + 0.995227 + 0.0995037) / 6.0).abs() < 1e-5);
    let groups = burn::tensor::Tensor::from_data([4, 5, 4], &device);
    let grouped = loss.forward_batch(batch.clone().with_groups(groups));
    assert_eq!(scalar(&grouped.accuracy), 1.0);
    assert!((scalar(&grouped.similarity_negative) - (0.196116 + 0.0995037) / 4.0).abs() < 1e-5);
    // A hard negative equal to the second anchor ties with its positive, which counts as wrong.
    let hard = Tensor::<2>::from_floats([[-1.0, 0.0], [0.0, 3.0], [-1.0, 0.0]], &device);
    let groups = burn::tensor::Tensor::from_data([4, 5, 4], &device);
    let output = loss.forward_batch(batch.with_groups(groups).with_hard_negative(hard));
    assert!((scalar(&output.accuracy) - 2.0 / 3.0).abs() < 1e-6);
    let negatives = (0.196116 + 0.0995037 - 1.0 + 1.0 - 0.995037) / 7.0;
    assert!((scalar(&output.similarity_negative) - negatives).abs() < 1e-5);
}

#[test]
fn a_row_without_a_negative_is_not_ranked() {
    let device = Device::flex();
    // Rows 0 and 1 rank their positives below that of row 2. Rows 3 to 5 do not have a negative.
    let anchor =
        || Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.5, 1.0], [0.0, 1.0]], &device);
    let positive =
        || Tensor::<2>::from_floats([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], &device);
    let alone = |i: usize| i >= 3;
    let excluded: Vec<bool> = (0..36).map(|at| alone(at / 6) || alone(at % 6)).collect();
    for evaluation in [Evaluation::Plain, Evaluation::Tiled(2)] {
        let loss = InfoNceConfig::new().with_evaluation(evaluation).init().unwrap();
        let mask = Tensor::from_data(burn::tensor::TensorData::new(excluded.clone(), [6, 6]), &device);
        let output = loss.forward(anchor(), positive(), Some(mask));
        assert_eq!((scalar(&output.accuracy), scalar(&output.contrasted)), (0.0, 0.5));
        // A hard negative for each row gives every row a negative.
        let hard = Tensor::<2>::from_floats([[-1.0, -1.0]; 6], &device);
        let batch = Batch::pairs(anchor(), positive()).with_groups(Tensor::from_data([1, 1, 1, 1, 1, 1], &device));
        let output = loss.forward_batch(batch.with_hard_negative(hard));
        assert_eq!((scalar(&output.accuracy), scalar(&output.contrasted)), (1.0, 1.0));
    }
}

#[test]
fn zero_vectors_single_pairs_and_full_masks_are_defined() {
    let device = Device::flex().autodiff();
    for evaluation in [Evaluation::Plain, Evaluation::Tiled(2)] {
        let loss = InfoNceConfig::new().with_evaluation(evaluation).init().unwrap();
        let one = Tensor::<2>::zeros([1, 3], &device).require_grad();
        let output = loss.forward(one.clone(), one.clone(), None);
        assert_eq!((scalar(&output.loss), scalar(&output.similarity_negative)), (0.0, 0.0));
        assert_eq!((scalar(&output.accuracy), scalar(&output.contrasted)), (0.0, 0.0), "nothing was ranked");
        assert_eq!(largest(&values(one.grad(&output.loss.backward()).unwrap())), 0.0);

        // Zero rows have similarity 0 to every row, so the loss of three of them is log 3.
        let zero = Tensor::<2>::zeros([3, 2], &device).require_grad();
        let output = loss.forward(zero.clone(), zero.clone(), None);
        assert!((scalar(&output.loss) - 3f64.ln()).abs() < 1e-6);
        assert_eq!(scalar(&output.accuracy), 0.0);
        assert!(values(zero.grad(&output.loss.backward()).unwrap()).iter().all(|value| value.is_finite()));

        // All negatives excluded, by mask and by groups.
        let case = Case::new(3, 2, 4);
        let (leaves, batch) = case.clone().with_excluded(|_, _| true).leaves(&device);
        let output = loss.forward_batch(batch);
        assert_eq!((scalar(&output.loss), scalar(&output.similarity_negative)), (0.0, 0.0));
        assert_eq!((scalar(&output.accuracy), scalar(&output.contrasted)), (0.0, 0.0));
        assert!(largest(&values(leaves[0].grad(&output.loss.backward()).unwrap())) < 1e-6);
        let (_, batch) = case.with_groups(|_| 1).leaves(&device);
        assert_eq!(scalar(&loss.forward_batch(batch).loss), 0.0);
    }
}

#[test]
fn finite_rows_never_give_nan() {
    let device = Device::flex().autodiff();
    for evaluation in [Evaluation::Plain, Evaluation::Tiled(2)] {
        let loss = InfoNceConfig::new().with_evaluation(evaluation).with_temperature(0.01).init().unwrap();
        for size in [1e38f32, 1e20, 1e-20, 1e-38] {
            let rows = |values: [[f32; 2]; 3]| (Tensor::<2>::from_floats(values, &device) * size).require_grad();
            let (anchor, positive) =
                (rows([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]), rows([[1.0, 1.0], [-1.0, 0.0], [2.0, -2.0]]));
            let output = loss.forward(anchor.clone(), positive.clone(), None);
            assert!(scalar(&output.loss).is_finite(), "{size}");
            let gradients = output.loss.backward();
            for leaf in [anchor, positive] {
                assert!(values(leaf.grad(&gradients).unwrap()).iter().all(|value| value.is_finite()), "{size}");
            }
        }
    }
}

#[test]
fn half_precision_rows_are_compared_in_f32() {
    let case = Case::new(6, 4, 12);
    for evaluation in [Evaluation::Plain, Evaluation::Tiled(4)] {
        let (_, full) = case.leaves(&Device::flex());
        let (leaves, _) = case.leaves(&Device::flex().autodiff());
        let half = leaves[0].clone().cast(DType::F16);
        let loss = case.init(evaluation);
        let output = loss.forward(half, leaves[1].clone(), None);
        // f16 keeps 11 bits of each factor of a cosine.
        assert!((scalar(&output.loss) - scalar(&loss.forward_batch(full).loss)).abs() < 5e-3);
        let gradient = values(leaves[0].grad(&output.loss.backward()).unwrap());
        assert!(distance(&gradient, &case.gradient()[..24]) < 5e-3);
    }
}

#[test]
fn a_learnable_temperature_has_the_gradient_of_its_logarithm() {
    let device = Device::flex().autodiff();
    for case in Case::all().into_iter().filter(|case| case.config.direction != Direction::Joint) {
        for evaluation in [Evaluation::Plain, Evaluation::Tiled(3)] {
            let loss = case.config.with_evaluation(evaluation).init_learnable(&device).unwrap();
            assert!((scalar(&loss.temperature(&device)) - 0.3).abs() < 1e-6);
            let (_, batch) = case.leaves(&device);
            let output = loss.forward_batch(batch);
            assert!((scalar(&output.loss) - case.loss()).abs() < 1e-5 * (1.0 + case.loss().abs()));
            let gradients = output.loss.backward();
            let parameters = burn::optim::GradientsParams::from_grads(gradients, &loss);
            assert_eq!(parameters.len(), 1);
            let ours = scalar(&gradient_of_the_parameter(&loss, parameters));
            // d loss / d log(1 / temperature), by finite differences.
            let step = 1e-5;
            let at = |by: f64| case.loss_at(0.3 * (-by).exp());
            let expected = (at(step) - at(-step)) / (2.0 * step);
            assert!((ours - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{ours} {expected} {case:?}");
        }
    }
}

fn gradient_of_the_parameter(loss: &coin_loss::InfoNce, gradients: burn::optim::GradientsParams) -> Tensor<1> {
    use burn::module::{Module, ModuleVisitor, Param};
    struct Find(burn::optim::GradientsParams, Option<Tensor<1>>);
    impl ModuleVisitor for Find {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1 = self.0.remove::<D>(param.id).map(|gradient| gradient.reshape([1]));
        }
    }
    let mut find = Find(gradients, None);
    loss.visit(&mut find);
    find.1.expect("the parameter has a gradient")
}

#[test]
fn a_learnable_temperature_stays_in_range_and_can_rise_again() {
    use burn::optim::{GradientsParams, SgdConfig};
    let device = Device::flex().autodiff();
    let config = InfoNceConfig::new().with_temperature(0.011).with_evaluation(Evaluation::Plain);
    let mut loss = config.init_learnable(&device).unwrap();
    let eye = || Tensor::<2>::eye(3, &device);
    // Nearly separated pairs: a lower temperature is better, so a large step overshoots the minimum.
    let near = eye() * 0.02 + 1.0;
    let mut optimizer = SgdConfig::new().init();
    let output = loss.forward(eye() + 1.0, near.clone(), None);
    let gradients = GradientsParams::from_grads(output.loss.backward(), &loss);
    loss = optimizer.step(10.0, loss, gradients);
    assert!((scalar(&loss.temperature(&device)) - 0.01).abs() < 1e-6);
    // Contradictory pairs push the temperature up again, through the limit.
    let wrong = Tensor::<2>::from_floats([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], &device);
    let mut clamped = loss.clamped();
    let output = clamped.forward(eye(), wrong, None);
    let gradients = GradientsParams::from_grads(output.loss.backward(), &clamped);
    clamped = optimizer.step(0.01, clamped, gradients);
    // There d loss / d log scale equals the loss, about 100: exp(-4.605 + 0.01 * 100) = 0.0272.
    assert!((scalar(&clamped.temperature(&device)) - 0.0272).abs() < 1e-3);
}

#[test]
fn settings_out_of_range_are_refused() {
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-30] {
        assert!(matches!(InfoNceConfig::new().with_temperature(bad).init(), Err(LossError::Temperature(_))));
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let config = InfoNceConfig::new().with_hard_negative_weight(bad);
        assert!(matches!(config.init(), Err(LossError::Setting { .. })));
    }
    let tiled = |tile| InfoNceConfig::new().with_evaluation(Evaluation::Tiled(tile));
    assert_eq!(tiled(0).init().err(), Some(LossError::Tile));
    assert_eq!(tiled(8).with_reduction(Reduction::None).init().err(), Some(LossError::TiledRows));
    let cold = InfoNceConfig::new().with_temperature(0.005);
    assert!(cold.init().is_ok());
    assert!(matches!(cold.init_learnable(&Device::flex()), Err(LossError::InitialTemperature { .. })));
}

#[test]
fn hard_negatives_of_weight_zero_have_no_effect() {
    let with = Case::new(6, 4, 21).with_hard(2, 0.0, 21);
    let without = Case::new(6, 4, 21);
    for evaluation in [Evaluation::Plain, Evaluation::Tiled(4)] {
        let output = |case: &Case| case.init(evaluation).forward_batch(case.leaves(&Device::flex()).1);
        let (a, b) = (output(&with), output(&without));
        assert_eq!(scalar(&a.loss), scalar(&b.loss));
        assert_eq!(scalar(&a.similarity_negative), scalar(&b.similarity_negative));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn agrees_with_the_formula(n in 1usize..9, d in 1usize..7, seed in 0u64..1000, bits: u64, t in 0.05f64..2.0) {
        let case = Case::new(n, d, seed)
            .with_excluded(|i, j| bits >> ((i * n + j) % 64) & 1 == 1)
            .with_config(|config| config.with_temperature(t));
        let loss = scalar(&case.init(Evaluation::Plain).forward_batch(case.leaves(&Device::flex()).1).loss);
        // The absolute error is about 2e-6 per logit at a temperature of 0.05.
        prop_assert!((loss - case.loss()).abs() < 1e-4 * (1.0 + case.loss()));
    }

    #[test]
    fn the_order_of_pairs_does_not_matter(n in 2usize..9, seed in 0u64..1000, by in 1usize..8) {
        let case = Case::new(n, 4, seed);
        let mut turned = case.clone();
        turned.anchor.rotate_left(by % n * 4);
        turned.positive.rotate_left(by % n * 4);
        let terms = |case: &Case| values(case.init(Evaluation::Plain).forward_batch(case.leaves(&Device::flex()).1).per_row);
        let mut expected = terms(&case);
        expected.rotate_left(by % n);
        prop_assert!(distance(&terms(&turned), &expected) < 1e-5);
    }

    #[test]
    fn cosine_loss_ignores_order_of_sides_and_scale(n in 1usize..7, seed in 0u64..1000, factor in 0.5f64..50.0) {
        let case = Case::new(n, 3, seed);
        let mut other = case.clone();
        std::mem::swap(&mut other.anchor, &mut other.positive);
        other.anchor.iter_mut().for_each(|value| *value *= factor);
        let loss = |case: &Case| scalar(&case.init(Evaluation::Plain).forward_batch(case.leaves(&Device::flex()).1).loss);
        prop_assert!((loss(&case) - loss(&other)).abs() < 1e-4);
        // One direction alone is not symmetric, and dot products depend on the factor.
        let dot = |case: &Case| case.clone().with_config(|config| config.with_similarity(Similarity::Dot));
        prop_assert!((loss(&dot(&other)) - dot(&other).loss()).abs() < 1e-4 * (1.0 + dot(&other).loss()));
    }

    #[test]
    fn a_high_temperature_makes_all_rows_equally_likely(n in 1usize..9, seed in 0u64..1000) {
        let case = Case::new(n, 3, seed).with_config(|config| config.with_temperature(1e6));
        let loss = scalar(&case.init(Evaluation::Plain).forward_batch(case.leaves(&Device::flex()).1).loss);
        prop_assert!((loss - (n as f64).ln()).abs() < 1e-5);
    }
}

#[test]
fn at_a_low_temperature_only_the_nearest_row_counts() {
    let device = Device::flex();
    let rows =
        Tensor::<1>::from_floats(numbers(24, 5).iter().map(|&x| x as f32).collect::<Vec<_>>().as_slice(), &device)
            .reshape([6, 4]);
    let loss = InfoNceConfig::new().with_temperature(1e-4).with_direction(Direction::AnchorToPositive).init().unwrap();
    assert!(scalar(&loss.forward(rows.clone(), rows.clone(), None).loss) < 1e-6);
    // With the wrong positives the loss is the gap in similarity divided by the temperature.
    let wrong = rows.clone().flip([0]);
    assert!(scalar(&loss.forward(rows, wrong, None).loss) > 100.0);
}
