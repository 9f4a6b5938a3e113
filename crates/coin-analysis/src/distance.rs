//! Distances between hidden states, for analyses that compare every state with every other.
//!
//! Both distances are computed from differences of coordinates. For states that are close together this keeps the relative
//! precision that `1 - u·v` and `|x|^2 + |y|^2 - 2 x·y` lose:
//!
//! ```text
//! Euclidean:  |x - y|
//! cosine:     1 - cos(x, y) = |x/|x| - y/|y||^2 / 2
//! ```
//!
//! Squared differences are summed in f32 over 256 coordinates at a time, in eight lanes, and those sums are added in f64.
//! The order, and therefore the result, is the same on every processor and with any number of threads.

use rayon::prelude::*;

use crate::AnalysisError;

/// The distance between two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// 1 - cosine, from 0 to 2. The default, because the contrastive loss compares states by cosine.
    #[default]
    Cosine,
    /// The length of the difference vector.
    Euclidean,
}

/// Points as the rows of a matrix `[n, width]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Points<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Points<'a> {
    /// Creates points from the rows of `values`, each of `width` numbers.
    ///
    /// # Errors
    /// [`AnalysisError::Invalid`] if `width` is 0 or does not divide the number of values, or a value is not finite.
    ///
    /// ```
    /// let points = coin_analysis::Points::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2)?;
    /// assert_eq!((points.len(), points.row(1)), (3, [3.0, 4.0].as_slice()));
    /// # Ok::<(), coin_analysis::AnalysisError>(())
    /// ```
    pub fn new(values: &'a [f32], width: usize) -> Result<Self, AnalysisError> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(AnalysisError::Invalid(format!(
                "{} values cannot be divided into rows of {width}",
                values.len()
            )));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(AnalysisError::Invalid(format!("a coordinate of point {} is not finite", at / width)));
        }
        Ok(Points { values, width })
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// True if the list is empty.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of coordinates of each point.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The coordinates of the point `index`.
    ///
    /// # Panics
    /// If `index` is out of bounds.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..][..self.width]
    }
}

/// Dot product, accumulated in f64.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Cosine of two states, accumulated in f64; `None` if one is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    cosine.is_finite().then(|| cosine.clamp(-1.0, 1.0))
}

const LANES: usize = 8;
/// Number of lane groups that are summed in f32; they fit in the L1 cache.
const CHUNK: usize = 32;
/// Number of points that a lane group is compared with at once.
const COLUMNS: usize = 8;
/// Number of points per thread whose distances are in memory at once; a cached point is reused as often.
const ROWS: usize = 32;
/// Largest length whose square is safely within the range of f32.
const LONGEST: f64 = 1e18;

/// Points prepared for all-pairs comparison: normalized to length 1 for cosine, and padded with zeros to whole lanes.
pub(crate) struct DistanceRows {
    lanes: Vec<[f32; LANES]>,
    stride: usize,
    distance: Distance,
}

impl DistanceRows {
    /// # Errors
    /// A point has length 0 under cosine, or its length is too large for f32.
    pub(crate) fn new(points: Points, distance: Distance) -> Result<Self, AnalysisError> {
        let stride = points.width().div_ceil(LANES);
        let mut lanes = vec![[0.0; LANES]; points.len() * stride];
        for index in 0..points.len() {
            let row = points.row(index);
            let length = dot(row, row).sqrt();
            let scale = match distance {
                Distance::Cosine if length == 0.0 => {
                    return Err(AnalysisError::Invalid(format!("point {index} is zero, so its cosine is undefined")));
                }
                Distance::Cosine => 1.0 / length,
                Distance::Euclidean if length > LONGEST => {
                    return Err(AnalysisError::Invalid(format!(
                        "point {index} has length {length:e}, expected at most {LONGEST:e}"
                    )));
                }
                Distance::Euclidean => 1.0,
            };
            let own = lanes[index * stride..][..stride].as_flattened_mut();
            for (to, from) in own.iter_mut().zip(row) {
                *to = (f64::from(*from) * scale) as f32;
            }
        }
        Ok(DistanceRows { lanes, stride, distance })
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.len() / self.stride
    }

    /// The coordinates of a point, including the zero padding.
    pub(crate) fn point(&self, index: usize) -> &[f32] {
        self.lanes[index * self.stride..][..self.stride].as_flattened()
    }

    /// Calls `of` on all threads with each point and its distances to all points (0 to itself). Results are in order.
    pub(crate) fn per_point<T: Send>(&self, of: impl Fn(usize, &[f64]) -> T + Sync) -> Vec<T> {
        let count = self.len();
        let blocks: Vec<Vec<T>> = (0..count.div_ceil(ROWS))
            .into_par_iter()
            .map(|block| {
                let first = block * ROWS;
                let rows = ROWS.min(count - first);
                let mut distances = vec![0.0; rows * count];
                self.block(first, &mut distances);
                distances.chunks_exact(count).enumerate().map(|(row, to)| of(first + row, to)).collect()
            })
            .collect();
        blocks.into_iter().flatten().collect()
    }

