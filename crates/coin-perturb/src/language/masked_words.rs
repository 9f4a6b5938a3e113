//! Words that fit a gap in a text.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use super::{Lexicon, WordClasses, stop_words};
use crate::{cut_points, words};

/// Predicts words for a place in a text from its surroundings, like a masked language model. An implementation with a model can
/// replace [`InstructionWords`] everywhere.
pub trait MaskedWords: fmt::Debug + Send + Sync {
    /// A description for the recipe.
    fn describe(&self) -> String;

    /// Returns at most `count` words for the place of the word at the byte range `word` of `text`: likeliest first, without
    /// repetitions and without the word itself. The caller sets their case.
    fn candidates(&self, text: &str, word: Range<usize>, count: usize) -> Vec<String>;
}

/// Words of instructions, from tables written for this project, without a model.
///
/// The order is: words that fit both the word before and the word after; neighbors of the word in the built-in lexicon; words that fit
/// one side and share a part of speech with the word; all other words of the tables that share one; all other words that fit one side.
/// The tables contain only pairs of words in English instructions, so the results are often less fluent than those of a model. A word
/// with other than ASCII letters has no candidates.
///
/// ```
/// use coin_perturb::{InstructionWords, MaskedWords};
/// let found = InstructionWords.candidates("Decide whether it is so.", 0..6, 48);
/// assert_eq!((found.len(), found[0].as_str()), (48, "determine"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstructionWords;

#[derive(Default)]
struct Contexts {
    /// The words that follow a word, and those that precede it.
    after: HashMap<&'static str, Vec<&'static str>>,
    before: HashMap<&'static str, Vec<&'static str>>,
    /// All words of the lists, each once, in their order.
    all: Vec<&'static str>,
}

static CONTEXTS: LazyLock<Contexts> = LazyLock::new(|| {
    let mut contexts = Contexts::default();
    for line in include_str!("../../lexicon/contexts.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some((place, list)) = line.split_once(": ") else { continue };
        let list: Vec<&str> = list.split_whitespace().collect();
        for word in &list {
            if !contexts.all.contains(word) && !stop_words::contains(word) {
                contexts.all.push(word);
            }
        }
        if let Some(word) = place.strip_prefix("right of ") {
            contexts.after.insert(word, list);
        } else if let Some(word) = place.strip_prefix("left of ") {
            contexts.before.insert(word, list);
        }
    }
    contexts
});

impl MaskedWords for InstructionWords {
    fn describe(&self) -> String {
        format!("instruction words, {} of them", CONTEXTS.all.len())
    }

    fn candidates(&self, text: &str, word: Range<usize>, count: usize) -> Vec<String> {
        let (Some(head), Some(before), Some(after)) =
            (text.get(word.clone()), text.get(..word.start), text.get(word.end..))
        else {
            return Vec::new();
        };
        if !head.is_ascii() {
            return Vec::new();
        }
        let right = CONTEXTS.after.get(beside(before, true).as_str()).map_or(&[][..], Vec::as_slice);
        let left = CONTEXTS.before.get(beside(after, false).as_str()).map_or(&[][..], Vec::as_slice);
        let lexicon = Lexicon::built_in();
        let classes = WordClasses::of(head);
        let both = right.iter().filter(|word| left.contains(word)).copied();
        let neighbors = lexicon.get(head).iter().map(String::as_str);
        let one_side = right.iter().chain(left).copied();
        let of_class = |word: &&str| classes.meets(WordClasses::of(word));
        let fitting = one_side.clone().chain(CONTEXTS.all.iter().copied()).filter(of_class);
        let ranked = both.chain(neighbors).chain(fitting).chain(one_side);

        let head = head.to_lowercase();
        let mut found: Vec<String> = Vec::with_capacity(count);
        for word in ranked {
            if found.len() == count {
                break;
            }
            if word != head && !found.iter().any(|known| known == word) {
                found.push(word.to_owned());
            }
        }
        found
    }
}

/// The last (if `last`) or the first word of `text`, in lower case. `start` or `end` if the sentence ends in between.
fn beside(text: &str, last: bool) -> String {
    // Only as much of the text as needed to find a word or the end of the sentence.
    let mut cuts = 2;
    loop {
        let part = match last {
            true => &text[cut_points::before(text, text.len(), cuts)..],
            false => &text[..cut_points::after(text, 0, cuts)],
        };
        let free = words::free_words(part, &[]);
        let word = if last { free.last() } else { free.first() };
        let between = word.map_or(part, |word| if last { &part[word.range().end..] } else { &part[..word.start] });
        let ends = between.contains(['.', ':', '?', '!', '\n']);
        match word {
            Some(word) if !ends => return word.text.to_lowercase(),
            None if !ends && part.len() < text.len() => cuts *= 4,
            _ => return if last { "start" } else { "end" }.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(text: &str, word: &str, count: usize) -> Vec<String> {
        let start = text.find(word).unwrap();
        InstructionWords.candidates(text, start..start + word.len(), count)
    }

    #[test]
    fn the_table_is_well_formed() {
        let lines = include_str!("../../lexicon/contexts.txt").lines();
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(CONTEXTS.after.len() + CONTEXTS.before.len(), entries);
        for list in CONTEXTS.after.values().chain(CONTEXTS.before.values()) {
            assert!(list.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())), "{list:?}");
        }
    }

    #[test]
    fn both_sides_come_first() {
        // `decide` follows `and` and precedes `whether`; `answer` fits only one side.
        let found = candidates("Read it and say whether it is", "say", 48);
        let place = |word: &str| found.iter().position(|found| found == word);
        assert_eq!(found[0], "decide");
        assert!(place("decide") < place("answer") && place("answer").is_some() && place("say").is_none());
    }

    #[test]
    fn as_many_as_asked_for_even_of_unknown_words() {
        for (text, word) in [("Zyx the qqq", "qqq"), ("文 word 味", "word"), ("Answer.", "Answer")] {
            let found = candidates(text, word, 48);
            assert_eq!(found.len(), 48, "{word}");
            let distinct: std::collections::BTreeSet<_> = found.iter().collect();
            assert_eq!(distinct.len(), 48);
        }
        assert_eq!(candidates("Answer.", "Answer", 3).len(), 3);
        assert!(InstructionWords.candidates("Answer", 3..99, 48).is_empty());
        assert!(candidates("文の意味", "意", 48).is_empty());
    }

    #[test]
    fn sentences_end_a_context() {
        assert_eq!(beside("It is so. ", true), "start");
        assert_eq!(beside("It is The, ", true), "the");
        assert_eq!(beside(" 'With", false), "with");
        assert_eq!(beside("; ", false), "end");
    }
}
