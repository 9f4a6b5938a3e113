//! Holds pairs out of training, to measure a loss on them and choose an adapter.
//!
//! The released program holds out the last pairs. If an instance occurs in several pairs, the model may be trained on some of them, and the
//! loss on the others is then too low. [`hold_out`] keeps all pairs of an instance on one side.

use std::borrow::Borrow;
use std::collections::HashSet;

use super::instances::InstanceGroups;
use crate::Pair;

/// A split of pairs into training and validation, by their places in the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldOut {
    /// Pairs for training, in order.
    pub training: Vec<usize>,
    /// Pairs held out, in order.
    pub validation: Vec<usize>,
    /// Pairs in neither part: pairs of a held-out instance, and their partners.
    pub left_out: Vec<usize>,
    /// Held-out pairs whose instance also occurs in training.
    pub leaking: usize,
}

/// The part to which a couple is assigned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Training,
    Validation,
    LeftOut,
}

/// Holds out the last `count` pairs, an even number, as the released program does.
///
/// ```
/// # use coin_data::{Pair, pairs::hold_out_last};
/// # let pair = |sentence: &str, wording: &str| Pair {
/// #     original_instruction: format!("Judge: {sentence}"),
/// #     paraphrased_instruction: format!("{sentence} {wording}"),
/// #     targets: "yes".to_owned(),
/// #     task: None,
/// #     component: None, wordings: None,
/// #     keywords: [("sentence".to_owned(), sentence.to_owned())].into(),
/// # };
/// // Two paraphrases of the instances a and b.
/// let pairs = [pair("a", "Fine?"), pair("b", "Fine?"), pair("a", "Good?"), pair("b", "Good?")];
/// let held = hold_out_last(&pairs, 2);
/// assert_eq!((held.training, held.validation, held.leaking), (vec![0, 1], vec![2, 3], 2));
/// ```
pub fn hold_out_last<P: Borrow<Pair>>(pairs: &[P], count: usize) -> HeldOut {
    let couples = pairs.len().div_ceil(2);
    let first = couples.saturating_sub(count / 2);
    let sides = (0..couples).map(|couple| if couple < first { Side::Training } else { Side::Validation }).collect();
    split(&InstanceGroups::new(pairs), sides)
}

/// Holds out at most `count` pairs, so that no instance is both held out and trained on.
///
/// Starting at the last couple, each couple is held out together with all couples that share instances with it, directly or through
/// others. A group that exceeds the rest of `count` stays in training. A group of more than `count` pairs cannot be held out whole:
/// single couples of it are held out, and couples that share an instance with them are left out of training. If no instance occurs in
/// two couples, the held-out pairs are the last ones.
///
/// ```
/// # use coin_data::{Pair, pairs::hold_out};
/// # let pair = |sentence: &str, wording: &str| Pair {
/// #     original_instruction: format!("Judge: {sentence}"),
/// #     paraphrased_instruction: format!("{sentence} {wording}"),
/// #     targets: "yes".to_owned(),
/// #     task: None,
/// #     component: None, wordings: None,
/// #     keywords: [("sentence".to_owned(), sentence.to_owned())].into(),
/// # };
/// // Two paraphrases of the instances a and b, with a couple of other instances between them.
/// let pairs = ["a", "b", "c", "d", "a", "b"].map(|sentence| pair(sentence, "Fine?"));
/// let held = hold_out(&pairs, 4);
/// assert_eq!((held.training, held.validation, held.leaking), (vec![2, 3], vec![0, 1, 4, 5], 0));
/// ```
pub fn hold_out<P: Borrow<Pair>>(pairs: &[P], count: usize) -> HeldOut {
    let groups = InstanceGroups::new(pairs);
    let (of_couples, sizes) = (groups.of_couples(), groups.sizes());
    let mut sides = vec![Side::Training; of_couples.len()];
    let most = count / 2;
    let mut room = most;
    let mut whole = HashSet::new();
    for couple in (0..of_couples.len()).rev() {
        let size = sizes[of_couples[couple]];
        if whole.contains(&of_couples[couple]) || room == 0 {
            continue;
        }
        if size <= room {
            whole.insert(of_couples[couple]);
            room -= size;
        } else if size > most {
            sides[couple] = Side::Validation;
            room -= 1;
        }
    }
    for (side, group) in sides.iter_mut().zip(of_couples) {
        if whole.contains(group) {
            *side = Side::Validation;
        }
    }
    let of_pairs = groups.of_pairs();
    let instances = |couple: usize| &of_pairs[2 * couple..(2 * couple + 2).min(of_pairs.len())];
    let held: HashSet<usize> = (0..sides.len())
        .filter(|couple| sides[*couple] == Side::Validation)
        .flat_map(|couple| instances(couple).iter().copied())
        .collect();
    for (couple, side) in sides.iter_mut().enumerate() {
        if *side == Side::Training && instances(couple).iter().any(|instance| held.contains(instance)) {
            *side = Side::LeftOut;
        }
    }
    split(&groups, sides)
}

