//! Nearest neighbors, and the fuzzy graph of UMAP.
//!
//! Algorithms 2 and 3 of McInnes et al. 2018, with exact neighbors. As in umap-learn, a point is its own neighbor at
//! distance 0, and rho is the smallest distance above 0, so that duplicates of a point do not hide its other neighbors.

use crate::AnalysisError;
use crate::distance::DistanceRows;

/// The nearest points of each point, itself first, with their distances in ascending order; ties are ordered by index.
pub(super) type Neighbors = Vec<Vec<(usize, f64)>>;

/// A directed edge of the graph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Index of the point where it starts.
    pub from: usize,
    /// Index of the point where it ends.
    pub to: usize,
    /// Certainty of the edge, in `(0, 1]`.
    pub weight: f64,
}

/// Tolerance and maximum number of bisections in the search for sigma; both are umap-learn's.
const TOLERANCE: f64 = 1e-5;
const HALVINGS: usize = 64;
/// The smallest sigma as a share of the mean distance, as in umap-learn.
const SMALLEST: f64 = 1e-3;

/// Computes the fuzzy graph of points. Each edge is present in both directions; edges are ordered by start and end.
///
/// # Errors
/// Same as [`umap`](super::umap).
pub fn fuzzy_graph(
    points: crate::Points,
    neighbors: usize,
    metric: crate::Distance,
) -> Result<Vec<Edge>, AnalysisError> {
    let rows = DistanceRows::new(points, metric)?;
    Ok(edges(&self::neighbors(&rows, neighbors)?))
}

/// The `count` nearest points of each point, itself included.
pub(super) fn neighbors(rows: &DistanceRows, count: usize) -> Result<Neighbors, AnalysisError> {
    let points = rows.len();
    if count < 2 || count >= points {
        let expected = format!("expected 2 to {}", points.saturating_sub(1));
        return Err(AnalysisError::Invalid(format!("neighbors is {count}, {expected} for {points} points")));
    }
    Ok(rows.per_point(|own, distances| {
        let mut order: Vec<usize> = (0..points).filter(|other| *other != own).collect();
        let nearer = |a: &usize, b: &usize| distances[*a].total_cmp(&distances[*b]).then(a.cmp(b));
        order.select_nth_unstable_by(count - 2, nearer);
        order.truncate(count - 1);
        order.sort_unstable_by(nearer);
        std::iter::once((own, 0.0)).chain(order.into_iter().map(|other| (other, distances[other]))).collect()
    }))
}

/// Builds the graph from the neighborhoods.
pub(super) fn edges(neighbors: &Neighbors) -> Vec<Edge> {
    let all = neighbors.iter().flatten().map(|(_, distance)| distance);
    let mean = all.sum::<f64>() / neighbors.iter().map(Vec::len).sum::<usize>() as f64;
    // Each direction is listed under both ends, as (end, other end, weight out, weight in).
    let mut directed = Vec::new();
    for (from, near) in neighbors.iter().enumerate() {
        let (rho, sigma) = scale(near, mean);
        for &(to, distance) in near.iter().filter(|(to, _)| *to != from) {
            let weight = nearness(distance, rho, sigma);
            directed.push((from, to, weight, 0.0));
            directed.push((to, from, 0.0, weight));
        }
    }
    directed.sort_unstable_by_key(|(from, to, ..)| (*from, *to));
    let same = |a: &(usize, usize, f64, f64), b: &(usize, usize, f64, f64)| (a.0, a.1) == (b.0, b.1);
    let joined = directed.chunk_by(same).map(|edge| {
        let (out, back) = edge.iter().fold((0.0, 0.0), |sum, edge| (sum.0 + edge.2, sum.1 + edge.3));
        Edge { from: edge[0].0, to: edge[0].1, weight: out + back - out * back }
    });
    joined.filter(|edge| edge.weight > 0.0).collect()
}

fn nearness(distance: f64, rho: f64, sigma: f64) -> f64 {
    if distance <= rho || sigma == 0.0 { 1.0 } else { (-(distance - rho) / sigma).exp() }
}

/// Returns rho, the distance from which nearness decreases, and sigma, the scale of the decrease, for a neighborhood. `mean` is
/// the mean distance over all neighborhoods.
fn scale(near: &[(usize, f64)], mean: f64) -> (f64, f64) {
    let rho = near.iter().map(|(_, distance)| *distance).find(|distance| *distance > 0.0).unwrap_or(0.0);
    let target = (near.len() as f64).log2();
    let (mut low, mut high, mut sigma) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..HALVINGS {
        let sum: f64 = near[1..].iter().map(|(_, distance)| nearness(*distance, rho, sigma)).sum();
        if (sum - target).abs() < TOLERANCE {
            break;
        }
        if sum > target {
            high = sigma;
        } else {
            low = sigma;
        }
        sigma = if high.is_finite() { (low + high) / 2.0 } else { sigma * 2.0 };
    }
    let own_mean = near.iter().map(|(_, distance)| distance).sum::<f64>() / near.len() as f64;
    (rho, sigma.max(SMALLEST * if rho > 0.0 { own_mean } else { mean }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distance, Points};

    #[test]
    fn three_points_on_a_line_by_hand() {
        // Points 0, 1, 3 with 2 neighbors each: every point has one other neighbor, at weight 1, so 0-1 and 1-2 are certain.
        let points = Points::new(&[0.0, 1.0, 3.0], 1).unwrap();
        let edges = fuzzy_graph(points, 2, Distance::Euclidean).unwrap();
        let edge = |from, to| Edge { from, to, weight: 1.0 };
        assert_eq!(edges, [edge(0, 1), edge(1, 0), edge(1, 2), edge(2, 1)]);
    }

    #[test]
    fn sigma_solves_its_equation() {
        let near = [(0, 0.0), (1, 0.5), (2, 0.7), (3, 1.5), (4, 4.0)];
        let (rho, sigma) = scale(&near, 1.0);
        assert_eq!(rho, 0.5);
        let sum: f64 = near[1..].iter().map(|(_, distance)| (-(distance - 0.5) / sigma).exp()).sum();
        assert!((sum - 5f64.log2()).abs() < 1e-5);
    }

    #[test]
    fn ties_are_ordered_by_index() {
        let rows = DistanceRows::new(Points::new(&[0.0, 1.0, -1.0, 1.0], 1).unwrap(), Distance::Euclidean).unwrap();
        assert_eq!(neighbors(&rows, 3).unwrap()[0], [(0, 0.0), (1, 1.0), (2, 1.0)]);
    }
}