    fn block(&self, first: usize, out: &mut [f64]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor supports AVX2, as checked above.
            unsafe { self.block_avx2(first, out) };
            return;
        }
        self.block_portable(first, out);
    }

    /// The same operations in wider registers, without fused multiply-add, which would round differently.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn block_avx2(&self, first: usize, out: &mut [f64]) {
        self.block_portable(first, out);
    }

    /// Writes the distances from the points starting at `first` to all points into the rows of `out`.
    #[inline(always)]
    fn block_portable(&self, first: usize, out: &mut [f64]) {
        let count = self.len();
        let lanes = |index: usize| &self.lanes[index * self.stride..][..self.stride];
        for column in (0..count).step_by(COLUMNS) {
            let others: [_; COLUMNS] = std::array::from_fn(|offset| lanes((column + offset).min(count - 1)));
            let mut sums = [[0.0; COLUMNS]; ROWS];
            for start in (0..self.stride).step_by(CHUNK) {
                let chunk = start..(start + CHUNK).min(self.stride);
                let others = others.map(|other| &other[chunk.clone()]);
                for (row, sums) in sums.iter_mut().take(out.len() / count).enumerate() {
                    add_squares(&lanes(first + row)[chunk.clone()], others, sums);
                }
            }
            for (out, squares) in out.chunks_exact_mut(count).zip(sums) {
                for (out, square) in out[column..].iter_mut().zip(squares) {
                    *out = match self.distance {
                        Distance::Cosine => square / 2.0,
                        Distance::Euclidean => square.sqrt(),
                    };
                }
            }
        }
    }
}

/// Adds to `sums` the squared distances between a chunk of a point and the same chunk of other points.
#[inline(always)]
fn add_squares(point: &[[f32; LANES]], others: [&[[f32; LANES]]; COLUMNS], sums: &mut [f64; COLUMNS]) {
    let mut partial = [[0.0f32; LANES]; COLUMNS];
    for (index, own) in point.iter().enumerate() {
        for (partial, other) in partial.iter_mut().zip(&others) {
            let other = &other[index];
            for lane in 0..LANES {
                let difference = own[lane] - other[lane];
                partial[lane] += difference * difference;
            }
        }
    }
    for (sum, partial) in sums.iter_mut().zip(partial) {
        *sum += partial.iter().map(|value| f64::from(*value)).sum::<f64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_match_f64_for_any_size() {
        // 37 points do not fill a block; 11 and 300 coordinates do not fill a lane or a chunk.
        for width in [1, 11, 300] {
            let values: Vec<f32> =
                (0..37 * width).map(|index| ((index * 7919 + 13) % 1009) as f32 / 500.0 - 1.0).collect();
            let points = Points::new(&values, width).unwrap();
            for distance in [Distance::Cosine, Distance::Euclidean] {
                let all = DistanceRows::new(points, distance).unwrap().per_point(|_, to| to.to_vec());
                for (i, row) in all.iter().enumerate() {
                    assert_eq!((row.len(), row[i]), (37, 0.0));
                    for (j, found) in row.iter().enumerate() {
                        let (x, y) = (points.row(i), points.row(j));
                        let expected = match distance {
                            Distance::Cosine => 1.0 - cosine(x, y).unwrap(),
                            Distance::Euclidean => {
                                x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt()
                            }
                        };
                        // Coordinates of unit vectors are rounded to f32: 6e-8 relative.
                        assert!((found - expected).abs() <= 2e-6 * expected.max(0.5), "{i} {j}: {found} {expected}");
                    }
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn wide_registers_give_identical_bits() {
        let values: Vec<f32> = (0..40 * 100).map(|index| ((index * 7919) % 1013) as f32 * 0.37).collect();
        let rows = DistanceRows::new(Points::new(&values, 100).unwrap(), Distance::Euclidean).unwrap();
        let mut portable = vec![0.0; 8 * 40];
        rows.block_portable(16, &mut portable);
        let mut dispatched = vec![0.0; 8 * 40];
        rows.block(16, &mut dispatched);
        assert_eq!(portable, dispatched);
    }

    #[test]
    fn invalid_points_are_rejected() {
        let message = |result: Result<DistanceRows, AnalysisError>| result.err().unwrap().to_string();
        assert_eq!(Points::new(&[1.0; 5], 2).unwrap_err().to_string(), "5 values cannot be divided into rows of 2");
        let nan = Points::new(&[1.0, 1.0, f32::NAN, 1.0], 2).unwrap_err().to_string();
        assert_eq!(nan, "a coordinate of point 1 is not finite");
        let zero = Points::new(&[1.0, 0.0, 0.0, 0.0], 2).unwrap();
        assert_eq!(message(DistanceRows::new(zero, Distance::Cosine)), "point 1 is zero, so its cosine is undefined");
        let long = Points::new(&[1e20, 0.0], 2).unwrap();
        assert!(message(DistanceRows::new(long, Distance::Euclidean)).starts_with("point 0 has length 1"));
        assert!(DistanceRows::new(long, Distance::Cosine).is_ok());
    }
}
