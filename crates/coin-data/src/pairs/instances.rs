//! Recognizes pairs of the same instance, and couples that must stay together.
//!
//! Files of pairs do not number the instances. Two pairs count as pairs of one instance if they agree in any of the following
//! (white space between words is ignored; the rule is this project's):
//!
//! 1. the task and the keywords except `answer` and `options_`, for pairs with keywords;
//! 2. the target and these keywords, for any task, since tasks may share rows, as `mnli` and `mnli_matched` do;
//! 3. the target and one of the two texts;
//! 4. for pairs without keywords, the task, the target, and a run of eight words that occurs in both texts of each pair, so the
//!    rewording kept it. Runs that occur with several targets of the task are ignored: they belong to the templates, or to a
//!    passage that instances share.
//!
//! In files without keywords, the fourth rule misses inputs of fewer than eight words.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};

use crate::Pair;
use crate::instance::single_spaced;

/// Number of words in a run that identifies an instance.
const RUN: usize = 8;

/// Number of runs kept per pair: those with the smallest hashes, which pairs with nearly the same runs have in common.
const RUNS: usize = 8;

/// Keywords that do not identify an instance.
const OF_NO_INSTANCE: [&str; 2] = ["answer", "options_"];

/// The instances of a list of pairs, and the groups of couples that share instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InstanceGroups {
    of_pairs: Vec<usize>,
    of_couples: Vec<usize>,
}

impl InstanceGroups {
    /// Finds the instances and groups of `pairs`, of which every two adjacent ones form a couple.
    pub(crate) fn new<P: Borrow<Pair>>(pairs: &[P]) -> Self {
        let mut instances = Sets::new(pairs.len());
        let mut known: HashMap<u64, usize> = HashMap::new();
        let runs: Vec<Vec<u64>> = pairs.iter().map(|pair| runs(pair.borrow())).collect();
        let templates = runs_of_templates(pairs, &runs);
        for (at, pair) in pairs.iter().enumerate() {
            for key in keys(pair.borrow(), &runs[at], &templates) {
                instances.join(at, *known.entry(key).or_insert(at));
            }
        }
        let of_pairs = instances.numbered();
        let mut couples = Sets::new(pairs.len().div_ceil(2));
        let mut first: HashMap<usize, usize> = HashMap::new();
        for (at, instance) in of_pairs.iter().enumerate() {
            couples.join(at / 2, *first.entry(*instance).or_insert(at / 2));
        }
        InstanceGroups { of_pairs, of_couples: couples.numbered() }
    }

    /// The instance of each pair, numbered in the order of first appearance.
    pub(crate) fn of_pairs(&self) -> &[usize] {
        &self.of_pairs
    }

    /// The group of each couple. Couples of one group share instances, directly or through other couples.
    pub(crate) fn of_couples(&self) -> &[usize] {
        &self.of_couples
    }

    /// The number of couples in each group.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.of_couples.iter().max().map_or(0, |last| last + 1)];
        self.of_couples.iter().for_each(|&group| sizes[group] += 1);
        sizes
    }
}

/// Disjoint sets of numbers.
struct Sets {
    parent: Vec<usize>,
}

impl Sets {
    fn new(count: usize) -> Self {
        Sets { parent: (0..count).collect() }
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    /// Joins the sets of two numbers. The root of a set is its smallest number.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parent[one.max(other)] = one.min(other);
    }

    /// The set of each number. Sets are numbered in the order of first appearance.
    fn numbered(mut self) -> Vec<usize> {
        let mut numbers = HashMap::new();
        let mut number = |root: usize| {
            let next = numbers.len();
            *numbers.entry(root).or_insert(next)
        };
        (0..self.parent.len()).map(|at| number(self.root(at))).collect()
    }
}

/// The keys of a pair's instance, as described in the module docs.
fn keys(pair: &Pair, runs: &[u64], templates: &HashMap<u64, Option<u64>>) -> Vec<u64> {
    let target = single_spaced(&pair.targets);
    let task = pair.task.as_deref().unwrap_or_default();
    let mut keys = Vec::with_capacity(4);
    let keywords: Vec<String> =
        keywords_of_instance(pair).flat_map(|(name, value)| [name.clone(), single_spaced(value)]).collect();
    if !keywords.is_empty() {
        let keywords = || keywords.iter().map(String::as_str);
        keys.push(hash(["task and keywords", task].into_iter().chain(keywords())));
        keys.push(hash(["target and keywords", &target].into_iter().chain(keywords())));
    }
    for text in [&pair.original_instruction, &pair.paraphrased_instruction] {
        keys.push(hash(["target and text", &target, &single_spaced(text)]));
    }
    if keywords.is_empty() {
        let of_target = Some(hash(["target", &target]));
        keys.extend(runs.iter().filter(|run| templates.get(run).is_some_and(|known| *known == of_target)));
    }
    keys
}

/// The runs of all pairs, each with the hash of its target, or `None` if it occurs with several targets.
fn runs_of_templates<P: Borrow<Pair>>(pairs: &[P], runs: &[Vec<u64>]) -> HashMap<u64, Option<u64>> {
    let mut known = HashMap::new();
    for (pair, runs) in pairs.iter().zip(runs) {
        let target = hash(["target", &single_spaced(&pair.borrow().targets)]);
        for &run in runs {
            let of = known.entry(run).or_insert(Some(target));
            *of = of.filter(|of| *of == target);
        }
    }
    known
}

/// The keywords of a pair that identify its instance.
pub(crate) fn keywords_of_instance(pair: &Pair) -> impl Iterator<Item = (&String, &String)> {
    pair.keywords.iter().filter(|(name, _)| !OF_NO_INSTANCE.contains(&name.as_str()))
}

