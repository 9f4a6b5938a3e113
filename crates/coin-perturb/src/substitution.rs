//! Frozen perturbation word by word: random words, random replacements, nothing that the constraints forbid.

use std::ops::Range;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::attack::Change;
use crate::constraint::Constraints;
use crate::{Budget, Protected, words};

/// `instruction` with as many of its content words replaced as `budget` says, in random order, each by the first
/// of what `propose` gives that keeps what is protected and that `constraints` allow. A word without such a
/// replacement stays and another one is tried.
///
/// `propose` gets the text as it stands and the word's byte range in it.
pub(crate) fn substitute(
    instruction: &str,
    protected: &Protected,
    budget: Budget,
    constraints: &Constraints,
    rng: &mut ChaCha8Rng,
    mut propose: impl FnMut(&str, Range<usize>, &mut ChaCha8Rng) -> Vec<String>,
) -> String {
    let mut draft = Draft::new(instruction, protected);
    let count = draft.words.len();
    if count == 0 {
        return draft.text;
    }
    let (mut wanted, mut characters) = (budget.words(count), budget.characters());
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    for index in order {
        let proposed = propose(&draft.text, draft.words[index].clone(), rng);
        let word = draft.text[draft.words[index].clone()].to_owned();
        let replaced = proposed.iter().find_map(|replacement| {
            let left = Budget::spend(characters, &word, replacement)?;
            draft.replace(index, replacement, constraints).then_some(left)
        });
        if let Some(left) = replaced {
            characters = left;
            wanted -= 1;
            if wanted == 0 {
                break;
            }
        }
    }
    draft.text
}

/// `candidates` without `word` and without repetitions, in their order.
pub(crate) fn distinct(candidates: Vec<String>, word: &str) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if candidate != word && !distinct.contains(&candidate) {
            distinct.push(candidate);
        }
    }
    distinct
}

/// An instruction in which words are being replaced.
struct Draft<'a> {
    clean: &'a str,
    /// The protected pieces of `clean`, sorted.
    pieces: Vec<&'a str>,
    protected: &'a Protected,
    text: String,
    /// Where the content words of `clean` stand in `text`, ascending.
    words: Vec<Range<usize>>,
}

impl<'a> Draft<'a> {
    fn new(clean: &'a str, protected: &'a Protected) -> Draft<'a> {
        let mut pieces = protected.pieces(clean);
        pieces.sort_unstable();
        let words = words::content_words(clean, protected).iter().map(words::Word::range).collect();
        Draft { clean, pieces, protected, text: clean.to_owned(), words }
    }

    /// Puts `replacement` in the place of a word, if that is allowed.
    fn replace(&mut self, index: usize, replacement: &str, constraints: &Constraints) -> bool {
        let word = self.words[index].clone();
        if replacement.is_empty() || replacement == &self.text[word.clone()] {
            return false;
        }
        let after = [&self.text[..word.start], replacement, &self.text[word.end..]].concat();
        let end = word.start + replacement.len();
        let whole = words::is_grapheme_boundary(&after, word.start) && words::is_grapheme_boundary(&after, end);
        let change = Change { clean: self.clean, before: &self.text, word: word.clone(), replacement, after: &after };
        if !whole || !self.intact(&after) || !constraints.allow(&change) {
            return false;
        }
        self.words[index] = word.start..end;
        for later in &mut self.words[index + 1..] {
            *later = later.start + end - word.end..later.end + end - word.end;
        }
        self.text = after;
        true
    }

    fn intact(&self, after: &str) -> bool {
        let mut pieces = self.protected.pieces(after);
        pieces.sort_unstable();
        pieces == self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::EditDistance;
    use coin_core::stream::keyed;

    #[test]
    fn later_words_are_found_where_they_have_moved() {
        let protected = Protected::new(["yes"]);
        let grow = |text: &str, word: Range<usize>, _: &mut ChaCha8Rng| vec![format!("<{}>", &text[word])];
        for seed in 0..20 {
            let text = substitute(
                "Lions, yes: tigers!",
                &protected,
                Budget::Share(1.0),
                &Constraints::default(),
                &mut keyed(seed, &[]),
                grow,
            );
            assert_eq!(text, "<Lions>, yes: <tigers>!");
        }
    }

    #[test]
    fn what_is_forbidden_is_passed_over() {
        let protected = Protected::new(["yes"]);
        let constraints = Constraints::default().with(EditDistance { at_most: 2 });
        let propose = |_: &str, _: Range<usize>, _: &mut ChaCha8Rng| {
            vec!["yes".to_owned(), "elephants".to_owned(), "lion".to_owned()]
        };
        // The label word and the distant word are refused; one of two words is changed, the other stays out of reach.
        for seed in 0..20 {
            let text = substitute(
                "Lions tigers",
                &protected,
                Budget::Share(1.0),
                &constraints,
                &mut keyed(seed, &[]),
                propose,
            );
            assert_eq!(text, "lion tigers");
        }
    }

    #[test]
    fn the_share_is_of_all_content_words() {
        let propose = |_: &str, _: Range<usize>, _: &mut ChaCha8Rng| vec!["x".to_owned()];
        let changed = |share: f64| {
            let text = substitute(
                "lions tigers bears wolves",
                &Protected::default(),
                Budget::Share(share),
                &Constraints::default(),
                &mut keyed(1, &[]),
                propose,
            );
            text.matches('x').count()
        };
        assert_eq!((changed(0.0), changed(0.5), changed(1.0), changed(f64::NAN), changed(9.0)), (1, 2, 4, 1, 4));
    }
}
