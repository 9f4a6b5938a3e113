//! Answers that change when the instruction is perturbed, and which of two models changes them.
//!
//! The two answers to every (task, instruction number, row) that was answered both at level `clean` and at a perturbed
//! level are compared. An answer *breaks* if it is right under the clean instruction and wrong under the perturbed one.
//! It is *repaired* in the opposite case. Both are counted, because perturbations also correct answers by chance.
//!
//! Two runs are compared only where the comparison is fair: breaks among the prompts that **both** answer correctly under
//! the clean instruction, repairs among those that both answer incorrectly. Changes in only one run are counted for each
//! of the two runs, so that no table or example favors a run. These are the discordant pairs of McNemar's test (McNemar
//! 1947), here by level.
//!
//! The preset `paper` draws different examples at every level, so only rows drawn at both levels can be compared there.

mod choice;
mod difference;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use difference::{Part, difference};

use crate::levels::{self, CLEAN};
use crate::run::ledger::Record;
use crate::run::prompt_texts::PromptText;

/// The effect of a perturbed instruction on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Right under the clean instruction, wrong under the perturbed one.
    Broken,
    /// Wrong under the clean instruction, right under the perturbed one.
    Repaired,
}

/// Counts of the changed answers of one run at one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlipCounts {
    /// The run.
    pub run: String,
    /// The perturbed level.
    pub level: String,
    /// Prompts that were answered at level `clean` and at this level.
    pub pairs: usize,
    /// Pairs that are right under the clean instruction.
    pub right_clean: usize,
    /// Pairs that are right under the clean instruction and wrong under the perturbed one.
    pub broken: usize,
    /// Pairs that are wrong under the clean instruction and right under the perturbed one.
    pub repaired: usize,
}

/// Changes in two runs, among the prompts where the answers of both could have changed this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Split {
    /// Prompts that both runs answer correctly, or both incorrectly, under the clean instruction.
    pub pairs: usize,
    /// Only the first run's answer changes.
    pub first_only: usize,
    /// Only the second run's answer changes.
    pub second_only: usize,
    /// Both change.
    pub both: usize,
}

/// Comparison of two runs at one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contrast {
    /// The perturbed level.
    pub level: String,
    /// Among prompts that both runs answer correctly under the clean instruction.
    pub broken: Split,
    /// Among prompts that both runs answer incorrectly under the clean instruction.
    pub repaired: Split,
}

/// The answers of one run to the clean and to the perturbed prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The run.
    pub run: String,
    /// The continuation after the clean prompt, and whether it is right.
    pub clean: (String, bool),
    /// The continuation after the perturbed prompt, and whether it is right.
    pub perturbed: (String, bool),
}

/// One prompt whose answer changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// The task's name.
    pub task: String,
    /// The perturbed level.
    pub level: String,
    /// Index of the instruction within the level, from 0.
    pub instruction: usize,
    /// The example's row number in its data set.
    pub row: usize,
    /// The example's class.
    pub gold: usize,
    /// The kind of change.
    pub change: Change,
    /// The run whose answer changed. The answer of the run it is compared with did not.
    pub run: String,
    /// The texts of the clean prompt, if known.
    pub clean: Option<PromptText>,
    /// The texts of the perturbed prompt, if known.
    pub perturbed: Option<PromptText>,
    /// The answers of every run, in the order of the runs, except runs without an answer to this prompt.
    pub answers: Vec<Answers>,
}

/// The changed answers of one or more runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flips {
    /// A row for every level and run.
    pub counts: Vec<FlipCounts>,
    /// The two runs that are compared, in order. `None` if there is only one run.
    pub compared: Option<(String, String)>,
    /// A row for every level, if there are two runs to compare.
    pub contrasts: Vec<Contrast>,
    /// A few prompts for every level, direction and compared run.
    pub examples: Vec<Flip>,
}

/// Task, instruction and row of an answer.
type Place<'a> = (&'a str, usize, usize);

/// The answers of one run at one level.
type Answered<'a> = BTreeMap<Place<'a>, &'a Record>;

