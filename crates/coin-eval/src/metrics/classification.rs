//! F1 and the Matthews correlation of answers. An unparsable answer (-1) is a separate class that is never right.
//!
//! F1 is that of class 1, as GLUE reports it for MRPC and QQP. The correlation is the multi-class R_K of Gorodkin (2004),
//! which for two classes equals that of Matthews (1975).

use std::collections::BTreeMap;

/// Computes 2 TP / (2 TP + FP + FN) of class 1 over pairs (example's class, answered class). Returns 0 if class 1 occurs in neither.
///
/// ```
/// // One true positive, one false positive, one false negative; the unparsable answer is a false negative too.
/// let f1 = coin_eval::metrics::f1([(1, 1), (0, 1), (1, 0), (1, -1), (0, 0)]);
/// assert_eq!(f1, 2.0 / 5.0);
/// ```
pub fn f1(answers: impl IntoIterator<Item = (usize, i64)>) -> f64 {
    let (mut hits, mut gold, mut answered) = (0usize, 0usize, 0usize);
    for (class, answer) in answers {
        hits += usize::from(class == 1 && answer == 1);
        gold += usize::from(class == 1);
        answered += usize::from(answer == 1);
    }
    // 2 TP + FP + FN is the number of gold labels of class 1 plus the number of answers of class 1.
    if gold + answered == 0 { 0.0 } else { 2.0 * hits as f64 / (gold + answered) as f64 }
}

/// Computes the Matthews correlation over pairs (example's class, answered class). Returns 0 if all examples or all
/// answers are of one class.
///
/// With s pairs, c of them right, t_k examples of class k and p_k answers of class k:
///
/// ```text
/// (c s - sum_k t_k p_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2))
/// ```
///
/// ```
/// // TP 2, TN 1, FP 1, FN 1: (2 - 1) / sqrt(3 * 3 * 2 * 2).
/// let matthews = coin_eval::metrics::matthews([(1, 1), (1, 1), (0, 0), (0, 1), (1, 0)]);
/// assert!((matthews - 1.0 / 6.0).abs() < 1e-15);
/// ```
pub fn matthews(answers: impl IntoIterator<Item = (usize, i64)>) -> f64 {
    let (mut pairs, mut right) = (0.0, 0.0);
    let mut classes: BTreeMap<i128, (f64, f64)> = BTreeMap::new();
    for (class, answer) in answers {
        let (class, answer) = (class as i128, i128::from(answer));
        pairs += 1.0;
        right += f64::from(u8::from(class == answer));
        classes.entry(class).or_default().0 += 1.0;
        classes.entry(answer).or_default().1 += 1.0;
    }
    let sum = |of: fn(&(f64, f64)) -> f64| classes.values().map(of).sum::<f64>();
    let scale = (pairs * pairs - sum(|(_, p)| p * p)) * (pairs * pairs - sum(|(t, _)| t * t));
    if scale > 0.0 { (right * pairs - sum(|(t, p)| t * p)) / scale.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_value_is_zero() {
        assert_eq!((f1([(0, 0), (0, -1)]), matthews([(0, 1), (1, 1)]), matthews([])), (0.0, 0.0, 0.0));
    }

    #[test]
    fn an_unparsable_answer_is_a_class_of_its_own() {
        // s = 4, c = 2, t = (2, 2), p = (1, 1) and two of -1: (8 - 4) / sqrt((16 - 1 - 1 - 4) (16 - 4 - 4)).
        let value = matthews([(0, 0), (1, 1), (0, -1), (1, -1)]);
        assert!((value - 4.0 / 80f64.sqrt()).abs() < 1e-15, "{value}");
        assert!((f1([(0, 0), (1, 1), (0, -1), (1, -1)]) - 2.0 / 3.0).abs() < 1e-15);
    }
}
