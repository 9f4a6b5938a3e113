//! The silhouette coefficient, which measures how well groups of states are separated.
//!
//! For a point i of group A, let a(i) be the mean distance to the other points of A, and b(i) the mean distance to the points
//! of the nearest other group (Rousseeuw 1987, <https://doi.org/10.1016/0377-0427(87)90125-7>):
//!
//! ```text
//! s(i) = (b(i) - a(i)) / max(a(i), b(i))        from -1 to 1; 0 if A has only one point
//! ```
//!
//! The coefficient is the mean of s(i). Near 1, groups are tight and far apart; near 0, they overlap. A robust model has a
//! low coefficient by level or clean/perturbed, and a high one by class. All pairwise distances are computed, a block of rows
//! at a time: memory grows with n, time with n^2 d.

use coin_core::stream;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use crate::distance::DistanceRows;
use crate::{AnalysisError, Distance, Points};

/// Settings of [`silhouette`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilhouetteOptions {
    /// The distance; [`Distance::Cosine`] by default.
    pub distance: Distance,
    /// Maximum number of points, sampled with `seed` regardless of group; all by default.
    pub sample: Option<usize>,
    /// Seed of the sample; 42 by default.
    pub seed: u64,
}

impl Default for SilhouetteOptions {
    fn default() -> Self {
        SilhouetteOptions { distance: Distance::default(), sample: None, seed: 42 }
    }
}

/// Silhouette coefficients of all points, of each group, and of each point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silhouette {
    /// The mean over all sampled points.
    pub mean: f64,
    /// Number and mean of each group with sampled points.
    pub groups: Vec<(usize, f64)>,
    /// Indices of the sampled points, in ascending order.
    pub points: Vec<usize>,
    /// s(i) of each sampled point.
    pub values: Vec<f64>,
}

