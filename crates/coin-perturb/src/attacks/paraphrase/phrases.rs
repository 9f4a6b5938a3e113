//! Rewords known phrases.

use std::collections::HashMap;
use std::sync::LazyLock;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::rate;
use crate::Protected;
use crate::words::{self, Word};

/// A phrase in lower case, split into words, and its replacements.
struct Phrase {
    words: Vec<&'static str>,
    wordings: Vec<&'static str>,
}

/// The phrases by first word, the longest first.
static PHRASES: LazyLock<HashMap<&'static str, Vec<Phrase>>> = LazyLock::new(|| {
    let mut phrases: HashMap<&str, Vec<Phrase>> = HashMap::new();
    for line in include_str!("../../../lexicon/paraphrases.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some((phrase, wordings)) = line.split_once("=>") else { continue };
        let words: Vec<&str> = phrase.split_whitespace().collect();
        let Some(first) = words.first() else { continue };
        let wordings = wordings.split('|').map(str::trim).collect();
        phrases.entry(first).or_default().push(Phrase { words, wordings });
    }
    for list in phrases.values_mut() {
        list.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
    }
    phrases
});

/// Rewords each known phrase of `text` with probability `probability`, in the case of its first word.
pub(super) fn reword(text: &str, protected: &Protected, probability: f64, rng: &mut ChaCha8Rng) -> String {
    let free = words::free_words(text, &protected.spans(text));
    let mut edits = Vec::new();
    let mut at = 0;
    while at < free.len() {
        let lower = free[at].text.to_lowercase();
        let candidates = PHRASES.get(lower.as_str()).map_or(&[][..], Vec::as_slice);
        let Some(phrase) = candidates.iter().find(|phrase| stands_at(text, &free[at..], phrase)) else {
            at += 1;
            continue;
        };
        let last = free[at + phrase.words.len() - 1];
        if rng.random_bool(rate(probability))
            && let Some(wording) = phrase.wordings.choose(rng)
        {
            edits.push((free[at].start..last.range().end, words::match_case(wording, free[at].text)));
        }
        at += phrase.words.len();
    }
    words::apply(text, protected, edits)
}

/// True if `free` begins with `phrase`, with single spaces between its words.
fn stands_at(text: &str, free: &[Word<'_>], phrase: &Phrase) -> bool {
    if free.len() < phrase.words.len() {
        return false;
    }
    let same = free.iter().zip(&phrase.words).all(|(word, expected)| word.text.eq_ignore_ascii_case(expected));
    same && free[..phrase.words.len()].windows(2).all(|pair| &text[pair[0].range().end..pair[1].start] == " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;
    use std::collections::BTreeSet;

    #[test]
    fn the_lexicon_is_well_formed() {
        let lines = include_str!("../../../lexicon/paraphrases.txt").lines();
        let entries = lines.filter(|line| !line.starts_with('#') && !line.is_empty()).count();
        assert_eq!(PHRASES.values().map(Vec::len).sum::<usize>(), entries);
        let distinct: BTreeSet<_> = PHRASES.values().flatten().map(|phrase| phrase.words.clone()).collect();
        assert_eq!(distinct.len(), entries);
        for phrase in PHRASES.values().flatten() {
            let text = phrase.words.join(" ");
            assert!(!phrase.wordings.is_empty() && phrase.wordings.iter().all(|wording| !wording.is_empty()), "{text}");
            assert!(!phrase.wordings.contains(&text.as_str()), "{text}");
        }
    }

    #[test]
    fn the_longest_phrase_wins_and_protected_words_stay() {
        let protected = Protected::new(["answer"]);
        for seed in 0..50 {
            let result = reword("Determine if the answer, the  question", &protected, 1.0, &mut keyed(seed, &[]));
            let begin = result.strip_suffix(" the answer, the  question").unwrap();
            assert!(
                ["Decide whether", "Establish whether", "Work out whether", "Judge if"].contains(&begin),
                "{result}"
            );
        }
    }
}
