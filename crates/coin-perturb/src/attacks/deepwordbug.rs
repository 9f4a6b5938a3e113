//! DeepWordBug: one character edit in each chosen word (Gao et al., 2018; PromptBench's character level).

use std::ops::Range;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::character_edits::{Spelling, letter};
use super::substitution;
use crate::attack::{Attack, Change, Level};
use crate::constraint::{Constraints, EditDistance, StopWords};
use crate::{Budget, Protected};

/// Swaps two neighbors, substitutes, deletes or inserts one character in chosen words.
///
/// Any character of a word may change, including the first and the last, and a new character is a random ASCII letter of
/// either case (TextAttack's recipe, which PromptBench runs). A letter is inserted before a character, so none is
/// appended. A word of one character is substituted or gets a letter before it; TextAttack does not change it.
///
/// A frozen perturbation does not have a model to rank words, so it chooses them at random among those that are neither stop words nor
/// protected. It edits each word at most once.
#[derive(Debug, Clone)]
pub struct DeepWordBug {
    /// The amount of words to change. Default: a share of 0.9 (this project): a published set for GLUE instructions changes about nine
    /// in ten.
    pub budget: Budget,
    /// Default: [`StopWords`], and [`EditDistance`] at most 30 (PromptBench).
    pub constraints: Constraints,
}

impl Default for DeepWordBug {
    fn default() -> Self {
        DeepWordBug {
            budget: Budget::Share(0.9),
            constraints: Constraints::default().with(StopWords).with(EditDistance { at_most: 30 }),
        }
    }
}

/// Number of edits that are drawn for a chosen word before it is left unchanged.
const DRAWS: usize = 4;

impl Attack for DeepWordBug {
    fn name(&self) -> &'static str {
        "deepwordbug"
    }

    fn origin(&self) -> &'static str {
        "promptbench::deepwordbug"
    }

    fn level(&self) -> Level {
        Level::Character
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("budget", self.budget.to_string()), ("constraints", self.constraints.to_string())]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let propose = |text: &str, word: Range<usize>, rng: &mut ChaCha8Rng| {
            let spelling = Spelling::new(&text[word]);
            (0..DRAWS).filter_map(|_| edit(&spelling, rng)).collect()
        };
        substitution::substitute(instruction, protected, self.budget, &self.constraints, rng, propose)
    }

    /// All swaps of two neighbors, then all substitutions, deletions and insertions of one character. The letters are drawn from `rng`,
    /// one per position, as in TextAttack.
    fn word_candidates(&self, instruction: &str, word: Range<usize>, rng: &mut ChaCha8Rng) -> Vec<String> {
        let Some(word) = instruction.get(word) else { return Vec::new() };
        let spelling = Spelling::new(word);
        let places = 0..spelling.len();
        let mut candidates: Vec<String> = places.clone().filter_map(|place| spelling.swapped(place)).collect();
        candidates.extend(places.clone().filter_map(|place| substitution(&spelling, place, rng)));
        candidates.extend(places.clone().filter_map(|place| spelling.without(place)));
        candidates.extend(places.filter_map(|place| spelling.inserted(place, &letter(rng))));
        substitution::distinct(candidates, word)
    }

    fn allows(&self, change: &Change) -> bool {
        self.constraints.allow(change)
    }
}

/// The word after one random edit.
fn edit(spelling: &Spelling, rng: &mut ChaCha8Rng) -> Option<String> {
    let length = spelling.len();
    let place = rng.random_range(0..length.max(1));
    // A word of one character is neither swapped nor deleted.
    match if length < 2 { rng.random_range(2..4) } else { rng.random_range(0..4) } {
        0 => spelling.swapped(place.min(length - 2)),
        1 => spelling.without(place),
        2 => substitution(spelling, place, rng),
        _ => spelling.inserted(place, &letter(rng)),
    }
}