/// Hashes of the task and some runs of words that occur in both texts; empty if keywords identify the instance.
fn runs(pair: &Pair) -> Vec<u64> {
    if keywords_of_instance(pair).next().is_some() {
        return Vec::new();
    }
    let task = hash([pair.task.as_deref().unwrap_or_default()]);
    let of = |text: &str| -> BTreeSet<u64> {
        let text = text.to_lowercase();
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<u64> = words.map(|word| hash([word])).collect();
        words.windows(RUN).map(|run| run.iter().fold(task, |hash, word| mixed(hash.rotate_left(5) ^ word))).collect()
    };
    let (original, paraphrase) = (of(&pair.original_instruction), of(&pair.paraphrased_instruction));
    original.intersection(&paraphrase).copied().take(RUNS).collect()
}

/// FNV-1a over texts, each terminated by a byte that cannot occur in text, with mixed bits. It must be the same on every platform,
/// since it determines which runs are kept.
fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    mixed(hash)
}

/// The final steps of SplitMix64, in which every bit affects all others.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(original: &str, paraphrase: &str, target: &str, task: &str, keywords: &[(&str, &str)]) -> Pair {
        Pair {
            original_instruction: original.to_owned(),
            paraphrased_instruction: paraphrase.to_owned(),
            targets: target.to_owned(),
            task: Some(task.to_owned()),
            component: None,
            wordings: None,
            keywords: keywords.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn same(one: Pair, other: Pair) -> bool {
        let groups = InstanceGroups::new(&[one, other]);
        groups.of_pairs() == [0, 0]
    }

    #[test]
    fn keywords_identify_the_instance() {
        let with = |target: &str, task: &str, keywords: &[(&str, &str)], wording: &str| {
            pair(&format!("{wording} a"), &format!("{wording} b"), target, task, keywords)
        };
        let one = || with("yes", "rte", &[("s", "Ann  ran."), ("answer", "yes")], "1");
        assert!(same(one(), with("yes", "rte", &[("s", "Ann ran. ")], "2")));
        // A repeated row with another label has the same input.
        assert!(same(one(), with("no", "rte", &[("s", "Ann ran."), ("answer", "no")], "2")));
        // Tasks that share their rows.
        assert!(same(one(), with("yes", "rte_copy", &[("s", "Ann ran.")], "2")));
        assert!(!same(one(), with("no", "rte_copy", &[("s", "Ann ran.")], "2")));
        assert!(!same(one(), with("yes", "rte", &[("s", "Ann sat.")], "2")));
        // Only the lists of answers are equal.
        let options = |wording: &str| with("yes", "rte", &[("answer", "yes"), ("options_", "- yes")], wording);
        assert!(!same(options("1"), options("2")));
    }

    #[test]
    fn texts_identify_the_instance_without_keywords() {
        let texts = |original: &str, paraphrase: &str, target: &str| pair(original, paraphrase, target, "t", &[]);
        assert!(same(texts("a", "b", "yes"), texts("c", " b", "yes")));
        // A template without an input has many instances.
        assert!(!same(texts("Invent one.", "b", "It rains."), texts("Invent one.", "c", "It snows.")));
        let input = "the quick brown fox jumps over the lazy dog today";
        let worded = |before: &str, after: &str, target: &str| {
            texts(&format!("{before} {input}"), &format!("{input}. {after}"), target)
        };
        assert!(same(worded("Judge:", "Is it so?", "yes"), worded("Say of this:", "True?", "yes")));
        let other = texts("Judge: one two three four five", "one two three four five, or not?", "yes");
        assert!(!same(worded("Judge:", "Is it so?", "yes"), other));
    }

    #[test]
    fn words_of_a_template_are_ignored() {
        let head = "Below is an instruction that describes a task, with an input.";
        let texts = |input: &str, target: &str| {
            pair(&format!("{head} Judge {input}"), &format!("{head} Say {input}"), target, "t", &[])
        };
        let pairs = [texts("one", "yes"), texts("two", "no"), texts("three", "yes"), texts("four", "no")];
        assert_eq!(InstanceGroups::new(&pairs).of_pairs(), [0, 1, 2, 3]);
    }

    #[test]
    fn pairs_of_one_instance_group_their_couples() {
        // Couples of the instances (a, b), (c, d) and (b, e).
        let texts = [("Fine?", "a"), ("Fine?", "b"), ("Fine?", "c"), ("Fine?", "d"), ("Good?", "b"), ("Good?", "e")];
        let of = |(wording, sentence): (&str, &str)| {
            let texts = (format!("{wording} {sentence}"), format!("{sentence} {wording}"));
            pair(&texts.0, &texts.1, "yes", "cola", &[("sentence", sentence)])
        };
        let groups = InstanceGroups::new(&texts.map(of));
        assert_eq!(groups.of_pairs(), [0, 1, 2, 3, 1, 4]);
        assert_eq!(groups.of_couples(), [0, 1, 0]);
    }

    #[test]
    fn couples_are_grouped_through_others() {
        let of = |text: &str| pair(&format!("{text} ?"), &format!("{text} !"), "t", "t", &[("x", text)]);
        let groups = InstanceGroups::new(&["a", "b", "c", "d", "d", "e", "f", "g", "e", "a"].map(of));
        assert_eq!(groups.of_couples(), [0, 0, 0, 1, 0]);
        assert_eq!(groups.sizes(), [4, 1]);
        assert_eq!(InstanceGroups::new::<Pair>(&[]).sizes(), [0; 0]);
    }
}
