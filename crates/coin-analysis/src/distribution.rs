//! Mean, standard deviation and quantiles of a list of numbers.

use crate::AnalysisError;

/// The probabilities of [`Distribution::quantiles`].
pub const QUANTILES: [f64; 7] = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0];

/// Summary statistics of a list of numbers, computed in f64.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Number of values.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation (divisor `count`).
    pub std: f64,
    /// Minimum, 5 %, 25 %, median, 75 %, 95 % and maximum, with linear interpolation as in numpy by default.
    pub quantiles: [f64; 7],
}

impl Distribution {
    /// Computes the distribution of `values`.
    ///
    /// # Errors
    /// [`AnalysisError::Invalid`] if `values` is empty or contains NaN.
    ///
    /// ```
    /// let distribution = coin_analysis::Distribution::of(vec![1.0, 4.0, 2.0, 3.0])?;
    /// assert_eq!((distribution.mean, distribution.std), (2.5, 1.25f64.sqrt()));
    /// assert_eq!(distribution.median(), 2.5);
    /// # Ok::<(), coin_analysis::AnalysisError>(())
    /// ```
    pub fn of(mut values: Vec<f64>) -> Result<Self, AnalysisError> {
        if values.is_empty() || values.iter().any(|value| value.is_nan()) {
            return Err(AnalysisError::Invalid("a distribution needs at least one value, and no NaN".to_owned()));
        }
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64).sqrt();
        let quantiles = QUANTILES.map(|share| {
            let place = share * (count - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        });
        Ok(Distribution { count, mean, std, quantiles })
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.quantiles[3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_match_numpy() {
        // numpy.quantile([0.1, 0.9, 0.4, 0.6, 0.2, 0.5], [0, .05, .25, .5, .75, .95, 1])
        let distribution = Distribution::of(vec![0.1, 0.9, 0.4, 0.6, 0.2, 0.5]).unwrap();
        let expected = [0.1, 0.125, 0.25, 0.45, 0.575, 0.825, 0.9];
        for (found, expected) in distribution.quantiles.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(Distribution::of(vec![3.0]).unwrap().quantiles, [3.0; 7]);
    }

    #[test]
    fn empty_lists_and_nan_are_rejected() {
        assert!(Distribution::of(vec![]).is_err());
        assert!(Distribution::of(vec![1.0, f64::NAN]).is_err());
    }
}
