//! What an attack is, and the attacks by name.

use std::fmt;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    BertAttack, Budget, CheckList, DeepWordBug, Paraphrase, PerturbError, Protected, StressTest, TextBugger, TextFooler,
};

/// The level of the text at which an attack works (paper, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Characters within words.
    Character,
    /// Whole words.
    Word,
    /// Text added to the sentence.
    Sentence,
    /// The wording, with the meaning kept.
    Semantic,
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Level::Character => "character",
            Level::Word => "word",
            Level::Sentence => "sentence",
            Level::Semantic => "semantic",
        })
    }
}

/// One word of an instruction replaced, as a search considers it.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// The instruction before any change.
    pub clean: &'a str,
    /// The instruction as it stands, with the words that were changed before.
    pub before: &'a str,
    /// Where the word stands in `before`, in bytes.
    pub word: Range<usize>,
    /// What takes its place.
    pub replacement: &'a str,
    /// The instruction with the replacement made.
    pub after: &'a str,
}

/// A way to perturb one instruction.
///
/// An implementation keeps what is [`Protected`] (each protected piece occurs in the output as often as in the
/// instruction), never splits a grapheme, never panics, and draws all its randomness from the stream it is given.
pub trait Attack: Send + Sync {
    /// Short name, such as `deepwordbug`: the key in a [`FrozenSet`](crate::FrozenSet) and part of the stream's key.
    fn name(&self) -> &'static str;

    /// Where the attack comes from, such as `promptbench::deepwordbug`: its name in a recipe.
    fn origin(&self) -> &'static str;

    /// The level at which it works.
    fn level(&self) -> Level;

    /// Settings by name, for the recipe.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The perturbed `instruction`. An instruction in which nothing may change comes back as it is, at most with a
    /// string appended.
    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String;

    /// What a search may put in place of the word at `word`, a byte range of `instruction`: every replacement that the
    /// attack knows, nearest first where it knows an order, none equal to the word. Empty where the attack does not work
    /// word by word.
    fn word_candidates(&self, instruction: &str, word: Range<usize>, rng: &mut ChaCha8Rng) -> Vec<String> {
        let _ = (instruction, word, rng);
        Vec::new()
    }

    /// Whether the attack's constraints allow a change that a search considers. What is protected, and that a word is
    /// changed at most once, is the search's to see to.
    fn allows(&self, change: &Change) -> bool {
        let _ = change;
        true
    }

    /// At most `count` different rewritings of the whole instruction, for a search that tries them all.
    fn candidates(&self, instruction: &str, protected: &Protected, count: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        // Some attacks know few rewritings of a short instruction.
        for _ in 0..4 * count {
            if found.len() == count {
                break;
            }
            let candidate = self.perturb(instruction, protected, rng);
            if candidate != instruction && !found.contains(&candidate) {
                found.push(candidate);
            }
        }
        found
    }
}

/// Short names of the attacks that [`attack_named`] knows.
pub const ATTACK_NAMES: [&str; 7] =
    ["deepwordbug", "textbugger", "textfooler", "bertattack", "checklist", "stresstest", "semantic"];

/// The attack called `name`, with default settings. Both forms are accepted: short (`checklist`) and qualified
/// (`promptbench::checklist`, `coin::semantic`).
///
/// # Errors
/// [`PerturbError::UnknownAttack`], which lists the names there are.
///
/// ```
/// use coin_perturb::{Level, attack_named};
/// assert_eq!(attack_named("promptbench::checklist")?.level(), Level::Sentence);
/// let error = attack_named("deepwordbag").err().map(|error| error.to_string());
/// assert_eq!(
///     error.as_deref(),
///     Some("unknown attack `deepwordbag`, expected one of: deepwordbug, textbugger, textfooler, bertattack, checklist, stresstest, semantic"),
/// );
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
pub fn attack_named(name: &str) -> Result<Box<dyn Attack>, PerturbError> {
    let attacks: [Box<dyn Attack>; ATTACK_NAMES.len()] = [
        Box::new(DeepWordBug::default()),
        Box::new(TextBugger::default()),
        Box::new(TextFooler::default()),
        Box::new(BertAttack::default()),
        Box::new(CheckList::default()),
        Box::new(StressTest),
        Box::new(Paraphrase::default()),
    ];
    attacks
        .into_iter()
        .find(|attack| attack.name() == name || attack.origin() == name)
        .ok_or_else(|| PerturbError::UnknownAttack { name: name.to_owned(), known: ATTACK_NAMES.join(", ") })
}

/// The attack called `name` with this severity: for attacks on words and characters how much they change, for `checklist`
/// how many characters it appends.
///
/// # Errors
/// As [`attack_named`]; [`PerturbError::Budget`] for an attack that has no such setting.
///
/// ```
/// use coin_perturb::{Budget, Protected, attack_within, audit::words_changed};
/// let clean = "Decide whether the following sentence is grammatical.";
/// let attack = attack_within("textfooler", Budget::Words(1))?;
/// let perturbed = attack.perturb(clean, &Protected::default(), &mut coin_core::stream::keyed(1, &[]));
/// assert_eq!(words_changed(clean, &perturbed), 1);
/// assert!(attack_within("semantic", Budget::Words(1)).is_err());
/// assert!(attack_within("checklist", Budget::Characters(1_000_000_000)).is_err());
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
pub fn attack_within(name: &str, budget: Budget) -> Result<Box<dyn Attack>, PerturbError> {
    let attack = attack_named(name)?;
    Ok(match (attack.name(), budget) {
        ("deepwordbug", budget) => Box::new(DeepWordBug { budget, ..DeepWordBug::default() }),
        ("textbugger", budget) => Box::new(TextBugger { budget, ..TextBugger::default() }),
        ("textfooler", budget) => Box::new(TextFooler { budget, ..TextFooler::default() }),
        ("bertattack", budget) => Box::new(BertAttack { budget, ..BertAttack::default() }),
        ("checklist", Budget::Characters(length)) if length <= CheckList::LONGEST => Box::new(CheckList { length }),
        ("checklist", Budget::Characters(_)) => {
            let message = format!("`checklist` appends at most {} characters", CheckList::LONGEST);
            return Err(PerturbError::Budget(message));
        }
        (name, budget) => {
            return Err(PerturbError::Budget(format!("`{name}` cannot be held to {}", budget.describe())));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_attack() {
        for name in ATTACK_NAMES {
            let attack = attack_named(name).unwrap();
            assert_eq!(attack.name(), name);
            assert_eq!(attack_named(attack.origin()).unwrap().name(), name);
        }
        assert!(attack_named("promptbench::semantics").is_err());
        assert!(attack_named("").is_err());
    }
}
