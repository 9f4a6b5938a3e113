//! Constraints on the change of one word, as in the published attacks.
//!
//! An attack has [`Constraints`]. A search checks them through [`Attack::allows`](crate::Attack::allows), and a frozen perturbation
//! makes only changes that they allow. Two rules are enforced elsewhere: the search changes a word at most once, and
//! [`Protected`](crate::Protected) keeps label words.

mod edit_distance;
mod embedding_cosine;
mod part_of_speech;
mod sentence_similarity;
mod stop_words;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use edit_distance::EditDistance;
pub use embedding_cosine::EmbeddingCosine;
pub use part_of_speech::PartOfSpeech;
pub use sentence_similarity::{Metric, Scope, SentenceSimilarity};
pub use stop_words::StopWords;

use crate::Change;

/// A condition on the replacement of one word.
pub trait Constraint: fmt::Debug + Send + Sync {
    /// Short name, such as `edit_distance`.
    fn name(&self) -> &'static str;

    /// Settings by name, for the recipe.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// True if the constraint allows `change`.
    fn allows(&self, change: &Change) -> bool;

    /// The same condition on many changes to the text `clean`, whose changeable words are at the byte ranges `words`, ascending.
    /// A frozen perturbation uses it if there is one, since [`allows`](Constraint::allows) reads the whole text for each change. Both
    /// must agree. Default none.
    fn follow<'a>(&'a self, clean: &'a str, words: &[Range<usize>]) -> Option<Box<dyn Follower + 'a>> {
        let _ = (clean, words);
        None
    }
}

/// The replacement of one word of a text, as input of a [`Follower`].
#[derive(Debug, Clone)]
pub struct Replacement<'a> {
    /// Position of the word in the list given to [`Constraint::follow`].
    pub index: usize,
    /// The text with all earlier changes.
    pub before: &'a str,
    /// The byte range of the word in `before`; it begins and ends between graphemes.
    pub word: Range<usize>,
    /// The text that replaces the word; in its new place it also begins and ends between graphemes.
    pub with: &'a str,
}

impl Replacement<'_> {
    /// The word that is replaced.
    pub fn word(&self) -> &str {
        self.before.get(self.word.clone()).unwrap_or_default()
    }
}

/// A [`Constraint`] on successive changes to one text, which looks only at the surroundings of each change.
pub trait Follower {
    /// True if the constraint allows the change.
    fn allows(&mut self, change: &Replacement) -> bool;

    /// Called after a change was made, which is then part of the text.
    fn made(&mut self, change: &Replacement) {
        let _ = change;
    }
}

/// A condition on word and replacement alone.
struct OfWords<F>(F);

impl<F: Fn(&str, &str) -> bool> Follower for OfWords<F> {
    fn allows(&mut self, change: &Replacement) -> bool {
        self.0(change.word(), change.with)
    }
}

/// The constraints of an attack. A change must satisfy all of them.
///
/// ```
/// use coin_perturb::constraint::{Constraints, EditDistance, StopWords};
/// let constraints = Constraints::default().with(StopWords).with(EditDistance { at_most: 30 });
/// assert_eq!(constraints.to_string(), "stop_words; edit_distance(at_most=30)");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Constraints(Vec<Arc<dyn Constraint>>);

impl Constraints {
    /// Adds `constraint`.
    #[must_use]
    pub fn with(mut self, constraint: impl Constraint + 'static) -> Constraints {
        self.0.push(Arc::new(constraint));
        self
    }

    /// The constraints, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Constraint> {
        self.0.iter().map(Arc::as_ref)
    }

    /// True if every constraint allows `change`.
    pub fn allow(&self, change: &Change) -> bool {
        self.first_against(change).is_none()
    }

    /// The first constraint that does not allow `change`; `None` if all do.
    pub fn first_against(&self, change: &Change) -> Option<&dyn Constraint> {
        self.0.iter().find(|constraint| !constraint.allows(change)).map(Arc::as_ref)
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, constraint) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            formatter.write_str(constraint.name())?;
            let settings: Vec<String> =
                constraint.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !settings.is_empty() {
                write!(formatter, "({})", settings.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Calls `test` with the change of the word `from` of `clean` into `to`.
#[cfg(test)]
pub(crate) fn with_change<T>(clean: &str, from: &str, to: &str, test: impl FnOnce(&Change) -> T) -> T {
    let start = clean.find(from).unwrap();
    let word = start..start + from.len();
    let after = format!("{}{to}{}", &clean[..word.start], &clean[word.end..]);
    test(&Change { clean, before: clean, word, replacement: to, after: &after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lexicon, SurfaceEncoder};

    fn all() -> Constraints {
        let similarity = |scope| SentenceSimilarity {
            at_least: 0.5,
            metric: Metric::Angular,
            scope,
            encoder: Arc::new(SurfaceEncoder),
        };
        Constraints::default()
            .with(StopWords)
            .with(EditDistance { at_most: 30 })
            .with(PartOfSpeech { verb_noun_swap: true })
            .with(EmbeddingCosine { at_least: 0.6, neighbors: Lexicon::built_in() })
            .with(similarity(Scope::Window(2)))
            .with(similarity(Scope::Whole { min_words: 0 }))
    }

    #[test]
    fn the_first_that_refuses_is_named() {
        let refused = |from, to| {
            with_change("Judge the text", from, to, |change| all().first_against(change).map(Constraint::name))
        };
        assert_eq!(refused("text", "script"), None);
        assert_eq!(refused("the", "a"), Some("stop_words"));
        assert_eq!(refused("text", "a very long replacement of it, by far"), Some("edit_distance"));
        assert_eq!(refused("text", "correctly"), Some("part_of_speech"));
    }

    #[test]
    fn a_range_that_fits_no_word_is_refused_without_a_panic() {
        for word in [2..99, 99..100, 4..4, 1..3] {
            // The second character has two bytes, and the last range cuts it.
            let change =
                Change { clean: "d\u{e9}cide on it", before: "d\u{e9}cide on it", word, replacement: "x", after: "x" };
            for constraint in &all().0 {
                let _ = constraint.allows(&change);
            }
            assert!(
                !Constraints::default().with(StopWords).allow(&change)
                    || change.before.get(change.word.clone()).is_some()
            );
        }
    }
}
