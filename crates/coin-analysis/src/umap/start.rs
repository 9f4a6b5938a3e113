//! Initial positions: the first two principal components of the points.
//!
//! The components are computed in f64 by orthogonal iteration on X^T X, with X the centered points. The global structure of a
//! map comes from its initialization (Kobak and Linderman 2021, <https://doi.org/10.1038/s41587-020-00809-z>).

use coin_core::stream;
use rand::Rng;
use rayon::prelude::*;

use crate::distance::DistanceRows;

/// Number of iterations; initial positions do not need to be exact.
const ITERATIONS: usize = 30;
/// Side of the square of initial positions, starting at 0, as in umap-learn.
const SIDE: f64 = 10.0;
/// Noise that separates equal points, so that they can move apart.
const NOISE: f64 = 1e-3;

/// Returns the initial position of each point: its principal components, each scaled to `[0, 10]`, with a little noise.
pub(super) fn start(rows: &DistanceRows, seed: u64) -> Vec<[f64; 2]> {
    let mut random = stream::keyed(seed, &["umap", "start"]);
    let width = rows.point(0).len();
    let mut mean = vec![0.0; width];
    for index in 0..rows.len() {
        add(&mut mean, rows.point(index), 1.0 / rows.len() as f64);
    }
    let mut axes = [(); 2].map(|()| (0..width).map(|_| random.random_range(-1.0..1.0)).collect::<Vec<f64>>());
    for _ in 0..ITERATIONS {
        orthonormalize(&mut axes);
        let places = project(rows, &mean, &axes);
        axes = std::array::from_fn(|axis| {
            let mut next = vec![0.0; width];
            let sum: f64 = places.iter().map(|place| place[axis]).sum();
            for (index, place) in places.iter().enumerate() {
                add(&mut next, rows.point(index), place[axis]);
            }
            next.iter_mut().zip(&mean).for_each(|(next, mean)| *next -= sum * mean);
            next
        });
    }
    orthonormalize(&mut axes);
    let mut places = project(rows, &mean, &axes);
    for axis in 0..2 {
        let column = || places.iter().map(|place| place[axis]);
        let (low, high) = (column().fold(f64::INFINITY, f64::min), column().fold(f64::NEG_INFINITY, f64::max));
        for place in &mut places {
            let share = if high > low { (place[axis] - low) / (high - low) } else { 0.5 };
            place[axis] = SIDE * share + random.random_range(-NOISE..NOISE);
        }
    }
    places
}

fn add(sum: &mut [f64], point: &[f32], scale: f64) {
    sum.iter_mut().zip(point).for_each(|(sum, value)| *sum += scale * f64::from(*value));
}

fn project(rows: &DistanceRows, mean: &[f64], axes: &[Vec<f64>; 2]) -> Vec<[f64; 2]> {
    let along = |point: &[f32], axis: &[f64]| -> f64 {
        point.iter().zip(mean).zip(axis).map(|((value, mean), axis)| (f64::from(*value) - mean) * axis).sum()
    };
    let place = |index| [along(rows.point(index), &axes[0]), along(rows.point(index), &axes[1])];
    (0..rows.len()).into_par_iter().map(place).collect()
}

/// Orthonormalizes the axes. An axis without variance becomes 0.
fn orthonormalize([first, second]: &mut [Vec<f64>; 2]) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let unit = |axis: &mut [f64]| {
        let length = dot(axis, axis).sqrt();
        axis.iter_mut().for_each(|value| *value = if length > 0.0 { *value / length } else { 0.0 });
    };
    unit(first);
    let before = dot(second, second).sqrt();
    let along = dot(first, second);
    second.iter_mut().zip(&*first).for_each(|(second, first)| *second -= along * first);
    // If the second axis is parallel to the first, only rounding errors are left of it.
    if dot(second, second).sqrt() <= 1e-12 * before {
        second.fill(0.0);
    }
    unit(second);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distance, Points};

    #[test]
    fn positions_are_principal_components() {
        // A grid, 30 long, 5 wide and 1 high, rotated in the plane so that its two longest axes are not coordinate axes.
        let mut values = Vec::new();
        let mut grid = Vec::new();
        for x in 0..16 {
            for y in 0..6 {
                for z in 0..2 {
                    let (x, y, z) = (2.0 * x as f32, y as f32, 0.5 * z as f32);
                    grid.push([x, y]);
                    values.extend([0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y, z]);
                }
            }
        }
        let rows = DistanceRows::new(Points::new(&values, 3).unwrap(), Distance::Euclidean).unwrap();
        let places = start(&rows, 3);
        for axis in 0..2 {
            let range = [30.0, 5.0][axis];
            let mirrored = places[0][axis] > 5.0;
            for (place, point) in places.iter().zip(&grid) {
                let share = f64::from(point[axis]) / range;
                let expected = SIDE * if mirrored { 1.0 - share } else { share };
                assert!((place[axis] - expected).abs() < 2.0 * NOISE, "{place:?} {expected}");
            }
        }
    }
}