impl Flips {
    /// Counts the changed answers of `runs` (name and ledger, the compared pair last) and chooses at most `most` examples
    /// for every level, direction and compared run.
    ///
    /// `texts` returns the instruction and the content of a record's prompt, if known; see
    /// [`PromptTexts`](crate::PromptTexts). The choice of examples depends on the ledgers and on `seed`, not on the
    /// order of the records. Tasks shown least often come first; ties are broken at random. With one run, the examples
    /// are from that run.
    ///
    /// ```
    /// use coin_eval::{Record, flips::Flips};
    /// let answer = |level: &str, row, pred| {
    ///     Record { task: "cola".to_owned(), level: level.to_owned(), row, pred, gold: 1, ..Record::default() }
    /// };
    /// let cit = [answer("clean", 0, 1), answer("clean", 1, 1), answer("checklist", 0, 0), answer("checklist", 1, 1)];
    /// let coin = [answer("clean", 0, 1), answer("clean", 1, 1), answer("checklist", 0, 1), answer("checklist", 1, -1)];
    /// let flips = Flips::collect(&[("cit", &cit), ("coin", &coin)], &|_| None, 2, 42);
    /// let broken = flips.contrasts[0].broken;
    /// assert_eq!((broken.pairs, broken.first_only, broken.second_only, broken.both), (2, 1, 1, 0));
    /// ```
    pub fn collect(
        runs: &[(&str, &[Record])],
        texts: &dyn Fn(&Record) -> Option<PromptText>,
        most: usize,
        seed: u64,
    ) -> Flips {
        let by_level: Vec<BTreeMap<&str, Answered>> = runs.iter().map(|(_, records)| by_level(records)).collect();
        let mut names: Vec<&str> =
            by_level.iter().flat_map(|run| run.keys().copied()).filter(|l| *l != CLEAN).collect();
        names.sort_by_key(|name| (levels::LEVELS.iter().position(|known| known == name).unwrap_or(usize::MAX), *name));
        names.dedup();

        let mut flips = Flips::default();
        for level in &names {
            for ((name, _), run) in runs.iter().zip(&by_level) {
                if let Some(counts) = count(name, level, run) {
                    flips.counts.push(counts);
                }
            }
        }
        let pair = match runs.len() {
            0 => return flips,
            1 => (0, 0),
            all => (all - 2, all - 1),
        };
        if pair.0 != pair.1 {
            flips.compared = Some((runs[pair.0].0.to_owned(), runs[pair.1].0.to_owned()));
            flips.contrasts = names.iter().map(|level| contrast(level, &by_level[pair.0], &by_level[pair.1])).collect();
        }
        let mut choice = choice::Choice::new(most, seed);
        for level in &names {
            for change in [Change::Broken, Change::Repaired] {
                let sides = if pair.0 == pair.1 { vec![pair] } else { vec![pair, (pair.1, pair.0)] };
                for (own, other) in sides {
                    let candidates =
                        candidates(level, change, &by_level[own], (own != other).then(|| &by_level[other]));
                    for place in choice.choose(&[level, runs[own].0, &format!("{change:?}")], candidates) {
                        let clean = by_level[own][CLEAN][&place];
                        let perturbed = by_level[own][*level][&place];
                        let answers = runs.iter().zip(&by_level).filter_map(|((name, _), run)| {
                            let clean = run.get(CLEAN)?.get(&place)?;
                            let perturbed = run.get(level)?.get(&place)?;
                            let answer = |record: &Record| (record.raw_pred.clone(), right(record));
                            let (clean, perturbed) = (answer(clean), answer(perturbed));
                            Some(Answers { run: (*name).to_owned(), clean, perturbed })
                        });
                        flips.examples.push(Flip {
                            task: place.0.to_owned(),
                            level: (*level).to_owned(),
                            instruction: place.1,
                            row: place.2,
                            gold: clean.gold,
                            change,
                            run: runs[own].0.to_owned(),
                            clean: texts(clean),
                            perturbed: texts(perturbed),
                            answers: answers.collect(),
                        });
                    }
                }
            }
        }
        flips
    }
}

fn right(record: &Record) -> bool {
    record.pred == record.gold as i64
}

fn by_level(records: &[Record]) -> BTreeMap<&str, Answered<'_>> {
    let mut levels: BTreeMap<&str, Answered> = BTreeMap::new();
    for record in records {
        let place = (record.task.as_str(), record.instruction, record.row);
        levels.entry(&record.level).or_default().insert(place, record);
    }
    levels
}

/// Returns whether the answers at `place` are right under the clean and under the perturbed instruction. `None` if one is missing.
fn outcome(run: &BTreeMap<&str, Answered>, level: &str, place: &Place) -> Option<(bool, bool)> {
    Some((right(run.get(CLEAN)?.get(place)?), right(run.get(level)?.get(place)?)))
}

fn places<'a, 'r>(run: &'r BTreeMap<&str, Answered<'a>>, level: &str) -> impl Iterator<Item = Place<'a>> + use<'a, 'r> {
    run.get(level).into_iter().flat_map(|answered| answered.keys().copied())
}

fn count(name: &str, level: &str, run: &BTreeMap<&str, Answered>) -> Option<FlipCounts> {
    let outcomes: Vec<(bool, bool)> = places(run, level).filter_map(|place| outcome(run, level, &place)).collect();
    let times = |wanted: (bool, bool)| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    (!outcomes.is_empty()).then(|| FlipCounts {
        run: name.to_owned(),
        level: level.to_owned(),
        pairs: outcomes.len(),
        right_clean: times((true, true)) + times((true, false)),
        broken: times((true, false)),
        repaired: times((false, true)),
    })
}

fn contrast(level: &str, first: &BTreeMap<&str, Answered>, second: &BTreeMap<&str, Answered>) -> Contrast {
    let mut contrast = Contrast { level: level.to_owned(), broken: Split::default(), repaired: Split::default() };
    for place in places(first, level) {
        let both = outcome(first, level, &place).zip(outcome(second, level, &place));
        let Some((first, second)) = both.filter(|(first, second)| first.0 == second.0) else { continue };
        let split = if first.0 { &mut contrast.broken } else { &mut contrast.repaired };
        split.pairs += 1;
        match (first.0 != first.1, second.0 != second.1) {
            (true, false) => split.first_only += 1,
            (false, true) => split.second_only += 1,
            (true, true) => split.both += 1,
            (false, false) => {}
        }
    }
    contrast
}

/// Places where the answer of `own` changes. With another run, only those where the other run's answer is equally right or
/// wrong under the clean instruction and does not change.
fn candidates<'a>(
    level: &str,
    change: Change,
    own: &BTreeMap<&str, Answered<'a>>,
    other: Option<&BTreeMap<&str, Answered<'a>>>,
) -> Vec<Place<'a>> {
    let (before, after) = (change == Change::Broken, change == Change::Repaired);
    let wanted = |place: &Place<'a>| {
        outcome(own, level, place) == Some((before, after))
            && other.is_none_or(|other| outcome(other, level, place) == Some((before, before)))
    };
    places(own, level).filter(wanted).collect()
}
