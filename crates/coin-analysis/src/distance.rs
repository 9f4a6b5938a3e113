//! Distances between hidden states, for the analyses that compare every state with every other.
//!
//! Both distances come from differences of coordinates, so that near states keep their relative precision, which
//! `1 - u·v` and `|x|^2 + |y|^2 - 2 x·y` lose:
//!
//! ```text
//! Euclidean:  |x - y|
//! cosine:     1 - cos(x, y) = |x/|x| - y/|y||^2 / 2
//! ```
//!
//! Differences are squared and added in f32 over 256 coordinates at a time, in eight lanes; those sums are added in f64.
//! The order is the same on every processor and for any number of threads, and so is the result.

use rayon::prelude::*;

use crate::AnalysisError;

/// How far two states are from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// 1 - cosine, from 0 to 2. The default, as the contrastive loss compares states by their cosine.
    #[default]
    Cosine,
    /// The length of the difference.
    Euclidean,
}

/// Points as the rows of a matrix `[n, width]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Points<'a> {
    values: &'a [f32],
    width: usize,
}

impl<'a> Points<'a> {
    /// The rows of `values`, each of `width` numbers.
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
            return Err(AnalysisError::Invalid(format!("{} values are no rows of {width}", values.len())));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(AnalysisError::Invalid(format!("point {} has a coordinate that is not finite", at / width)));
        }
        Ok(Points { values, width })
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Coordinates of each point.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The coordinates of a point.
    ///
    /// # Panics
    /// If there is no point `index`, as a slice does.
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..][..self.width]
    }
}

/// Sum of products in f64.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Cosine of two states, accumulated in f64; `None` if one is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let cosine = dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt());
    cosine.is_finite().then(|| cosine.clamp(-1.0, 1.0))
}

const LANES: usize = 8;
/// Groups of lanes that are added in f32, and that stay in the first cache.
const CHUNK: usize = 32;
/// Points that one group of lanes is compared with at once.
const COLUMNS: usize = 8;
/// Points whose distances are in memory at once, per thread; also how often a point is used while it is in the cache.
const ROWS: usize = 32;
/// Lengths from which squares may leave the range of f32.
const LONGEST: f64 = 1e18;

/// Points made ready for comparing all with all: of length 1 under cosine, padded with zeros to whole lanes.
pub(crate) struct DistanceRows {
    lanes: Vec<[f32; LANES]>,
    stride: usize,
    distance: Distance,
}

impl DistanceRows {
    /// # Errors
    /// A point of length 0 under cosine, or one too long for f32.
    pub(crate) fn new(points: Points, distance: Distance) -> Result<Self, AnalysisError> {
        let stride = points.width().div_ceil(LANES);
        let mut lanes = vec![[0.0; LANES]; points.len() * stride];
        for index in 0..points.len() {
            let row = points.row(index);
            let length = dot(row, row).sqrt();
            let scale = match distance {
                Distance::Cosine if length == 0.0 => {
                    return Err(AnalysisError::Invalid(format!("point {index} is zero and has no cosine")));
                }
                Distance::Cosine => 1.0 / length,
                Distance::Euclidean if length > LONGEST => {
                    return Err(AnalysisError::Invalid(format!(
                        "point {index} has length {length:e}, more than {LONGEST:e}"
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

    /// A point's coordinates, with the zeros after them.
    pub(crate) fn point(&self, index: usize) -> &[f32] {
        self.lanes[index * self.stride..][..self.stride].as_flattened()
    }

    /// Calls `of` with each point and its distances to all points (itself at 0), on all threads; results in order.
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
            // SAFETY: the processor has what the function is compiled for.
            unsafe { self.block_avx2(first, out) };
            return;
        }
        self.block_portable(first, out);
    }

    /// The same operations in wider registers: no fused multiply-add, which would round differently.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn block_avx2(&self, first: usize, out: &mut [f64]) {
        self.block_portable(first, out);
    }

    /// Distances of the points from `first` on to all, as rows of `out`.
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

/// Adds to `sums` the squared distances of a part of a point from the same part of others.
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
    fn distances_agree_with_f64_whatever_the_sizes() {
        // 37 points fill no whole block, 11 and 300 coordinates no whole lane or chunk.
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
    fn wide_registers_change_no_bit() {
        let values: Vec<f32> = (0..40 * 100).map(|index| ((index * 7919) % 1013) as f32 * 0.37).collect();
        let rows = DistanceRows::new(Points::new(&values, 100).unwrap(), Distance::Euclidean).unwrap();
        let mut portable = vec![0.0; 8 * 40];
        rows.block_portable(16, &mut portable);
        let mut dispatched = vec![0.0; 8 * 40];
        rows.block(16, &mut dispatched);
        assert_eq!(portable, dispatched);
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let message = |result: Result<DistanceRows, AnalysisError>| result.err().unwrap().to_string();
        assert_eq!(Points::new(&[1.0; 5], 2).unwrap_err().to_string(), "5 values are no rows of 2");
        let nan = Points::new(&[1.0, 1.0, f32::NAN, 1.0], 2).unwrap_err().to_string();
        assert_eq!(nan, "point 1 has a coordinate that is not finite");
        let zero = Points::new(&[1.0, 0.0, 0.0, 0.0], 2).unwrap();
        assert_eq!(message(DistanceRows::new(zero, Distance::Cosine)), "point 1 is zero and has no cosine");
        let long = Points::new(&[1e20, 0.0], 2).unwrap();
        assert!(message(DistanceRows::new(long, Distance::Euclidean)).starts_with("point 0 has length 1"));
        assert!(DistanceRows::new(long, Distance::Cosine).is_ok());
    }
}
