//! Trustworthiness: how well a map preserves neighborhoods.
//!
//! For a map of n points (Venna and Kaski 2001), let U(i) be those of the k nearest points of i on the map that are not among
//! its k nearest points in the original space, and r(i, j) the rank of j among the neighbors of i in the original space,
//! with the nearest at rank 1:
//!
//! ```text
//! T(k) = 1 - 2 / (n k (2n - 3k - 1)) * sum_i sum_{j in U(i)} (r(i, j) - k)
//! ```
//!
//! It is 1 if every neighbor on the map is a neighbor in the original space; a random map has about 0.5.

use crate::distance::DistanceRows;
use crate::{AnalysisError, Distance, Points};

/// Computes the trustworthiness of `map` for `neighbors` neighbors, not counting the point itself.
///
/// # Errors
/// [`AnalysisError::Invalid`] if the map has a different number of points or a position that is not finite, or if `neighbors` is
/// 0 or at least half the number of points.
///
/// ```
/// use coin_analysis::{Distance, Points, trustworthiness};
/// let points = Points::new(&[0.0, 1.0, 3.0, 6.0, 10.0], 1)?;
/// let same = [[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [6.0, 0.0], [10.0, 0.0]];
/// assert_eq!(trustworthiness(points, Distance::Euclidean, &same, 2)?, 1.0);
/// # Ok::<(), coin_analysis::AnalysisError>(())
/// ```
pub fn trustworthiness(
    points: Points,
    metric: Distance,
    map: &[[f32; 2]],
    neighbors: usize,
) -> Result<f64, AnalysisError> {
    let count = points.len();
    if map.len() != count {
        return Err(AnalysisError::Invalid(format!("the map has {} positions for {count} points", map.len())));
    }
    if neighbors == 0 || 2 * neighbors >= count {
        let message = format!("trustworthiness of {count} points: neighbors is {neighbors}");
        return Err(AnalysisError::Invalid(format!("{message}, expected at least 1 and less than half the points")));
    }
    let places = DistanceRows::new(Points::new(map.as_flattened(), 2)?, Distance::Euclidean)?;
    let order = |own: usize, distances: &[f64]| {
        let mut order: Vec<usize> = (0..count).filter(|other| *other != own).collect();
        order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        order
    };
    let near = places.per_point(|own, distances| {
        let mut order = order(own, distances);
        order.truncate(neighbors);
        order
    });
    let excess = DistanceRows::new(points, metric)?.per_point(|own, distances| {
        let mut rank = vec![0; count];
        for (place, other) in order(own, distances).into_iter().enumerate() {
            rank[other] = place + 1;
        }
        near[own]
            .iter()
            .map(|other| rank[*other] as usize)
            .map(|rank: usize| rank.saturating_sub(neighbors))
            .sum::<usize>()
    });
    let (n, k) = (count as f64, neighbors as f64);
    Ok(1.0 - 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)) * excess.into_iter().sum::<usize>() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_pair_by_hand() {
        // The points 0, 1, 2.5, 4.5 with k = 1; the map moves the last point next to the first.
        let points = Points::new(&[0.0, 1.0, 2.5, 4.5], 1).unwrap();
        let map = [[0.0, 0.0], [1.0, 0.0], [2.5, 0.0], [-0.5, 0.0]];
        // Nearest on the map: 0 -> 3 (rank 3, excess 2), 1 -> 0, 2 -> 1, 3 -> 0 (rank 3, excess 2).
        let found = trustworthiness(points, Distance::Euclidean, &map, 1).unwrap();
        assert!((found - (1.0 - 2.0 / (4.0 * (8.0 - 4.0)) * 4.0)).abs() < 1e-12, "{found}");
        assert!(trustworthiness(points, Distance::Euclidean, &map[..3], 1).is_err());
        assert!(trustworthiness(points, Distance::Euclidean, &map, 2).is_err());
    }
}
