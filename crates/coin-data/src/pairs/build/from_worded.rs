//! Couples from tasks whose wordings come with the data.
//!
//! Per couple: an original wording; an instance; another one with another target under the same wording; and for both a
//! paraphrase, another wording with the same target and another text. Instances are drawn without replacement, round
//! after round; their hard negatives at random. (The paper draws from templates; the rest is ours.)

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::below;
use crate::{DataError, Pair, Worded};
use coin_core::stream;

/// Random draws of a hard negative before all instances are gone through in order.
const DRAWS: usize = 64;

/// What went into the pairs of a task, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordedBuildReport {
    /// The task.
    pub task: String,
    /// Pairs built, two a couple.
    pub pairs: usize,
    /// Wordings there are.
    pub wordings: usize,
    /// Of those, wordings that are never an original, since no two instances with different targets have a paraphrase.
    pub wordings_unused: usize,
    /// Instances there are.
    pub instances: usize,
    /// Different instances in the pairs.
    pub instances_used: usize,
    /// Draws of an instance passed over, since it has no paraphrase or no hard negative under the wording drawn.
    pub passed_over: usize,
}

/// Builds `pairs` pairs, which is twice the number of couples, from `source`.
///
/// The result depends on the seed and the source alone; fewer pairs are a prefix of more.
///
/// # Errors
/// [`DataError::Invalid`] if `pairs` is odd, or if under no wording two instances have different targets and a paraphrase
/// each: another wording with the same target.
///
/// ```
/// use coin_data::instructions::{Example, InstructionTask};
/// let example = |input: &str, output: &str| Example { input: input.into(), output: output.into() };
/// let task = InstructionTask {
///     name: "plural".to_owned(),
///     wordings: vec!["Write the plural.".to_owned(), "More than one of these is:".to_owned()],
///     examples: vec![example("ox", "oxen"), example("fox", "foxes")],
/// };
/// let (pairs, report) = coin_data::pairs::from_worded(&task, 2, 42)?;
/// assert_ne!(pairs[0].targets, pairs[1].targets);
/// assert_ne!(pairs[0].original_instruction, pairs[0].paraphrased_instruction);
/// assert_eq!(report.instances_used, 2);
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn from_worded(source: &impl Worded, pairs: usize, seed: u64) -> Result<(Vec<Pair>, WordedBuildReport), DataError> {
    let task = source.task();
    let (wordings, instances) = (source.wordings(), source.instances());
    let invalid = |message: String| DataError::Invalid(format!("task `{}`: {message}", coin_core::quote::cut(task)));
    if !pairs.is_multiple_of(2) {
        return Err(invalid(format!("{pairs} pairs asked for, expected an even number: every two are a couple")));
    }
    let usable: Vec<usize> = (0..wordings).filter(|&wording| has_couple(source, wording)).collect();
    if usable.is_empty() {
        return Err(invalid(format!(
            "in none of {wordings} wordings have two of {instances} instances different targets, each with a paraphrase"
        )));
    }
    let mut report = WordedBuildReport {
        task: task.to_owned(),
        pairs,
        wordings,
        wordings_unused: wordings - usable.len(),
        instances,
        instances_used: 0,
        passed_over: 0,
    };
    let mut used = BTreeSet::new();
    let mut built = Vec::with_capacity(pairs.min(1 << 20));
    let (mut deck, mut round) = (Vec::new(), 0u64);
    for couple in 0..pairs / 2 {
        let mut random = stream::keyed(seed, &["worded couple", task, &couple.to_string()]);
        let wording = usable[below(&mut random, usable.len())];
        // Once round the deck and to the end of the next comes past every instance.
        let mut tries = 2 * instances;
        let (anchor, negative) = loop {
            if deck.is_empty() {
                deck.extend(0..instances);
                deck.shuffle(&mut stream::keyed(seed, &["worded instances", task, &round.to_string()]));
                round += 1;
            }
            let anchor = deck.pop().unwrap_or_default();
            let negative = has_paraphrase(source, wording, anchor)
                .then(|| hard_negative(source, wording, anchor, &mut random))
                .flatten();
            match negative {
                Some(negative) => break (anchor, negative),
                None if tries > 1 => {
                    tries -= 1;
                    report.passed_over += 1;
                }
                None => {
                    return Err(invalid(format!("wording {wording} gives no couple")));
                }
            }
        };
        for instance in [anchor, negative] {
            built.push(pair(source, wording, instance, couple, seed));
            used.insert(instance);
        }
    }
    report.instances_used = used.len();
    Ok((built, report))
}

/// Whether `other` says the same as `wording` in another text.
fn is_paraphrase(source: &impl Worded, wording: usize, other: usize, instance: usize) -> bool {
    let target = source.target(wording, instance);
    other != wording
        && !target.is_empty()
        && target == source.target(other, instance)
        && source.prompt(wording, instance) != source.prompt(other, instance)
}

fn has_paraphrase(source: &impl Worded, wording: usize, instance: usize) -> bool {
    (0..source.wordings()).any(|other| is_paraphrase(source, wording, other, instance))
}

/// Whether any two instances make a couple under `wording`.
fn has_couple(source: &impl Worded, wording: usize) -> bool {
    let found = || {
        let instances = (0..source.instances()).filter(|&instance| has_paraphrase(source, wording, instance));
        instances.map(|instance| (source.target(wording, instance), source.prompt(wording, instance)))
    };
    let Some(first) = found().next() else { return false };
    let Some(second) = found().find(|other| other.0 != first.0) else { return false };
    // If these two have the same text, any of another text makes a couple with one of them.
    first.1 != second.1 || found().any(|other| other.1 != first.1)
}

/// Another instance with another target and another text.
fn hard_negative(source: &impl Worded, wording: usize, anchor: usize, random: &mut impl Rng) -> Option<usize> {
    let instances = source.instances();
    let fits = |&other: &usize| {
        source.target(wording, other) != source.target(wording, anchor)
            && has_paraphrase(source, wording, other)
            && source.prompt(wording, other) != source.prompt(wording, anchor)
    };
    let drawn = (0..DRAWS).map(|_| below(random, instances)).find(fits);
    drawn.or_else(|| (0..instances).find(fits))
}

/// The pair of `instance`, which has a paraphrase of `wording`.
fn pair(source: &impl Worded, wording: usize, instance: usize, couple: usize, seed: u64) -> Pair {
    let key = ["worded positive", source.task(), &instance.to_string(), &couple.to_string()];
    let others: Vec<usize> =
        (0..source.wordings()).filter(|&other| is_paraphrase(source, wording, other, instance)).collect();
    let other = others[below(&mut stream::keyed(seed, &key), others.len())];
    Pair {
        original_instruction: source.prompt(wording, instance).into_owned(),
        paraphrased_instruction: source.prompt(other, instance).into_owned(),
        targets: source.target(wording, instance).to_owned(),
        task: Some(source.task().to_owned()),
        component: None,
        keywords: source.keywords(instance),
    }
}
