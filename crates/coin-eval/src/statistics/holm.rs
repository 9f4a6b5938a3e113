//! Holm's step-down adjustment: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
//! of Statistics 6 (1979).

/// Computes the adjusted p-values of a family of tests, in the order of `values`. Rejecting those at or below alpha keeps the
/// probability of any false rejection at or below alpha, regardless of how the tests depend on each other.
///
/// With p_(1) <= .. <= p_(m), the adjusted value of p_(k) is max over j <= k of min(1, (m - j + 1) p_(j)).
///
/// ```
/// assert_eq!(coin_eval::statistics::holm(&[0.25, 0.0625, 0.5]), [0.5, 0.1875, 0.5]);
/// ```
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut adjusted = vec![0.0; values.len()];
    let mut largest: f64 = 0.0;
    for (rank, place) in order.into_iter().enumerate() {
        largest = largest.max(((values.len() - rank) as f64 * values[place]).min(1.0));
        adjusted[place] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_never_go_down_and_end_at_one() {
        // 4 * 0.01, 3 * 0.02, 2 * 0.03 (not below the previous one), 0.9.
        let adjusted = holm(&[0.9, 0.02, 0.01, 0.03]);
        let expected = [0.9, 0.06, 0.04, 0.06];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{adjusted:?}");
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
