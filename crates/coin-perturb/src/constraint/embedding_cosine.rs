//! Similarity of the vectors of two words (Jin et al., 2020; TextAttack, PromptBench).

use std::ops::Range;
use std::sync::Arc;

use super::{Constraint, Follower, OfWords};
use crate::{Change, Neighbors};

/// Requires a minimum cosine between the vectors of word and replacement. If the source does not know the cosine, like a lexicon, the
/// change is allowed.
#[derive(Debug, Clone)]
pub struct EmbeddingCosine {
    /// Minimum cosine; 0.6 in TextFooler (PromptBench).
    pub at_least: f32,
    /// The source of the cosine.
    pub neighbors: Arc<dyn Neighbors>,
}

impl EmbeddingCosine {
    fn is_close(&self, word: &str, replacement: &str) -> bool {
        self.neighbors.cosine(word, replacement).is_none_or(|cosine| cosine >= self.at_least)
    }
}

impl Constraint for EmbeddingCosine {
    fn name(&self) -> &'static str {
        "embedding_cosine"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("at_least", self.at_least.to_string())]
    }

    fn allows(&self, change: &Change) -> bool {
        change.before.get(change.word.clone()).is_some_and(|word| self.is_close(word, change.replacement))
    }

    fn follow<'a>(&'a self, _: &'a str, _: &[Range<usize>]) -> Option<Box<dyn Follower + 'a>> {
        Some(Box::new(OfWords(|word: &str, replacement: &str| self.is_close(word, replacement))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraint::with_change;
    use crate::{Lexicon, WordVectors};

    #[test]
    fn far_words_are_refused_and_unknown_ones_pass() {
        // Cosines with `film`: movie 0.8, reel 0.5.
        let vectors = WordVectors::parse("film 1 0 0\nmovie 0.8 0.6 0\nreel 1 1 1.41421356\n").unwrap();
        let constraint = EmbeddingCosine { at_least: 0.6, neighbors: Arc::new(vectors) };
        let allows = |to| with_change("The Film", "Film", to, |change| constraint.allows(change));
        assert!(allows("Movie") && !allows("Reel") && allows("Lion"));
        let lexicon = EmbeddingCosine { at_least: 0.6, neighbors: Lexicon::built_in() };
        assert!(with_change("film", "film", "reel", |change| lexicon.allows(change)));
    }
}
