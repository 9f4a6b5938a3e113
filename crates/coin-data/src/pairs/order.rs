//! Orders couples: mixes tasks, shuffles for an epoch, sorts by length.

use std::ops::Range;

use rand::{Rng, RngCore};

use crate::{DataError, Pair};
use coin_core::stream;

/// Mixes the pairs of several tasks in a random order of whole couples.
///
/// The result depends only on `seed` and the couples, not on the order of the lists, if all lists have different tasks.
///
/// # Errors
/// [`DataError::Invalid`] if a list has an odd number of pairs.
pub fn interleave(lists: Vec<Vec<Pair>>, seed: u64) -> Result<Vec<Pair>, DataError> {
    let mut couples = Vec::new();
    for list in lists {
        check_even(&list)?;
        let mut pairs = list.into_iter();
        let mut index = 0u64;
        while let (Some(first), Some(second)) = (pairs.next(), pairs.next()) {
            let task = first.task.as_deref().unwrap_or_default();
            let key = stream::keyed(seed, &["interleave", task, &index.to_string()]).next_u64();
            couples.push((key, first, second));
            index += 1;
        }
    }
    couples.sort_unstable();
    Ok(couples.into_iter().flat_map(|(_, first, second)| [first, second]).collect())
}

/// Shuffles whole couples for an epoch, counted from 0. The items are pairs or stand for pairs. The order within a couple is kept.
///
/// Start every epoch from the order of the file, so that each can be computed without the earlier ones.
///
/// # Errors
/// [`DataError::Invalid`] if the number of pairs is odd. In this case `pairs` is unchanged.
pub fn shuffle_couples<T>(pairs: &mut [T], seed: u64, epoch: usize) -> Result<(), DataError> {
    if !pairs.len().is_multiple_of(2) {
        return Err(odd(pairs.len(), ""));
    }
    let mut random = stream::keyed(seed, &["shuffle couples", &epoch.to_string()]);
    // Fisher-Yates over couples.
    for last in (1..pairs.len() / 2).rev() {
        let other = random.random_range(0..=last as u64) as usize;
        pairs.swap(2 * last, 2 * other);
        pairs.swap(2 * last + 1, 2 * other + 1);
    }
    Ok(())
}

/// Returns an order of rows in which couples of similar length are adjacent, longest first.
///
/// `lengths` are the lengths of the rows, of which every two adjacent ones form a couple. A couple is as long as its longer row.
/// Couples of equal length keep their order. A last row without a partner is treated as a couple.
///
/// ```
/// use coin_data::pairs::by_length;
/// assert_eq!(by_length(&[3, 9, 5, 5, 2, 1, 7, 9]), [0, 1, 6, 7, 2, 3, 4, 5]);
/// ```
pub fn by_length(lengths: &[usize]) -> Vec<usize> {
    let mut couples: Vec<Range<usize>> =
        (0..lengths.len()).step_by(2).map(|first| first..(first + 2).min(lengths.len())).collect();
    couples.sort_by_key(|couple| std::cmp::Reverse(lengths[couple.clone()].iter().copied().max()));
    couples.into_iter().flatten().collect()
}

fn check_even(pairs: &[Pair]) -> Result<(), DataError> {
    if pairs.len().is_multiple_of(2) {
        return Ok(());
    }
    let task = pairs[0]
        .task
        .as_deref()
        .map(|task| format!(" of the task `{}`", coin_core::quote::cut(task)))
        .unwrap_or_default();
    Err(odd(pairs.len(), &task))
}

fn odd(count: usize, task: &str) -> DataError {
    DataError::Invalid(format!("{count} pairs{task}, expected an even number: pairs come in couples"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(task: &str, couples: usize) -> Vec<Pair> {
        let pair = |index: usize| Pair {
            original_instruction: format!("{task} {index}"),
            paraphrased_instruction: String::new(),
            targets: String::new(),
            task: Some(task.to_owned()),
            component: None,
            wordings: None,
            keywords: Default::default(),
        };
        (0..2 * couples).map(pair).collect()
    }

    /// The indices of a shuffled list. Checks that couples are whole.
    fn couples(pairs: &[Pair]) -> Vec<(String, usize)> {
        let place = |pair: &Pair| {
            let (task, index) = pair.original_instruction.split_once(' ').unwrap();
            (task.to_owned(), index.parse::<usize>().unwrap())
        };
        let couple = |couple: &[Pair]| {
            let (first, second) = (place(&couple[0]), place(&couple[1]));
            assert_eq!((&first.0, first.1 % 2, first.1 + 1), (&second.0, 0, second.1));
            (first.0, first.1 / 2)
        };
        pairs.chunks(2).map(couple).collect()
    }

    proptest! {
        #[test]
        fn a_shuffle_permutes_whole_couples(n in 0usize..40, seed: u64, epoch in 0usize..5) {
            let mut pairs = list("a", n);
            shuffle_couples(&mut pairs, seed, epoch).unwrap();
            let mut again = list("a", n);
            shuffle_couples(&mut again, seed, epoch).unwrap();
            prop_assert_eq!(&pairs, &again);
            let mut order = couples(&pairs);
            order.sort();
            prop_assert_eq!(order, (0..n).map(|at| ("a".to_owned(), at)).collect::<Vec<_>>());
        }

        #[test]
        fn an_order_by_length_keeps_couples_whole(lengths in prop::collection::vec(1usize..60, 0..40)) {
            let lengths = &lengths[..lengths.len() / 2 * 2];
            let mut order = by_length(lengths);
            prop_assert!(order.chunks(2).all(|two| two[0] % 2 == 0 && two[1] == two[0] + 1));
            order.sort_unstable();
            prop_assert_eq!(order, (0..lengths.len()).collect::<Vec<_>>());
        }

        #[test]
        fn interleaving_keeps_every_couple_whatever_the_order_of_lists(a in 0usize..20, b in 0usize..20, seed: u64) {
            let mixed = interleave(vec![list("a", a), list("b", b)], seed).unwrap();
            prop_assert_eq!(&mixed, &interleave(vec![list("b", b), list("a", a)], seed).unwrap());
            let mut order = couples(&mixed);
            order.sort();
            let all = |task: &str, n: usize| (0..n).map(|at| (task.to_owned(), at)).collect::<Vec<_>>();
            prop_assert_eq!(order, [all("a", a), all("b", b)].concat());
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let shuffled = |seed, epoch| {
            let mut pairs = list("a", 20);
            shuffle_couples(&mut pairs, seed, epoch).unwrap();
            couples(&pairs)
        };
        assert_ne!(shuffled(1, 0), shuffled(1, 1));
        assert_ne!(shuffled(1, 0), shuffled(2, 0));
        assert_ne!(shuffled(1, 0), couples(&list("a", 20)));
    }

    #[test]
    fn tasks_are_mixed() {
        let order = couples(&interleave(vec![list("a", 30), list("b", 30)], 7).unwrap());
        let changes = order.windows(2).filter(|two| two[0].0 != two[1].0).count();
        // A random order of 30 and 30 changes task 30 times on average, with a standard deviation below 4.
        assert!((15..=45).contains(&changes), "{changes}");
    }

    #[test]
    fn odd_numbers_are_refused() {
        let mut pairs = list("cola", 2);
        pairs.pop();
        let message = shuffle_couples(&mut pairs, 0, 0).unwrap_err().to_string();
        assert_eq!(message, "3 pairs, expected an even number: pairs come in couples");
        let message = interleave(vec![list("a", 1), pairs], 0).unwrap_err().to_string();
        assert_eq!(message, "3 pairs of the task `cola`, expected an even number: pairs come in couples");
    }
}
