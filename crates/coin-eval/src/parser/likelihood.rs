//! The class whose label word is the most likely continuation.
//!
//! Each class is represented by one word, from [`Task::labels`](coin_data::Task::labels). Summed log-likelihoods are the
//! log-probabilities of whole words, `ln p(word | prompt)`. Divided by the number of tokens, they do not favor short words.

use crate::LogLikelihood;

/// Returns the index of the largest value, or the first of several equal ones. `None` if `words` is empty.
pub(super) fn largest(words: &[LogLikelihood], value: impl Fn(&LogLikelihood) -> f64) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in words.iter().map(value).enumerate() {
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest() {
        let of = |sums: &[f64]| {
            let words: Vec<LogLikelihood> = sums.iter().map(|&sum| LogLikelihood { sum, tokens: 1 }).collect();
            largest(&words, |word| word.sum)
        };
        assert_eq!((of(&[-36.5, -1.0]), of(&[]), of(&[-1.0, -1.0])), (Some(1), None, Some(0)));
    }
}
