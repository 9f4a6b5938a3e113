//! Frozen perturbation word by word: random words, random replacements, nothing that the constraints forbid.

use std::cell::LazyCell;
use std::ops::Range;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use unicode_segmentation::GraphemeCursor;

use crate::attack::Change;
use crate::constraint::{Constraint, Constraints, Follower, Replacement};
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
    let mut draft = Draft::new(instruction, protected, constraints);
    let count = draft.words.len();
    if count == 0 {
        return draft.text;
    }
    let (mut wanted, mut characters) = (budget.words(count), budget.characters());
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    for index in order {
        let place = draft.words.range(index);
        let proposed = propose(&draft.text, place.clone(), rng);
        let word = draft.text[place].to_owned();
        let replaced = proposed.iter().find_map(|replacement| {
            let left = Budget::spend(characters, &word, replacement)?;
            draft.replace(index, replacement).then_some(left)
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

/// An instruction in which words are being replaced. A change is checked by the text around it, so that the work grows with
/// the length of the instruction and not with its square.
struct Draft<'a> {
    clean: &'a str,
    protected: &'a Protected,
    text: String,
    /// Where the content words of `clean` stand in `text`, ascending.
    words: Places,
    rules: Vec<Rule<'a>>,
    /// Whether a change was made that its surroundings could not judge, after which they can judge no other.
    by_whole: bool,
}

enum Rule<'a> {
    Followed(Box<dyn Follower + 'a>),
    OfTexts(&'a dyn Constraint),
}

impl<'a> Draft<'a> {
    fn new(clean: &'a str, protected: &'a Protected, constraints: &'a Constraints) -> Draft<'a> {
        let words: Vec<Range<usize>> = words::content_words(clean, protected).iter().map(words::Word::range).collect();
        let rule = |constraint: &'a dyn Constraint| {
            constraint.follow(clean, &words).map_or(Rule::OfTexts(constraint), Rule::Followed)
        };
        let rules = constraints.iter().map(rule).collect();
        Draft { clean, protected, text: clean.to_owned(), words: Places::new(words), rules, by_whole: false }
    }

    /// Puts `with` in the place of a word, if that is allowed.
    fn replace(&mut self, index: usize, with: &str) -> bool {
        let word = self.words.range(index);
        if with.is_empty() || with == &self.text[word.clone()] {
            return false;
        }
        let whole = || [&self.text[..word.start], with, &self.text[word.end..]].concat();
        let after = LazyCell::new(whole);
        let end = word.start + with.len();
        let is_boundary = |offset| {
            boundary_near(&self.text, &word, with, offset)
                .unwrap_or_else(|| words::is_grapheme_boundary(&after, offset))
        };
        if !is_boundary(word.start) || !is_boundary(end) {
            return false;
        }
        let told = if self.by_whole { None } else { self.protected.keeps(&self.text, word.clone(), with) };
        if !told.unwrap_or_else(|| self.protected.intact(self.clean, &after)) {
            return false;
        }
        let replacement = Replacement { index, before: &self.text, word: word.clone(), with };
        for rule in &mut self.rules {
            let allows = match rule {
                Rule::Followed(follower) => follower.allows(&replacement),
                Rule::OfTexts(constraint) => {
                    let (before, word) = (&self.text, word.clone());
                    constraint.allows(&Change { clean: self.clean, before, word, replacement: with, after: &after })
                }
            };
            if !allows {
                return false;
            }
        }
        for rule in &mut self.rules {
            if let Rule::Followed(follower) = rule {
                follower.made(&replacement);
            }
        }
        self.by_whole |= told.is_none();
        self.words.resize(index, with.len());
        self.text.replace_range(word, with);
        true
    }
}

/// Whether `offset` lies between graphemes of `text` with `with` in the place of `word`; `None` where more of the text than
/// what is near decides that.
fn boundary_near(text: &str, word: &Range<usize>, with: &str, offset: usize) -> Option<bool> {
    /// Bytes on either side: emoji sequences are rarely longer.
    const NEAR: usize = 64;
    let begin = text.floor_char_boundary(word.start.saturating_sub(NEAR));
    let end = text.ceil_char_boundary((word.end + NEAR).min(text.len()));
    let near = [&text[begin..word.start], with, &text[word.end..end]].concat();
    GraphemeCursor::new(offset, text.len() - word.len() + with.len(), true).is_boundary(&near, begin).ok()
}

/// Ranges of a text whose lengths change.
struct Places {
    at_first: Vec<Range<usize>>,
    lengths: Vec<usize>,
    /// By how much the ranges in parts of the list have grown, as a binary indexed tree.
    grown: Vec<isize>,
}

impl Places {
    fn new(ranges: Vec<Range<usize>>) -> Places {
        let grown = vec![0; ranges.len() + 1];
        Places { lengths: ranges.iter().map(Range::len).collect(), at_first: ranges, grown }
    }

    fn len(&self) -> usize {
        self.lengths.len()
    }

    fn range(&self, index: usize) -> Range<usize> {
        let (mut node, mut grown) = (index, 0);
        while node > 0 {
            grown += self.grown[node];
            node &= node - 1;
        }
        let start = self.at_first[index].start.saturating_add_signed(grown);
        start..start + self.lengths[index]
    }

    fn resize(&mut self, index: usize, length: usize) {
        let grown = length as isize - self.lengths[index] as isize;
        self.lengths[index] = length;
        let mut node = index + 1;
        while node < self.grown.len() {
            self.grown[node] += grown;
            node += node & node.wrapping_neg();
        }
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