fn split(groups: &InstanceGroups, sides: Vec<Side>) -> HeldOut {
    let of_pairs = groups.of_pairs();
    let mut held = HeldOut::default();
    for at in 0..of_pairs.len() {
        match sides[at / 2] {
            Side::Training => held.training.push(at),
            Side::Validation => held.validation.push(at),
            Side::LeftOut => held.left_out.push(at),
        }
    }
    let trained: HashSet<usize> = held.training.iter().map(|&at| of_pairs[at]).collect();
    held.leaking = held.validation.iter().filter(|&&at| trained.contains(&of_pairs[at])).count();
    held
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One pair for each instance.
    fn pairs(instances: &[usize]) -> Vec<Pair> {
        let pair = |(at, instance): (usize, &usize)| Pair {
            original_instruction: format!("{at} original"),
            paraphrased_instruction: format!("{at} paraphrase"),
            targets: format!("{}", instance % 2),
            task: Some("t".to_owned()),
            component: None,
            wordings: None,
            keywords: [("row".to_owned(), instance.to_string())].into(),
        };
        instances.iter().enumerate().map(pair).collect()
    }

    #[test]
    fn without_common_instances_the_last_pairs_are_held_out() {
        let all = pairs(&(0..20).collect::<Vec<_>>());
        assert_eq!(hold_out(&all, 6), hold_out_last(&all, 6));
        assert_eq!(hold_out(&all, 6).validation, (14..20).collect::<Vec<_>>());
        assert_eq!(hold_out(&all, 0).training.len(), 20);
        assert_eq!(hold_out_last(&all, 100).validation.len(), 20);
    }

    #[test]
    fn a_group_too_large_to_be_held_out_whole_gives_single_couples() {
        // A chain: each couple shares an instance with the next one.
        let chain = pairs(&[0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]);
        let held = hold_out(&chain, 2);
        assert_eq!((held.validation, held.left_out, held.leaking), (vec![10, 11], vec![8, 9], 0));
        assert_eq!(held.training, (0..8).collect::<Vec<_>>());
        assert_eq!(hold_out_last(&chain, 2).leaking, 1);
    }

    proptest! {
        #[test]
        fn no_instance_is_on_both_sides(
            instances in prop::collection::vec(0usize..30, 0..60), count in 0usize..40,
        ) {
            let instances = &instances[..instances.len() / 2 * 2];
            let all = pairs(instances);
            let count = 2 * (count / 2);
            let held = hold_out(&all, count);
            prop_assert_eq!(held.leaking, 0);
            prop_assert!(held.validation.len() <= count);
            let of = |places: &[usize]| places.iter().map(|&at| instances[at]).collect::<HashSet<_>>();
            prop_assert!(of(&held.training).is_disjoint(&of(&held.validation)));
            let mut every = [held.training, held.validation, held.left_out].concat();
            every.sort_unstable();
            prop_assert_eq!(every, (0..all.len()).collect::<Vec<_>>());
        }
    }
}
