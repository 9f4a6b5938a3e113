//! The same part of speech (Jin et al., 2020; TextAttack, PromptBench).

use std::ops::Range;

use super::{Constraint, Follower, OfWords};
use crate::{Change, WordClasses};

/// Requires that word and replacement have the same part of speech. [`WordClasses`] tags both, and a change is allowed if they have a
/// class in common; an unknown word may be a noun, a verb or an adjective. If several words replace one word, the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartOfSpeech {
    /// True to allow that nouns replace verbs and verbs replace nouns; true in TextFooler (PromptBench).
    pub verb_noun_swap: bool,
}

impl PartOfSpeech {
    fn classes(self, word: &str) -> WordClasses {
        let classes = WordClasses::of(word);
        let noun_or_verb = WordClasses::NOUN | WordClasses::VERB;
        if self.verb_noun_swap && classes.meets(noun_or_verb) { classes | noun_or_verb } else { classes }
    }

    fn fits(self, word: &str, replacement: &str) -> bool {
        let last = replacement.split_whitespace().next_back().unwrap_or_default();
        self.classes(word).meets(self.classes(last))
    }
}

impl Constraint for PartOfSpeech {
    fn name(&self) -> &'static str {
        "part_of_speech"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("verb_noun_swap", self.verb_noun_swap.to_string())]
    }

    fn allows(&self, change: &Change) -> bool {
        change.before.get(change.word.clone()).is_some_and(|word| self.fits(word, change.replacement))
    }

    fn follow<'a>(&'a self, _: &'a str, _: &[Range<usize>]) -> Option<Box<dyn Follower + 'a>> {
        Some(Box::new(OfWords(|word: &str, replacement: &str| self.fits(word, replacement))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::with_change;

    #[test]
    fn the_class_stays() {
        let allows = |verb_noun_swap, from, to| {
            with_change(from, from, to, |change| PartOfSpeech { verb_noun_swap }.allows(change))
        };
        assert!(allows(false, "determine", "decide") && allows(false, "sentence", "punishments"));
        assert!(!allows(false, "determine", "sentence") && allows(true, "determine", "sentence"));
        assert!(!allows(true, "sentence", "correctly") && !allows(true, "quickly", "large"));
        assert!(!allows(true, "sentence", "the") && allows(true, "sentence", "zyx"));
        assert!(allows(true, "film", "moving picture"));
    }
}
