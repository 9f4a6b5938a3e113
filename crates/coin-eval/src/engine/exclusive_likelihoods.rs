//! Log-likelihoods of words with a common prefix, as mutually exclusive events.
//!
//! If the tokens of one word are a prefix of another's (`not`, `not_equivalent`), the probability of the shorter word includes
//! that of the longer, which could then never be chosen. A word's probability therefore excludes the continuations that form
//! a longer word: `p(A) - p(AB)`. This makes the events of all words disjoint.

use super::model::LogLikelihood;

/// Returns the log-likelihood of each of `words`, given as tokens, as mutually exclusive events. `sums` are the
/// log-likelihoods of their tokens.
pub(crate) fn exclusive(words: &[Vec<u32>], sums: &[f64]) -> Vec<LogLikelihood> {
    let longer = |word: &[u32], other: &[u32]| other.len() > word.len() && other.starts_with(word);
    let of_word = |(index, (word, &sum)): (usize, (&Vec<u32>, &f64))| {
        // The shortest words that extend this one. Words that extend those are part of their events.
        let next = words.iter().zip(sums).enumerate().filter(|(other, (ids, _))| {
            let between = words.iter().any(|middle| longer(word, middle) && longer(middle, ids));
            let twice = words[..*other].contains(ids);
            index != *other && longer(word, ids) && !between && !twice
        });
        let taken: f64 = next.map(|(_, (_, other))| (other - sum).exp()).sum();
        // A remainder below rounding error is not zero, only too small to measure.
        LogLikelihood { sum: sum + (-taken).ln_1p().max(f64::EPSILON.ln()), tokens: word.len() }
    };
    words.iter().zip(sums).enumerate().map(of_word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_word_excludes_its_continuation() {
        let words = [vec![7], vec![7, 8], vec![9]];
        let sums = [0.5f64, 0.2, 0.3].map(f64::ln);
        let found: Vec<f64> = exclusive(&words, &sums).into_iter().map(|word| word.sum.exp()).collect();
        assert!((found[0] - 0.3).abs() < 1e-12 && (found[1] - 0.2).abs() < 1e-12 && (found[2] - 0.3).abs() < 1e-12);
    }

    #[test]
    fn nested_words_divide_their_probability() {
        // A 0.6 > AB 0.3 > ABC 0.1, AD 0.2, and A a second time.
        let words = [vec![1], vec![1, 2], vec![1, 2, 3], vec![1, 4], vec![1, 4], vec![5]];
        let sums = [0.6f64, 0.3, 0.1, 0.2, 0.2, 0.4].map(f64::ln);
        let found: Vec<f64> = exclusive(&words, &sums).iter().map(|word| word.sum.exp()).collect();
        for (one, expected) in found.iter().zip([0.1, 0.2, 0.1, 0.2, 0.2, 0.4]) {
            assert!((one - expected).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn a_word_that_always_continues_is_never_chosen() {
        let found = exclusive(&[vec![1], vec![1, 2]], &[-1.0, -1.0]);
        assert!(found[0].sum.is_finite() && found[0].sum < -36.0);
        assert!(found[1].sum > found[0].sum);
    }
}