/// Computes the silhouette of `points`. `groups` holds the group number of each point, from 0.
///
/// # Errors
/// [`AnalysisError::Invalid`] if the lists differ in length, if the sampled points belong to fewer than two groups or every
/// group has one point, or if the cosine of a point is undefined.
///
/// ```
/// use coin_analysis::{Distance, Points, SilhouetteOptions, silhouette};
/// // Two tight pairs, 10 apart: a = 1 for all, b = 10.5, 9.5, 9.5, 10.5.
/// let points = Points::new(&[0.0, 1.0, 10.0, 11.0], 1)?;
/// let options = SilhouetteOptions { distance: Distance::Euclidean, ..SilhouetteOptions::default() };
/// let found = silhouette(points, &[0, 0, 1, 1], &options)?;
/// assert!((found.values[0] - 9.5 / 10.5).abs() < 1e-12);
/// # Ok::<(), coin_analysis::AnalysisError>(())
/// ```
pub fn silhouette(points: Points, groups: &[usize], options: &SilhouetteOptions) -> Result<Silhouette, AnalysisError> {
    if groups.len() != points.len() {
        return Err(AnalysisError::Invalid(format!("got {} group numbers for {} points", groups.len(), points.len())));
    }
    let taken = match options.sample {
        Some(count) if count < points.len() => {
            let mut random = stream::keyed(options.seed, &["silhouette"]);
            let mut taken = index::sample(&mut random, points.len(), count).into_vec();
            taken.sort_unstable();
            taken
        }
        _ => (0..points.len()).collect(),
    };
    let own: Vec<usize> = taken.iter().map(|index| groups[*index]).collect();
    // Group numbers may be sparse, so the sampled groups are renumbered.
    let mut present = own.clone();
    present.sort_unstable();
    present.dedup();
    if present.len() < 2 || present.len() == own.len() {
        let message =
            format!("a silhouette of {} points needs at least 2 groups, and fewer groups than points", own.len());
        return Err(AnalysisError::Invalid(format!("{message}; there are {}", present.len())));
    }
    let own: Vec<usize> = own.iter().map(|group| present.partition_point(|other| other < group)).collect();
    let mut sizes = vec![0usize; present.len()];
    own.iter().for_each(|group| sizes[*group] += 1);

    let chosen: Vec<f32>;
    let rows = if taken.len() == points.len() {
        DistanceRows::new(points, options.distance)?
    } else {
        chosen = taken.iter().flat_map(|index| points.row(*index)).copied().collect();
        DistanceRows::new(Points::new(&chosen, points.width())?, options.distance)?
    };
    let values = rows.per_point(|index, distances| {
        let mut sums = vec![0.0; sizes.len()];
        distances.iter().zip(&own).for_each(|(distance, group)| sums[*group] += distance);
        let group = own[index];
        if sizes[group] == 1 {
            return 0.0;
        }
        let a = sums[group] / (sizes[group] - 1) as f64;
        let others = (0..sizes.len()).filter(|other| *other != group);
        let b = others.map(|other| sums[other] / sizes[other] as f64).fold(f64::INFINITY, f64::min);
        // All points coincide.
        if a.max(b) == 0.0 { 0.0 } else { (b - a) / a.max(b) }
    });

    let mut sums = vec![0.0; sizes.len()];
    own.iter().zip(&values).for_each(|(group, value)| sums[*group] += value);
    let means = sums.iter().zip(&sizes).map(|(sum, size)| sum / *size as f64);
    let groups = present.into_iter().zip(means).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Ok(Silhouette { mean, groups, points: taken, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f32], groups: &[usize], options: &SilhouetteOptions) -> Result<Silhouette, AnalysisError> {
        silhouette(
            Points::new(values, 1).unwrap(),
            groups,
            &SilhouetteOptions { distance: Distance::Euclidean, ..*options },
        )
    }

    #[test]
    fn a_group_of_one_scores_zero_and_group_numbers_may_be_sparse() {
        let found = line(&[0.0, 2.0, 8.0], &[5, 5, 2], &SilhouetteOptions::default()).unwrap();
        // a = 2, b = 8 and 6.
        assert_eq!(found.values, [0.75, 4.0 / 6.0, 0.0]);
        assert_eq!(found.groups, [(2, 0.0), (5, (0.75 + 4.0 / 6.0) / 2.0)]);
        let same = line(&[1.0; 4], &[0, 0, 1, 1], &SilhouetteOptions::default()).unwrap();
        assert_eq!(same.mean, 0.0);
    }

    #[test]
    fn too_few_or_too_many_groups_are_rejected() {
        let message = |groups: &[usize]| line(&[0.0, 1.0, 2.0], groups, &SilhouetteOptions::default()).unwrap_err();
        assert_eq!(message(&[0, 0]).to_string(), "got 2 group numbers for 3 points");
        assert!(message(&[1, 1, 1]).to_string().ends_with("there are 1"));
        assert!(message(&[0, 1, 2]).to_string().ends_with("there are 3"));
    }

    #[test]
    fn the_seed_determines_the_sample() {
        let values: Vec<f32> = (0..200).map(|index| (index % 17) as f32).collect();
        let groups: Vec<usize> = (0..200).map(|index| index % 2).collect();
        let options = SilhouetteOptions { sample: Some(50), ..SilhouetteOptions::default() };
        let found = line(&values, &groups, &options).unwrap();
        assert_eq!((found.points.len(), found.values.len()), (50, 50));
        assert_eq!(line(&values, &groups, &options).unwrap(), found);
        let other = line(&values, &groups, &SilhouetteOptions { seed: 1, ..options }).unwrap();
        assert_ne!(other.points, found.points);
        let part: Vec<f32> = found.points.iter().map(|index| values[*index]).collect();
        let part_groups: Vec<usize> = found.points.iter().map(|index| groups[*index]).collect();
        assert_eq!(line(&part, &part_groups, &SilhouetteOptions::default()).unwrap().values, found.values);
    }
}
