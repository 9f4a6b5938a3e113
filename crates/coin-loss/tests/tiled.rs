//! Tiled evaluation compared with the f64 reference and with the plain evaluation.

mod reference;

use burn::tensor::{Device, Tensor};
use coin_loss::{Batch, CoinLossConfig, Direction, Evaluation, InfoNceConfig, InfoNceOutput};
use proptest::prelude::*;
use reference::{Case, distance, largest, scalar, values};

#[test]
fn losses_and_gradients_match_the_formulas() {
    for case in Case::all().into_iter().filter(|case| case.config.direction != Direction::Joint) {
        let (expected, by_difference) = (case.loss(), case.gradient());
        // Tiles that do not divide the batch, that divide it, of one row, and of all rows.
        for tile in [3, 4, 1, 7, 100] {
            let (loss, gradient) = case.ours(Evaluation::Tiled(tile));
            assert!((loss - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{tile}: {loss} {expected} {case:?}");
            let off = distance(&gradient, &by_difference);
            assert!(off < 1e-5 * (1.0 + largest(&by_difference)), "{tile}: {off} {case:?}");
        }
    }
}

fn all(output: &InfoNceOutput) -> Vec<f64> {
    let scalars =
        [&output.loss, &output.contrasted, &output.accuracy, &output.similarity_positive, &output.similarity_negative];
    scalars.into_iter().map(scalar).chain(values(output.per_row.clone())).collect()
}

#[test]
fn every_output_matches_the_plain_evaluation() {
    for case in Case::all().into_iter().filter(|case| case.config.direction != Direction::Joint) {
        let output = |evaluation| all(&case.init(evaluation).forward_batch(case.leaves(&Device::flex()).1));
        let plain = output(Evaluation::Plain);
        for tile in [2, 5, 7] {
            let off = distance(&output(Evaluation::Tiled(tile)), &plain);
            assert!(off < 1e-5 * (1.0 + largest(&plain)), "{tile}: {off} {case:?}");
        }
    }
}

#[test]
fn a_large_batch_is_tiled_by_default_and_agrees() {
    // More rows than `Auto` evaluates plainly, a smaller last block, and the paper's temperature.
    let (n, d) = (1100, 24);
    let case = Case::new(n, d, 77).with_groups(|i| (i / 3) as i32).with_config(|config| config.with_temperature(0.05));
    let (plain, plain_gradient) = case.ours(Evaluation::Plain);
    for evaluation in [Evaluation::Auto, Evaluation::Tiled(300)] {
        let (tiled, gradient) = case.ours(evaluation);
        assert!((plain - tiled).abs() < 1e-5 * plain, "{plain} {tiled}");
        // The gradient of a mean over 1100 rows is itself small.
        assert!(distance(&gradient, &plain_gradient) < 1e-5 * largest(&plain_gradient).min(1.0));
        // Blocks of this size run in parallel, but are summed in order.
        assert_eq!(case.ours(evaluation), (tiled, gradient));
    }
}

#[test]
fn the_gradient_follows_operations_on_the_loss() {
    let case = Case::new(6, 4, 31);
    let device = Device::flex().autodiff();
    let gradient = |evaluation| {
        let (leaves, batch) = case.leaves(&device);
        let first = case.init(evaluation).forward_batch(batch).loss;
        // Squared, scaled, and added to a term of the same leaf.
        let loss = first.clone() * first * 3.0 + (leaves[0].clone() * 0.5).sum();
        let gradients = loss.backward();
        (values(leaves[0].grad(&gradients).unwrap()), values(leaves[1].grad(&gradients).unwrap()))
    };
    let (plain, tiled) = (gradient(Evaluation::Plain), gradient(Evaluation::Tiled(4)));
    assert!(distance(&plain.0, &tiled.0) < 1e-5 && distance(&plain.1, &tiled.1) < 1e-5);
}

#[test]
fn the_coin_objective_is_the_same_when_tiled() {
    let case = Case::new(6, 4, 8);
    let device = Device::flex().autodiff();
    let run = |evaluation| {
        let (leaves, batch) = case.leaves(&device);
        let generation = Tensor::<1>::from_floats([0.7], &device).require_grad();
        let loss = CoinLossConfig::new().with_evaluation(evaluation).init().unwrap();
        let output = loss.forward_batch(generation, batch);
        // Capped: the scaled term equals the generation loss.
        assert!((scalar(&output.loss) - 1.4).abs() < 1e-5);
        values(leaves[0].grad(&output.loss.backward()).unwrap())
    };
    let plain = run(Evaluation::Plain);
    assert!(distance(&plain, &run(Evaluation::Tiled(4))) < 1e-5 * largest(&plain).max(1.0));
}

#[test]
fn only_inputs_in_a_graph_get_gradients() {
    let device = Device::flex().autodiff();
    let case = Case::new(5, 3, 2);
    let (leaves, _) = case.leaves(&device);
    let loss = case.init(Evaluation::Tiled(2));
    // The positives are constants: of another device state, and of the same one.
    for positive in [leaves[1].clone().inner(), leaves[1].clone().inner().autodiff()] {
        let output = loss.forward(leaves[0].clone(), positive, None);
        let gradients = output.loss.backward();
        assert!(distance(&values(leaves[0].grad(&gradients).unwrap()), &case.gradient()[..15]) < 1e-5);
        assert!(leaves[1].grad(&gradients).is_none());
    }
    // No input is in a graph: the loss is a plain value, still on the autodiff device.
    let (anchor, positive) = (leaves[0].clone().inner().autodiff(), leaves[1].clone().inner().autodiff());
    let output = loss.forward(anchor, positive, None);
    assert!(output.loss.is_autodiff() && !output.loss.is_tracked());
    assert!((scalar(&output.loss) - case.loss()).abs() < 1e-5);
}

#[test]
fn inputs_may_be_results_of_a_graph() {
    // Two views of one projection: the gradient meets in the weight.
    let device = Device::flex().autodiff();
    let case = Case::new(6, 4, 17);
    let gradient = |evaluation| {
        let (leaves, _) = case.leaves(&device);
        let weight =
            Tensor::<2>::from_floats([[1.0, 0.5, 0.0], [0.2, 1.0, 0.1], [0.0, 0.3, 1.0], [0.4, 0.0, 0.2]], &device)
                .require_grad();
        let view = |rows: &Tensor<2>| rows.clone().matmul(weight.clone()).tanh();
        let output = case.init(evaluation).forward(view(&leaves[0]), view(&leaves[1]), None);
        values(weight.grad(&output.loss.backward()).unwrap())
    };
    assert!(distance(&gradient(Evaluation::Plain), &gradient(Evaluation::Tiled(4))) < 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn tiles_of_any_size_agree(
        (n, tile) in (1usize..40, 1usize..50),
        d in 1usize..9,
        k in 0usize..3,
        seed in 0u64..1000,
        groups in 1i32..20,
        one_sided: bool,
        t in 0.05f64..1.0,
    ) {
        let direction = if one_sided { Direction::AnchorToPositive } else { Direction::Symmetric };
        let mut case = Case::new(n, d, seed)
            .with_groups(|i| i as i32 * 7 % groups)
            .with_config(|config| config.with_temperature(t).with_direction(direction));
        if k > 0 {
            case = case.with_hard(k, 0.5, seed);
        }
        let (plain, tiled) = (case.ours(Evaluation::Plain), case.ours(Evaluation::Tiled(tile)));
        prop_assert!((plain.0 - tiled.0).abs() < 1e-5 * (1.0 + plain.0));
        // A cosine's gradient is perpendicular to the row and scales with 1 / temperature over the row's length. With
        // d = 1 it is 0, and what remains is rounding of that size.
        let lengths = [&case.anchor, &case.positive, &case.hard].map(|rows| {
            rows.chunks(d).map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt()).fold(f64::INFINITY, f64::min)
        });
        let rounding = 1e-6 / t / lengths.into_iter().fold(f64::INFINITY, f64::min);
        prop_assert!(distance(&plain.1, &tiled.1) < 1e-5 * (1.0 + largest(&plain.1)) + rounding);
    }
}

#[test]
fn widely_spread_logits_do_not_underflow() {
    // All similarities of a column are far below the maxima of their rows: exp(S - r) is 0, the column's own sum is not.
    let device = Device::flex();
    let anchor = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]], &device);
    let positive = Tensor::<2>::from_floats([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.3]], &device);
    let output = |evaluation| {
        let loss = InfoNceConfig::new().with_temperature(0.002).with_evaluation(evaluation).init().unwrap();
        values(loss.forward_batch(Batch::pairs(anchor.clone(), positive.clone())).per_row)
    };
    let (plain, tiled) = (output(Evaluation::Plain), output(Evaluation::Tiled(1)));
    assert!(plain[1] > 400.0);
    assert!(distance(&plain, &tiled) < 1e-5 * plain[1]);
}
