//! Counts the content and the faults of a list of pairs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::instances::{InstanceGroups, keywords_of_instance};
use crate::Pair;

/// Counts of the pairs of one task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Pairs.
    pub pairs: usize,
    /// Number of pairs by target (the balance of labels); empty for tasks with more than 20 different targets.
    pub answers: BTreeMap<String, usize>,
    /// Number of different targets.
    pub targets: usize,
}

/// The content and the faults of a list of pairs.
///
/// ```
/// use coin_data::Pair;
/// use coin_data::pairs::CheckReport;
/// let pair = |original: &str, target: &str| Pair {
///     original_instruction: original.to_owned(),
///     paraphrased_instruction: format!("{original} Please."),
///     targets: target.to_owned(),
///     task: Some("cola".to_owned()),
///     component: None, wordings: None,
///     keywords: Default::default(),
/// };
/// let report = CheckReport::new(&[pair("a", "yes"), pair("b", "yes"), pair("c", "yes"), pair("d", "no")]);
/// assert_eq!((report.pairs, &report.couples_without_negative), (4, &vec![0]));
/// assert_eq!(report.tasks["cola"].answers["yes"], 3);
/// assert!(!report.is_sound());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckReport {
    /// Pairs.
    pub pairs: usize,
    /// Counts by task. Pairs without a task have the empty name.
    pub tasks: BTreeMap<String, TaskCounts>,
    /// Pairs with the same two texts and the same target as an earlier pair.
    pub duplicates: usize,
    /// Texts that occur with more than one target.
    pub contradictions: usize,
    /// Couples (counted from 0) with two equal targets, so that neither is a negative of the other.
    pub couples_without_negative: Vec<usize>,
    /// Couples (counted from 0) of two different tasks, which are poor negatives of each other.
    pub couples_of_two_tasks: Vec<usize>,
    /// Pairs (counted from 0) with two equal texts.
    pub equal_wordings: Vec<usize>,
    /// Pairs (counted from 0) with an empty text or target.
    pub empty: Vec<usize>,
    /// Length in characters of the longest text with its target.
    pub longest: usize,
    /// Number of different instances. `pairs/instances.rs` documents how they are recognized.
    #[serde(default)]
    pub instances: usize,
    /// Number of groups of couples that share instances. The couples of a group must be held out together or not at all.
    #[serde(default)]
    pub groups: usize,
    /// Number of pairs without keywords that identify their instance. It is recognized by their texts only, which misses inputs of fewer
    /// than eight words.
    #[serde(default)]
    pub without_keywords: usize,
    /// Number of pairs in the largest group.
    #[serde(default)]
    pub largest_group: usize,
}

/// Maximum number of different targets of a task with label words.
const LABELS: usize = 20;

impl CheckReport {
    /// Checks `pairs`, of which every two adjacent ones form a couple.
    pub fn new(pairs: &[Pair]) -> Self {
        let mut report = CheckReport { pairs: pairs.len(), ..CheckReport::default() };
        let groups = InstanceGroups::new(pairs);
        let sizes = groups.sizes();
        report.instances = groups.of_pairs().iter().max().map_or(0, |last| last + 1);
        (report.groups, report.largest_group) = (sizes.len(), 2 * sizes.iter().max().copied().unwrap_or(0));
        let mut seen = BTreeSet::new();
        let mut targets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (at, pair) in pairs.iter().enumerate() {
            let Pair { original_instruction: original, paraphrased_instruction: paraphrase, targets: target, .. } =
                pair;
            let counts = report.tasks.entry(pair.task.clone().unwrap_or_default()).or_default();
            counts.pairs += 1;
            report.without_keywords += usize::from(keywords_of_instance(pair).next().is_none());
            *counts.answers.entry(target.clone()).or_default() += 1;
            report.duplicates += usize::from(!seen.insert((original, paraphrase, target)));
            if original == paraphrase {
                report.equal_wordings.push(at);
            }
            if [original, paraphrase, target].into_iter().any(|text| text.trim().is_empty()) {
                report.empty.push(at);
            }
            for text in [original, paraphrase] {
                targets.entry(text).or_default().insert(target);
                report.longest = report.longest.max(text.chars().count() + target.chars().count());
            }
        }
        report.contradictions = targets.values().filter(|targets| targets.len() > 1).count();
        for (couple, two) in pairs.chunks(2).enumerate() {
            let [first, second] = two else { continue };
            if first.targets == second.targets {
                report.couples_without_negative.push(couple);
            }
            if first.task != second.task {
                report.couples_of_two_tasks.push(couple);
            }
        }
        for counts in report.tasks.values_mut() {
            counts.targets = counts.answers.len();
            if counts.targets > LABELS {
                counts.answers.clear();
            }
        }
        report
    }

    /// True if all couples consist of hard negatives and all pairs of two different, non-empty texts.
    pub fn is_sound(&self) -> bool {
        self.couples_without_negative.is_empty()
            && self.couples_of_two_tasks.is_empty()
            && self.equal_wordings.is_empty()
            && self.empty.is_empty()
            && self.pairs.is_multiple_of(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(original: &str, paraphrase: &str, target: &str, task: &str) -> Pair {
        Pair {
            original_instruction: original.to_owned(),
            paraphrased_instruction: paraphrase.to_owned(),
            targets: target.to_owned(),
            task: Some(task.to_owned()),
            component: None,
            wordings: None,
            keywords: Default::default(),
        }
    }

    #[test]
    fn every_fault_is_counted_and_placed() {
        let report = CheckReport::new(&[
            pair("a", "b", "yes", "x"),
            pair("c", "c", "no", "x"),
            pair("a", "b", "yes", "x"),
            pair("d", "e", "yes", "y"),
            pair("a", "", "no", "y"),
            pair("long one", "f", "maybe", "y"),
        ]);
        assert_eq!((report.duplicates, report.contradictions, report.longest), (1, 1, 13));
        assert_eq!((report.couples_without_negative, report.couples_of_two_tasks), (vec![1], vec![1]));
        assert_eq!((report.equal_wordings, report.empty), (vec![1], vec![4]));
        assert_eq!(report.tasks["x"].answers, BTreeMap::from([("no".to_owned(), 1), ("yes".to_owned(), 2)]));
        assert_eq!((report.tasks["y"].pairs, report.tasks["y"].targets), (3, 3));
    }

    #[test]
    fn free_answers_have_no_balance() {
        let pairs: Vec<Pair> = (0..30).map(|at| pair(&format!("{at}"), "b", &format!("t{at}"), "x")).collect();
        let report = CheckReport::new(&pairs);
        assert!(report.is_sound() && report.tasks["x"].answers.is_empty());
        assert_eq!(report.tasks["x"].targets, 30);
    }
}