/// The word with another letter at `place`.
fn substitution(spelling: &Spelling, place: usize, rng: &mut ChaCha8Rng) -> Option<String> {
    // Two failures in a row (the same letter, or one that merges with the next character) are too rare to try again.
    spelling.substituted(place, &letter(rng)).or_else(|| spelling.substituted(place, &letter(rng)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::edit_distance;
    use coin_core::stream::keyed;
    use std::collections::BTreeSet;

    fn edits(word: &str) -> BTreeSet<String> {
        (0..2000).filter_map(|seed| edit(&Spelling::new(word), &mut keyed(seed, &["edit"]))).collect()
    }

    #[test]
    fn all_four_edits_occur_at_every_place() {
        let found = edits("abcd");
        for word in ["bacd", "acbd", "abdc", "bcd", "acd", "abd", "abc"] {
            assert!(found.contains(word), "{word}");
        }
        let matches = |begin: &str, end: &str, length| {
            found.iter().any(|word| word.len() == length && word.starts_with(begin) && word.ends_with(end))
        };
        assert!(["", "a", "ab", "abc"].iter().zip(["bcd", "cd", "d", ""]).all(|(begin, end)| matches(begin, end, 4)));
        assert!(
            ["", "a", "ab", "abc"].iter().zip(["abcd", "bcd", "cd", "d"]).all(|(begin, end)| matches(begin, end, 5))
        );
        assert!(found.iter().all(|word| word != "abcd" && edit_distance("abcd", word) <= 2));
        assert!(edits("x").iter().all(|word| word != "x" && !word.is_empty()));
    }

    #[test]
    fn the_candidates_of_a_search_by_place() {
        let found = DeepWordBug::default().word_candidates("Say cat now", 4..7, &mut keyed(0, &[]));
        // Two swaps, three substitutions, three deletions, three insertions.
        assert_eq!(found.len(), 11);
        assert_eq!(found[..2], ["act", "cta"]);
        assert!(found[2].ends_with("at") && found[3].starts_with('c') && found[4].starts_with("ca"));
        assert_eq!(found[5..8], ["at", "ct", "ca"]);
        assert!(found[8].ends_with("cat") && found[9].ends_with("at") && found[10].starts_with("ca"));
        let again = DeepWordBug::default().word_candidates("Say cat now", 4..7, &mut keyed(0, &[]));
        assert_eq!(found, again);
        assert!(DeepWordBug::default().word_candidates("Say", 2..9, &mut keyed(0, &[])).is_empty());
    }

    #[test]
    fn every_frozen_edit_is_a_candidate_of_the_search() {
        // Only the drawn letters differ, so they are masked before the comparison.
        let shape = |word: &str| -> String { word.chars().map(|c| if "cat".contains(c) { c } else { '?' }).collect() };
        let search: BTreeSet<String> = (0..50)
            .flat_map(|seed| DeepWordBug::default().word_candidates("cat", 0..3, &mut keyed(seed, &[])))
            .map(|word| shape(&word))
            .collect();
        assert!(edits("cat").iter().filter(|word| shape(word).contains('?')).all(|word| search.contains(&shape(word))));
    }

    #[test]
    fn graphemes_stay_whole() {
        // e + combining acute is one grapheme.
        for changed in edits("re\u{301}sume\u{301}") {
            for (offset, _) in changed.match_indices('\u{301}') {
                assert_eq!(&changed[offset - 1..offset], "e");
            }
        }
    }

    #[test]
    fn the_distance_is_bounded() {
        let text = "strange words ".repeat(60);
        let attack = DeepWordBug { budget: Budget::Share(1.0), ..DeepWordBug::default() };
        let perturbed = attack.perturb(&text, &Protected::default(), &mut keyed(1, &[]));
        let distance = edit_distance(&text, &perturbed);
        // The last edit may have cost 2 where 1 was left.
        assert!((29..=30).contains(&distance), "{distance}");
    }

    #[test]
    fn a_search_keeps_stop_words_and_distance() {
        let attack = DeepWordBug {
            constraints: Constraints::default().with(StopWords).with(EditDistance { at_most: 1 }),
            budget: Budget::Share(1.0),
        };
        let allows =
            |from, to| crate::constraint::with_change("Judge the text", from, to, |change| attack.allows(change));
        assert!(allows("text", "txt") && !allows("text", "tetx") && !allows("the", "te"));
    }
}
