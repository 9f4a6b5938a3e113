//! UMAP: a map of states in the plane.
//!
//! McInnes, Healy and Melville 2018, <https://arxiv.org/abs/1802.03426>, in four steps:
//!
//! 1. Find the `neighbors` nearest points of each point, exactly, by computing every distance ([`graph`]).
//! 2. Build a fuzzy graph. The weight from i to its neighbor j is exp(-max(0, d_ij - rho_i) / sigma_i), with rho_i the
//!    distance to the nearest neighbor, and sigma_i such that the weights of a point add up to log2(neighbors). The two
//!    directions are combined to w_ij + w_ji - w_ij w_ji ([`graph`]).
//! 3. Initialize the positions with the first two principal components of the points (umap-learn's default is spectral).
//! 4. Minimize the cross-entropy between the graph's weights and 1 / (1 + a d^(2b)) by stochastic gradient descent with
//!    sampled edges and negative samples.
//!
//! The crate has its own implementation because no available crate is both reproducible and small: umap-rs draws from an
//! unseeded generator on racing threads, and the others bring in 85 crates or more. Here one thread moves the points, so a map
//! depends only on points, options and seed.
//!
//! A map shows which points are neighbors. Distances between groups, their sizes and their densities do not have a meaning.
//! Neither do positions, so maps of two models cannot be overlaid. [`trustworthiness`] measures how well a map preserves
//! neighborhoods.

mod curve;
mod graph;
mod layout;
mod start;
mod trust;

use serde::{Deserialize, Serialize};

pub use graph::{Edge, fuzzy_graph};
pub use trust::trustworthiness;

use crate::distance::DistanceRows;
use crate::{AnalysisError, Distance, Points};

/// Settings of [`umap`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UmapOptions {
    /// Number of points in a point's neighborhood, itself included. Fewer show more detail. Default 15, as in umap-learn.
    pub neighbors: usize,
    /// Minimum distance of points on the map, in map units. Default 0.1, as in umap-learn.
    pub min_distance: f64,
    /// The distance between states. Default [`Distance::Cosine`] (this project's).
    pub metric: Distance,
    /// Number of passes over the graph. Default 500 up to 10,000 points and 200 above, as in umap-learn.
    pub epochs: Option<usize>,
    /// Seed of initialization and sampling. Default 42.
    pub seed: u64,
}

impl Default for UmapOptions {
    fn default() -> Self {
        UmapOptions { neighbors: 15, min_distance: 0.1, metric: Distance::Cosine, epochs: None, seed: 42 }
    }
}

/// Computes the position of each point in the plane.
///
/// # Errors
/// [`AnalysisError::Invalid`] if `neighbors` is less than 2 or not less than the number of points, `min_distance` is not in
/// `[0, 3)`, `epochs` is 0, or the cosine of a point is undefined.
///
/// ```
/// use coin_analysis::{Points, UmapOptions, umap};
/// // 40 points in two directions.
/// let values: Vec<f32> = (0..40)
///     .flat_map(|index| {
///         let wobble = 0.01 * (index / 2) as f32;
///         if index % 2 == 0 { [1.0, wobble, 0.0] } else { [0.0, wobble, 1.0] }
///     })
///     .collect();
/// let options = UmapOptions { neighbors: 5, ..UmapOptions::default() };
/// let map = umap(Points::new(&values, 3)?, &options)?;
/// let apart = |i: usize, j: usize| (map[i][0] - map[j][0]).hypot(map[i][1] - map[j][1]);
/// assert!(apart(0, 2) < apart(0, 1) && apart(1, 3) < apart(0, 1));
/// # Ok::<(), coin_analysis::AnalysisError>(())
/// ```
pub fn umap(points: Points, options: &UmapOptions) -> Result<Vec<[f32; 2]>, AnalysisError> {
    let curve = curve::Curve::new(options.min_distance)?;
    let epochs = options.epochs.unwrap_or(if points.len() <= 10_000 { 500 } else { 200 });
    if epochs == 0 {
        return Err(AnalysisError::Invalid("a map needs at least 1 epoch".to_owned()));
    }
    let rows = DistanceRows::new(points, options.metric)?;
    let edges = graph::edges(&graph::neighbors(&rows, options.neighbors)?);
    let mut places = start::start(&rows, options.seed);
    layout::optimize(&mut places, &edges, curve, epochs, options.seed);
    Ok(places.into_iter().map(|place| place.map(|coordinate| coordinate as f32)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_settings_are_rejected() {
        let points = Points::new(&[1.0, 2.0, 3.0, 4.0], 1).unwrap();
        let refused = |options| umap(points, &options).unwrap_err().to_string();
        let few = UmapOptions { neighbors: 3, ..UmapOptions::default() };
        assert_eq!(
            refused(UmapOptions { neighbors: 4, ..few.clone() }),
            "neighbors is 4, expected 2 to 3 for 4 points"
        );
        assert_eq!(
            refused(UmapOptions { neighbors: 1, ..few.clone() }),
            "neighbors is 1, expected 2 to 3 for 4 points"
        );
        assert_eq!(refused(UmapOptions { epochs: Some(0), ..few.clone() }), "a map needs at least 1 epoch");
        let far = refused(UmapOptions { min_distance: 3.0, ..few.clone() });
        assert_eq!(far, "min_distance is 3, expected at least 0 and less than 3");
        assert!(umap(points, &few).is_ok());
    }

    #[test]
    fn coinciding_points_get_finite_positions() {
        let points = Points::new(&[1.0; 60], 3).unwrap();
        for metric in [Distance::Cosine, Distance::Euclidean] {
            let options = UmapOptions { neighbors: 5, epochs: Some(20), metric, ..UmapOptions::default() };
            let map = umap(points, &options).unwrap();
            assert!(map.iter().flatten().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn the_seed_determines_the_map() {
        let values: Vec<f32> = (0..300).map(|index| ((index * 7919 + 13) % 1009) as f32 / 500.0 - 1.0).collect();
        let points = Points::new(&values, 3).unwrap();
        let options = UmapOptions { epochs: Some(30), ..UmapOptions::default() };
        let map = umap(points, &options).unwrap();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(alone.install(|| umap(points, &options).unwrap()), map);
        assert_ne!(umap(points, &UmapOptions { seed: 1, ..options }).unwrap(), map);
    }
}
