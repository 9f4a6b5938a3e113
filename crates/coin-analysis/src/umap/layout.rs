//! Optimizes the positions in the plane by stochastic gradient descent.
//!
//! Section 4.2 of McInnes et al. 2018. The strongest edge is drawn in every epoch, and other edges in proportion to their
//! weights. A drawn edge pulls its two points together and pushes its start away from five points drawn at random. With
//! s = d^2, the gradients per coordinate difference are
//!
//! ```text
//! attraction  -2 a b s^(b-1) / (1 + a s^b)
//! repulsion    2 b / ((0.001 + s) (1 + a s^b))
//! ```
//!
//! Each step is clipped to 4 and scaled by a rate that decreases from 1 to 0. These numbers are umap-learn's.

use coin_core::stream;
use rand::Rng;

use super::curve::Curve;
use super::graph::Edge;

/// Number of random points that a drawn edge pushes its start away from.
const NEGATIVES: usize = 5;
/// Largest step per coordinate at rate 1.
const LARGEST: f64 = 4.0;
/// Keeps repulsion finite for coinciding points.
const SOFTENING: f64 = 1e-3;

/// Moves `places` for `epochs` epochs.
pub(super) fn optimize(places: &mut [[f64; 2]], edges: &[Edge], curve: Curve, epochs: usize, seed: u64) {
    let mut random = stream::keyed(seed, &["umap", "layout"]);
    let strongest = edges.iter().map(|edge| edge.weight).fold(0.0, f64::max);
    // Each edge accumulates its draws per epoch, and is drawn when a whole draw is owed.
    let mut drawn: Vec<(Edge, f64)> = edges.iter().map(|edge| (*edge, 0.0)).collect();
    for epoch in 0..epochs {
        let rate = 1.0 - epoch as f64 / epochs as f64;
        for (edge, owed) in &mut drawn {
            *owed += edge.weight / strongest;
            if *owed < 1.0 {
                continue;
            }
            *owed -= 1.0;
            let (from, to) = (edge.from, edge.to);
            let step = attraction(places[from], places[to], curve);
            shift(&mut places[from], step, rate);
            shift(&mut places[to], step, -rate);
            for _ in 0..NEGATIVES {
                let other = random.random_range(0..places.len());
                if other != from {
                    let step = repulsion(places[from], places[other], curve);
                    shift(&mut places[from], step, rate);
                }
            }
        }
    }
}

fn shift(place: &mut [f64; 2], step: [f64; 2], rate: f64) {
    place[0] += rate * step[0];
    place[1] += rate * step[1];
}

fn step(a: [f64; 2], b: [f64; 2], coefficient: impl Fn(f64) -> f64) -> [f64; 2] {
    let difference = [a[0] - b[0], a[1] - b[1]];
    let square = difference[0] * difference[0] + difference[1] * difference[1];
    if square == 0.0 {
        return [0.0; 2];
    }
    let coefficient = coefficient(square);
    difference.map(|difference| (coefficient * difference).clamp(-LARGEST, LARGEST))
}

fn attraction(a: [f64; 2], b: [f64; 2], curve: Curve) -> [f64; 2] {
    step(a, b, |square| {
        let power = square.powf(curve.b);
        -2.0 * curve.a * curve.b * power / (square * (1.0 + curve.a * power))
    })
}

fn repulsion(a: [f64; 2], b: [f64; 2], curve: Curve) -> [f64; 2] {
    step(a, b, |square| 2.0 * curve.b / ((SOFTENING + square) * (1.0 + curve.a * square.powf(curve.b))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forces_are_gradients_of_the_cross_entropy() {
        let curve = Curve { a: 1.5, b: 0.9 };
        let nearness = |x: f64| 1.0 / (1.0 + curve.a * (x * x).powf(curve.b));
        let slope = |f: &dyn Fn(f64) -> f64, x: f64| (f(x + 1e-6) - f(x - 1e-6)) / 2e-6;
        for x in [0.4, 1.0, 2.5] {
            // Attraction is the gradient of log v; repulsion that of log(1 - v), except for the softening in s.
            let (pull, push) = (attraction([x, 0.0], [0.0; 2], curve), repulsion([x, 0.0], [0.0; 2], curve));
            assert!((pull[0] - slope(&|x| nearness(x).ln(), x)).abs() < 1e-6);
            let exact = slope(&|x| (1.0 - nearness(x)).ln(), x);
            assert!((push[0] * (SOFTENING + x * x) / (x * x) - exact).abs() < 1e-6);
            assert_eq!((pull[1], push[1]), (0.0, 0.0));
        }
    }

    #[test]
    fn edges_are_drawn_in_proportion_and_steps_clipped() {
        // Two points with one edge end closer together than they began, whatever negatives are drawn.
        let mut places = [[0.0, 0.0], [9.0, 0.0]];
        let edges = [Edge { from: 0, to: 1, weight: 0.5 }, Edge { from: 1, to: 0, weight: 0.5 }];
        optimize(&mut places, &edges, Curve { a: 1.5, b: 0.9 }, 100, 1);
        assert!((places[0][0] - places[1][0]).abs() < 3.0, "{places:?}");
        let near = repulsion([1e-3, 0.0], [0.0; 2], Curve { a: 1.5, b: 0.9 });
        assert!(near[0] > 1.0 && near[0] <= LARGEST);
        assert_eq!(attraction([1e6, 0.0], [0.0; 2], Curve { a: 1.5, b: 3.0 })[0], -6e-6);
    }
}
