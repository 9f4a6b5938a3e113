//! The trait of all attacks, with the level of an attack and the change of a word.

use std::fmt;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::Protected;

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

/// The way in which a search takes a word out of the instruction to see how much depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ranking {
    /// The word is replaced by `[UNK]`.
    Unk,
    /// The word is deleted, with one space beside it.
    Delete,
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

    /// How a greedy search ranks the words for this attack; default [`Ranking::Unk`]. TextFooler and TextBugger have
    /// [`Ranking::Delete`] (PromptBench).
    fn ranking(&self) -> Ranking {
        Ranking::Unk
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
