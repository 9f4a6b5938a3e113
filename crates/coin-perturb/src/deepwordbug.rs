//! DeepWordBug: one character edit in each chosen word (Gao et al., 2018; PromptBench's character level).

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use unicode_segmentation::UnicodeSegmentation;

use crate::attack::{Attack, Level};
use crate::{Protected, words};

/// Swaps two neighbors, substitutes, deletes or inserts one character in chosen words.
///
/// Words are chosen at random among those that are neither stop words nor protected; a frozen set needs no model,
/// so nothing ranks them. A word is changed at most once. New characters are ASCII letters of either case.
#[derive(Debug, Clone, PartialEq)]
pub struct DeepWordBug {
    /// Share of the words that may change which do change, from 0 to 1; at least one word changes.
    /// Default 0.9 (ours): a published set for GLUE instructions changes about nine in ten.
    pub share: f64,
    /// Upper bound of the Levenshtein distance in graphemes; default 30 (PromptBench).
    pub max_distance: usize,
}

impl Default for DeepWordBug {
    fn default() -> Self {
        DeepWordBug { share: 0.9, max_distance: 30 }
    }
}

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
        vec![("share", self.share.to_string()), ("max_distance", self.max_distance.to_string())]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let candidates = words::content_words(instruction, protected);
        let mut left = self.max_distance;
        let mut edits = Vec::with_capacity(candidates.len());
        for index in words::choose(candidates.len(), self.share, rng) {
            let word = candidates[index];
            let (changed, distance) = edit(word.text, rng);
            if distance <= left {
                left -= distance;
                edits.push((word.range(), changed));
            }
        }
        words::apply(instruction, protected, edits)
    }
}

/// `word` after one random edit, and the edit's Levenshtein distance (2 for a swap, else 1).
fn edit(word: &str, rng: &mut ChaCha8Rng) -> (String, usize) {
    let mut graphemes: Vec<&str> = word.graphemes(true).collect();
    let length = graphemes.len();
    let mut buffer = [0_u8; 4];
    // A word of one character is neither swapped nor deleted.
    let operation = if length < 2 { rng.random_range(2..4) } else { rng.random_range(0..4) };
    let position = rng.random_range(0..length.max(1));
    match operation {
        0 if graphemes[position.min(length - 2)] != graphemes[position.min(length - 2) + 1] => {
            let first = position.min(length - 2);
            graphemes.swap(first, first + 1);
            (graphemes.concat(), 2)
        }
        1 => {
            graphemes.remove(position);
            (graphemes.concat(), 1)
        }
        3 => {
            let position = rng.random_range(0..=length);
            graphemes.insert(position, letter(rng).encode_utf8(&mut buffer));
            (graphemes.concat(), 1)
        }
        // Substitution; also the swap of two equal characters.
        _ => {
            let mut new = letter(rng);
            while graphemes[position].chars().eq([new]) {
                new = letter(rng);
            }
            graphemes[position] = new.encode_utf8(&mut buffer);
            (graphemes.concat(), 1)
        }
    }
}

/// A random ASCII letter of either case.
fn letter(rng: &mut ChaCha8Rng) -> char {
    let index = rng.random_range(0..52_u8);
    char::from(if index < 26 { b'a' + index } else { b'A' + index - 26 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::edit_distance;
    use coin_data::stream::keyed;

    #[test]
    fn an_edit_is_one_of_four() {
        for seed in 0..500 {
            let mut rng = keyed(seed, &["edit"]);
            let (changed, distance) = edit("grammar", &mut rng);
            assert_ne!(changed, "grammar");
            assert!(edit_distance("grammar", &changed) <= distance);
            assert!((6..=8).contains(&changed.len()));
            let (changed, _) = edit("x", &mut rng);
            assert!(changed != "x" && !changed.is_empty());
        }
    }

    #[test]
    fn all_four_edits_occur() {
        let results: Vec<String> = (0..200).map(|seed| edit("abcd", &mut keyed(seed, &[])).0).collect();
        assert!(results.iter().any(|word| word.len() == 3));
        assert!(results.iter().any(|word| word.len() == 5));
        assert!(results.iter().any(|word| word == "bacd" || word == "acbd" || word == "abdc"));
        assert!(results.iter().any(|word| word.len() == 4 && edit_distance("abcd", word) == 1));
    }

    #[test]
    fn graphemes_stay_whole() {
        // e + combining acute is one grapheme.
        for seed in 0..200 {
            let (changed, _) = edit("re\u{301}sume\u{301}", &mut keyed(seed, &[]));
            for (offset, _) in changed.match_indices('\u{301}') {
                assert_eq!(&changed[offset - 1..offset], "e");
            }
        }
    }

    #[test]
    fn the_distance_is_bounded() {
        let text = "strange words ".repeat(60);
        let attack = DeepWordBug { share: 1.0, max_distance: 30 };
        let perturbed = attack.perturb(&text, &Protected::default(), &mut keyed(1, &[]));
        let distance = edit_distance(&text, &perturbed);
        assert!((15..=30).contains(&distance), "{distance}");
    }
}
