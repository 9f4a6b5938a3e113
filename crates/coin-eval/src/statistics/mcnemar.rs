//! McNemar's test on pairs of answers to the same prompts. Only discordant pairs count: one answer right, the other wrong.
//!
//! Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
//! Psychometrika 12 (1947); for clustered pairs N. A. Obuchowski, "On the comparison of correlated proportions for
//! clustered data", Statistics in Medicine 17 (1998).

/// Computes the exact two-sided p-value of `gained` against `lost` pairs: twice the smaller tail of the binomial distribution
/// of gained + lost tosses of a fair coin, at most 1. It assumes that the pairs are independent.
///
/// ```
/// // 2 (1 + 5) / 2^5
/// assert!((coin_eval::statistics::mcnemar_exact(1, 4) - 12.0 / 32.0).abs() < 1e-12);
/// assert_eq!(coin_eval::statistics::mcnemar_exact(0, 0), 1.0);
/// ```
pub fn mcnemar_exact(gained: usize, lost: usize) -> f64 {
    let (fewer, pairs) = (gained.min(lost) as f64, (gained + lost) as f64);
    // The terms of the tail relative to its last and largest term; each is computed from the one above it.
    let (mut term, mut tail, mut heads) = (1.0, 1.0, fewer);
    while heads > 0.0 && term > f64::EPSILON * tail {
        term *= heads / (pairs - heads + 1.0);
        tail += term;
        heads -= 1.0;
    }
    let log_last = libm::lgamma(pairs + 1.0)
        - libm::lgamma(fewer + 1.0)
        - libm::lgamma(pairs - fewer + 1.0)
        - pairs * std::f64::consts::LN_2;
    (2.0 * tail * log_last.exp()).min(1.0)
}

/// Computes the statistic and the p-value for clustered pairs. Each cluster is given by d_k, its gained minus its lost pairs.
/// Clusters without a discordant pair count too, as zeros.
///
/// ```text
/// (K - 1) / K * (sum_k d_k)^2 / sum_k d_k^2        K clusters; chi-square, one degree of freedom
/// ```
///
/// This is Obuchowski's statistic, whose variances and covariance simplify to this under no difference (Yang, Sun and Hardin,
/// "A note on the tests for clustered matched-pair binary data", Biometrical Journal 52, 2010). Without a discordant
/// cluster the statistic is 0 and p is 1. The approximation needs a few tens of discordant clusters.
///
/// ```
/// let (statistic, p) = coin_eval::statistics::mcnemar_clustered(&[2, 1, 0, -1, 2]);
/// assert!((statistic - 4.0 / 5.0 * 16.0 / 10.0).abs() < 1e-15 && (p - 0.2578990352923395).abs() < 1e-9);
/// ```
pub fn mcnemar_clustered(differences: &[i64]) -> (f64, f64) {
    let sum: f64 = differences.iter().map(|d| *d as f64).sum();
    let squares: f64 = differences.iter().map(|d| (*d as f64).powi(2)).sum();
    let clusters = differences.len() as f64;
    let statistic = if squares > 0.0 { (clusters - 1.0) / clusters * sum * sum / squares } else { 0.0 };
    (statistic, chi_square_tail(statistic))
}

/// P(X > x) for chi-square with one degree of freedom, the square of a standard normal variable.
fn chi_square_tail(x: f64) -> f64 {
    libm::erfc((x / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_has_the_table_values() {
        for (x, p) in [(3.841458820694124, 0.05), (6.6348966010212145, 0.01), (0.0, 1.0)] {
            assert!((chi_square_tail(x) - p).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn equal_counts_are_no_evidence_and_one_sided_ones_are() {
        assert_eq!(mcnemar_exact(7, 7), 1.0);
        assert!((mcnemar_exact(0, 3) - 0.25).abs() < 1e-12);
        assert_eq!(mcnemar_exact(0, 90_000), 0.0);
    }

    #[test]
    fn one_cluster_says_nothing() {
        assert_eq!(mcnemar_clustered(&[5]), (0.0, 1.0));
        assert_eq!(mcnemar_clustered(&[0, 0]), (0.0, 1.0));
        assert_eq!(mcnemar_clustered(&[]), (0.0, 1.0));
    }

    #[test]
    fn clusters_of_one_are_mcnemar_without_clusters() {
        // (8 - 2)^2 / (8 + 2), times 29 / 30.
        let differences: Vec<i64> = (0..30)
            .map(|k| {
                if k < 8 {
                    1
                } else if k < 10 {
                    -1
                } else {
                    0
                }
            })
            .collect();
        assert!((mcnemar_clustered(&differences).0 - 3.6 * 29.0 / 30.0).abs() < 1e-12);
    }
}
