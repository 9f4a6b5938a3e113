//! Builds couples from tasks whose wordings come with the data.
//!
//! For each couple, an original wording and an instance are drawn, then a second instance with another target under the
//! same wording, and a paraphrase for both: another wording with the same target and another text. Instances are drawn
//! without replacement in rounds, and their hard negatives at random. The paper draws from templates; this procedure is
//! this project's.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::below;
use crate::{DataError, Pair, Worded};
use coin_core::stream;

/// Random draws of a hard negative before all instances are tried in order.
const DRAWS: usize = 64;

/// The wordings and instances that were used for the pairs of a task, and those that were not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordedBuildReport {
    /// The task.
    pub task: String,
    /// Pairs built, two per couple.
    pub pairs: usize,
    /// Wordings of the task.
    pub wordings: usize,
    /// Of those, wordings that are never an original, since no two instances with different targets have a paraphrase.
    pub wordings_unused: usize,
    /// Instances of the task.
    pub instances: usize,
    /// Different instances used in pairs.
    pub instances_used: usize,
    /// Rejected draws of an instance without a paraphrase or hard negative under the drawn wording.
    pub passed_over: usize,
}

/// Builds `pairs` pairs (twice the number of couples) from `source`.
///
/// The result depends only on the seed and the source. A smaller number of pairs gives a prefix of a larger one.
///
/// # Errors
/// [`DataError::Invalid`] if `pairs` is odd, or if no wording has two instances with different targets and a paraphrase
/// each (another wording with the same target).
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
        return Err(invalid(format!("{pairs} pairs requested, expected an even number: pairs come in couples")));
    }
    let usable: Vec<usize> = (0..wordings).filter(|&wording| has_couple(source, wording)).collect();
    if usable.is_empty() {
        return Err(invalid(format!(
            "none of {wordings} wordings has two of {instances} instances with different targets and a paraphrase each"
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
        // This many draws pass every instance at least once.
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

/// True if `other` gives the same target as `wording` with another text.
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

/// True if two instances form a couple under `wording`.
fn has_couple(source: &impl Worded, wording: usize) -> bool {
    let found = || {
        let instances = (0..source.instances()).filter(|&instance| has_paraphrase(source, wording, instance));
        instances.map(|instance| (source.target(wording, instance), source.prompt(wording, instance)))
    };
    let Some(first) = found().next() else { return false };
    let Some(second) = found().find(|other| other.0 != first.0) else { return false };
    // If these two have the same text, any instance with another text forms a couple with one of them.
    first.1 != second.1 || found().any(|other| other.1 != first.1)
}

/// Finds another instance with another target and another text.
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

/// Builds the pair of `instance`, which must have a paraphrase of `wording`.
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
        wordings: None,
        keywords: source.keywords(instance),
    }
}
