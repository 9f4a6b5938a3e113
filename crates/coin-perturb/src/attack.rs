//! The trait that all attacks implement, and the types in it.

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
    /// The wording, with the same meaning.
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

/// The way in which a search removes a word to measure its influence on the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ranking {
    /// The word is replaced by `[UNK]`.
    Unk,
    /// The word is deleted together with one adjacent space.
    Delete,
}

/// The replacement of one word in an instruction.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// The instruction before any change.
    pub clean: &'a str,
    /// The instruction with all earlier changes.
    pub before: &'a str,
    /// The byte range of the word in `before`.
    pub word: Range<usize>,
    /// The text that replaces the word.
    pub replacement: &'a str,
    /// The instruction after this change.
    pub after: &'a str,
}

/// A way to perturb one instruction.
///
/// An implementation keeps [`Protected`] text (each protected piece occurs in the output as often as in the instruction), never splits a
/// grapheme, never panics, and draws all its randomness from the given stream.
pub trait Attack: Send + Sync {
    /// Short name, such as `deepwordbug`: the key in a [`FrozenSet`](crate::FrozenSet) and part of the stream's key.
    fn name(&self) -> &'static str;

    /// The name with its origin, such as `promptbench::deepwordbug`, for recipes.
    fn origin(&self) -> &'static str;

    /// The level of the attack.
    fn level(&self) -> Level;

    /// Settings by name, for the recipe.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Returns the perturbed `instruction`. If no part of the instruction may change, it is returned unchanged, except that an attack
    /// may append a string.
    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String;

    /// Returns all replacements that the attack knows for the word at the byte range `word` of `instruction`, nearest first if they have
    /// an order, and without the word itself. Empty if the attack does not replace single words.
    fn word_candidates(&self, instruction: &str, word: Range<usize>, rng: &mut ChaCha8Rng) -> Vec<String> {
        let _ = (instruction, word, rng);
        Vec::new()
    }

    /// The ranking of words in a greedy search with this attack. Default [`Ranking::Unk`]; [`Ranking::Delete`] for TextFooler and
    /// TextBugger (PromptBench).
    fn ranking(&self) -> Ranking {
        Ranking::Unk
    }

    /// True if the attack's constraints allow `change`. The search itself protects protected text and changes a word at most once.
    fn allows(&self, change: &Change) -> bool {
        let _ = change;
        true
    }

    /// Returns at most `count` different rewritings of the whole instruction, for a search that tries them all.
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
