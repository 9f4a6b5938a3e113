//! TextBugger: five kinds of bugs, one in each chosen word (Li et al., 2019; PromptBench's character level).

use std::ops::Range;
use std::sync::Arc;

use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::character_edits::Spelling;
use super::{homoglyphs, substitution};
use crate::attack::{Attack, Change, Level, Ranking};
use crate::constraint::{Constraints, Metric, Scope, SentenceSimilarity, StopWords};
use crate::{Budget, Lexicon, Neighbors, Protected, SurfaceEncoder, words};

/// Inserts a space inside a word, deletes an inner character, swaps two inner neighbors, puts a homoglyph in a
/// letter's place, or puts a near word in the word's place.
///
/// Only homoglyphs change the first or the last character, and a space is inserted at the latest before the second-to-last character
/// (TextAttack's recipe, which PromptBench runs). A frozen perturbation chooses words, kinds and positions at random and changes each
/// word at most once.
#[derive(Debug, Clone)]
pub struct TextBugger {
    /// The amount of words to change. Default: a share of 0.7 (this project; no frozen set of this attack is published).
    pub budget: Budget,
    /// Number of near words that are candidates; default 5 (TextAttack, PromptBench).
    pub near_words: usize,
    /// The source of near words; default [`Lexicon::built_in`] (this project).
    pub neighbors: Arc<dyn Neighbors>,
    /// Default: [`StopWords`]; [`SentenceSimilarity`] to the clean instruction, angular, at least 0.79 by
    /// [`SurfaceEncoder`]. Metric and scope are PromptBench's; the bound is this project's, and 5 % of PromptBench's published prompts
    /// lie below it. It does not apply to instructions of fewer than ten words (this project: one word is too large a part of them).
    pub constraints: Constraints,
}

impl TextBugger {
    /// The attack with near words from another source.
    pub fn with_neighbors(neighbors: Arc<dyn Neighbors>) -> TextBugger {
        let similarity = SentenceSimilarity {
            at_least: 0.79,
            metric: Metric::Angular,
            scope: Scope::Whole { min_words: 10 },
            encoder: Arc::new(SurfaceEncoder),
        };
        let constraints = Constraints::default().with(StopWords).with(similarity);
        TextBugger { budget: Budget::Share(0.7), near_words: 5, neighbors, constraints }
    }

    fn bugs(&self, kind: Kind, word: &str) -> Vec<String> {
        let spelling = Spelling::new(word);
        let length = spelling.len();
        // All characters except the first and the last.
        let inner = 1..length.saturating_sub(1);
        match kind {
            Kind::Space => inner.filter_map(|place| spelling.inserted(place, " ")).collect(),
            Kind::Deletion => inner.filter_map(|place| spelling.without(place)).collect(),
            Kind::Swap => (1..length.saturating_sub(2)).filter_map(|place| spelling.swapped(place)).collect(),
            Kind::Homoglyph => {
                let alike = |place| homoglyphs::of(spelling.at(place)?).map(|letter| (place, letter.to_string()));
                let found = (0..length).filter_map(alike);
                found.filter_map(|(place, letter)| spelling.substituted(place, &letter)).collect()
            }
            Kind::NearWord => {
                let near = self.neighbors.neighbors(word).into_iter().take(self.near_words);
                near.map(|neighbor| words::match_case(&neighbor.word, word)).collect()
            }
        }
    }
}

impl Default for TextBugger {
    fn default() -> Self {
        TextBugger::with_neighbors(Lexicon::built_in())
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Space,
    Deletion,
    Swap,
    Homoglyph,
    NearWord,
}

/// In TextAttack's order.
const KINDS: [Kind; 5] = [Kind::Space, Kind::Deletion, Kind::Swap, Kind::Homoglyph, Kind::NearWord];

impl Attack for TextBugger {
    fn name(&self) -> &'static str {
        "textbugger"
    }

    fn origin(&self) -> &'static str {
        "promptbench::textbugger"
    }

    fn level(&self) -> Level {
        Level::Character
    }

    fn ranking(&self) -> Ranking {
        Ranking::Delete
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("budget", self.budget.to_string()),
            ("near_words", self.near_words.to_string()),
            ("neighbors", self.neighbors.describe()),
            ("constraints", self.constraints.to_string()),
        ]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let propose = |text: &str, word: Range<usize>, rng: &mut ChaCha8Rng| {
            let word = &text[word];
            let mut kinds = KINDS;
            kinds.shuffle(rng);
            let mut proposed = Vec::with_capacity(kinds.len());
            for kind in kinds {
                let bugs = self.bugs(kind, word);
                proposed.extend(bugs.choose(rng).cloned());
            }
            proposed
        };
        substitution::substitute(instruction, protected, self.budget, &self.constraints, rng, propose)
    }

    /// Spaces, deletions, swaps and homoglyphs at every position, then the near words.
    fn word_candidates(&self, instruction: &str, word: Range<usize>, _: &mut ChaCha8Rng) -> Vec<String> {
        let Some(word) = instruction.get(word) else { return Vec::new() };
        substitution::distinct(KINDS.iter().flat_map(|kind| self.bugs(*kind, word)).collect(), word)
    }

    fn allows(&self, change: &Change) -> bool {
        self.constraints.allow(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;
    use std::collections::BTreeSet;

    fn attack() -> TextBugger {
        let lexicon = "pair: couple, duo, twosome, brace, match, team";
        TextBugger {
            budget: Budget::Share(1.0),
            ..TextBugger::with_neighbors(Arc::new(Lexicon::parse(lexicon).unwrap()))
        }
    }

    #[test]
    fn the_candidates_of_a_word() {
        let found = attack().word_candidates("pair", 0..4, &mut keyed(0, &[]));
        let expected = [
            "p air",
            "pa ir", // spaces
            "pir",
            "par",  // deletions
            "piar", // swap
            "\u{440}air",
            "p\u{430}ir",
            "pa\u{456}r",
            "pai\u{1d26}", // homoglyphs
            "couple",
            "duo",
            "twosome",
            "brace",
            "match", // five near words
        ];
        assert_eq!(found, expected);
        assert_eq!(attack().word_candidates("Xb", 0..2, &mut keyed(0, &[])), ["\u{425}b", "X\u{185}"]);
        assert!(attack().word_candidates("pair", 0..9, &mut keyed(0, &[])).is_empty());
    }

    #[test]
    fn a_frozen_perturbation_makes_every_kind() {
        let perturb = |seed| attack().perturb("The pair.", &Protected::default(), &mut keyed(seed, &[]));
        let found: BTreeSet<String> = (0..400).map(perturb).collect();
        let candidates = attack().word_candidates("pair", 0..4, &mut keyed(0, &[]));
        assert_eq!(found, candidates.iter().map(|word| format!("The {word}.")).collect());
    }
}
