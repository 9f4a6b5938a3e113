//! Frozen perturbation word by word: random words and random replacements, within the constraints.

use std::cell::LazyCell;
use std::ops::Range;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use unicode_segmentation::GraphemeCursor;

use crate::attack::Change;
use crate::constraint::{Constraint, Constraints, Follower, Replacement};
use crate::draft::Draft;
use crate::{Budget, Protected, words};

/// Replaces content words of `instruction` in random order until `budget` is used up. A word is replaced by the first proposal that
/// keeps protected text and that `constraints` allow. A word without such a proposal stays, and another one is tried.
///
/// `propose` receives the current text and the word's byte range in it.
pub(crate) fn substitute(
    instruction: &str,
    protected: &Protected,
    budget: Budget,
    constraints: &Constraints,
    rng: &mut ChaCha8Rng,
    mut propose: impl FnMut(&str, Range<usize>, &mut ChaCha8Rng) -> Vec<String>,
) -> String {
    let mut substitution = Substitution::new(instruction, protected, constraints);
    let count = substitution.draft.len();
    if count == 0 {
        return instruction.to_owned();
    }
    let (mut wanted, mut characters) = (budget.words(count), budget.characters());
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(rng);
    for index in order {
        let draft = &substitution.draft;
        let proposed = propose(draft.text(), draft.range(index), rng);
        let word = draft.word(index).to_owned();
        let replaced = proposed.iter().find_map(|replacement| {
            let left = Budget::spend(characters, &word, replacement)?;
            substitution.replace(index, replacement).then_some(left)
        });
        if let Some(left) = replaced {
            characters = left;
            wanted -= 1;
            if wanted == 0 {
                break;
            }
        }
    }
    substitution.draft.into_text()
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

/// A draft in which only allowed replacements are made. A change is checked by the text around it, so that the work is linear in the
/// length of the instruction and not quadratic.
struct Substitution<'a> {
    clean: &'a str,
    protected: &'a Protected,
    draft: Draft,
    rules: Vec<Rule<'a>>,
    /// True after a change that needed the whole text. From then on, every change is checked on the whole text.
    by_whole: bool,
}

enum Rule<'a> {
    Followed(Box<dyn Follower + 'a>),
    OfTexts(&'a dyn Constraint),
}

impl<'a> Substitution<'a> {
    fn new(clean: &'a str, protected: &'a Protected, constraints: &'a Constraints) -> Substitution<'a> {
        let draft = Draft::new(clean, protected);
        let words: Vec<Range<usize>> = (0..draft.len()).map(|index| draft.range(index)).collect();
        let rule = |constraint: &'a dyn Constraint| {
            constraint.follow(clean, &words).map_or(Rule::OfTexts(constraint), Rule::Followed)
        };
        let rules = constraints.iter().map(rule).collect();
        Substitution { clean, protected, draft, rules, by_whole: false }
    }

    /// Replaces a word if that is allowed. Returns true if it was.
    fn replace(&mut self, index: usize, with: &str) -> bool {
        let (text, word) = (self.draft.text(), self.draft.range(index));
        if with.is_empty() || with == &text[word.clone()] {
            return false;
        }
        let after = LazyCell::new(|| self.draft.text_with(index, with));
        let end = word.start + with.len();
        let is_boundary = |offset| {
            boundary_near(text, &word, with, offset).unwrap_or_else(|| words::is_grapheme_boundary(&after, offset))
        };
        if !is_boundary(word.start) || !is_boundary(end) {
            return false;
        }
        let kept = if self.by_whole { None } else { self.protected.keeps(text, word.clone(), with) };
        if !kept.unwrap_or_else(|| self.protected.intact(self.clean, &after)) {
            return false;
        }
        let replacement = Replacement { index, before: text, word: word.clone(), with };
        for rule in &mut self.rules {
            let allows = match rule {
                Rule::Followed(follower) => follower.allows(&replacement),
                Rule::OfTexts(constraint) => {
                    let (clean, word) = (self.clean, word.clone());
                    constraint.allows(&Change { clean, before: text, word, replacement: with, after: &after })
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
        self.by_whole |= kept.is_none();
        self.draft.replace(index, with);
        true
    }
}

/// True if `offset` lies between graphemes after `with` replaced `word` in `text`; `None` if that depends on distant text.
fn boundary_near(text: &str, word: &Range<usize>, with: &str, offset: usize) -> Option<bool> {
    /// Bytes on either side: emoji sequences are rarely longer.
    const NEAR: usize = 64;
    let begin = text.floor_char_boundary(word.start.saturating_sub(NEAR));
    let end = text.ceil_char_boundary((word.end + NEAR).min(text.len()));
    let near = [&text[begin..word.start], with, &text[word.end..end]].concat();
    GraphemeCursor::new(offset, text.len() - word.len() + with.len(), true).is_boundary(&near, begin).ok()
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
    fn forbidden_proposals_are_skipped() {
        let protected = Protected::new(["yes"]);
        let constraints = Constraints::default().with(EditDistance { at_most: 2 });
        let propose = |_: &str, _: Range<usize>, _: &mut ChaCha8Rng| {
            vec!["yes".to_owned(), "elephants".to_owned(), "lion".to_owned()]
        };
        // The label word and the distant word are rejected; one of two words changes, and nothing is near the other.
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
