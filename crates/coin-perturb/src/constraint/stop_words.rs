//! Stop words never change (TextAttack, PromptBench; the list is this project's).

use std::ops::Range;

use super::{Constraint, Follower, OfWords};
use crate::Change;
use crate::language::stop_words;

/// Forbids the replacement of function words: articles, pronouns, auxiliaries, prepositions, conjunctions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopWords;

impl Constraint for StopWords {
    fn name(&self) -> &'static str {
        "stop_words"
    }

    fn allows(&self, change: &Change) -> bool {
        change.before.get(change.word.clone()).is_some_and(|word| !stop_words::contains(word))
    }

    fn follow<'a>(&'a self, _: &'a str, _: &[Range<usize>]) -> Option<Box<dyn Follower + 'a>> {
        Some(Box::new(OfWords(|word: &str, _: &str| !stop_words::contains(word))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::with_change;

    #[test]
    fn stop_words_stay() {
        assert!(!with_change("The text", "The", "A", |change| StopWords.allows(change)));
        assert!(with_change("The text", "text", "script", |change| StopWords.allows(change)));
    }
}
