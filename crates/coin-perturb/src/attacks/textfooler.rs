//! TextFooler: chosen words replaced by near neighbors (Jin et al., 2020; PromptBench's word level).

use std::ops::Range;
use std::sync::Arc;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::substitution;
use crate::attack::{Attack, Change, Level, Ranking};
use crate::constraint::{Constraints, EmbeddingCosine, Metric, PartOfSpeech, Scope, SentenceSimilarity, StopWords};
use crate::{Budget, Lexicon, Neighbors, Protected, SurfaceEncoder, words};

/// Replaces chosen content words by neighbors, in the case of the word replaced. A word without neighbors stays.
///
/// The published attack takes the 50 nearest words by counter-fitted vectors. The default here is the built-in lexicon;
/// [`TextFooler::with_neighbors`] takes any other source.
///
/// ```
/// use std::sync::Arc;
/// use coin_perturb::{Attack, Lexicon, Protected, TextFooler};
///
/// let attack = TextFooler::with_neighbors(Arc::new(Lexicon::parse("sentence: phrase, clause")?));
/// let mut stream = coin_core::stream::keyed(7, &[]);
/// assert_eq!(attack.word_candidates("Sentence: ", 0..8, &mut stream), ["Phrase", "Clause"]);
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TextFooler {
    /// The amount of content words (neither stop words nor protected) to replace, as far as they have neighbors.
    /// Default: a share of 0.75 (this project): a published set for GLUE instructions changes about three in four.
    pub budget: Budget,
    /// The source of neighbors; default [`Lexicon::built_in`] (this project).
    pub neighbors: Arc<dyn Neighbors>,
    /// Default: [`StopWords`]; [`PartOfSpeech`], verbs and nouns exchangeable, and [`EmbeddingCosine`] at least 0.6
    /// (PromptBench); [`SentenceSimilarity`] in a window of 15 words, angular, at least 0.86 by [`SurfaceEncoder`]. Window and metric are
    /// PromptBench's; the bound is this project's, and 5 % of PromptBench's published changes lie below it.
    pub constraints: Constraints,
}

impl TextFooler {
    /// The attack with neighbors from another source, and the default constraints.
    pub fn with_neighbors(neighbors: Arc<dyn Neighbors>) -> TextFooler {
        let similarity = SentenceSimilarity {
            at_least: 0.86,
            metric: Metric::Angular,
            scope: Scope::Window(15),
            encoder: Arc::new(SurfaceEncoder),
        };
        let constraints = Constraints::default()
            .with(StopWords)
            .with(PartOfSpeech { verb_noun_swap: true })
            .with(EmbeddingCosine { at_least: 0.6, neighbors: Arc::clone(&neighbors) })
            .with(similarity);
        TextFooler { budget: Budget::Share(0.75), neighbors, constraints }
    }

    fn in_case(&self, word: &str) -> Vec<String> {
        let neighbors = self.neighbors.neighbors(word);
        neighbors.iter().map(|neighbor| words::match_case(&neighbor.word, word)).collect()
    }
}

impl Default for TextFooler {
    fn default() -> Self {
        TextFooler::with_neighbors(Lexicon::built_in())
    }
}

impl Attack for TextFooler {
    fn name(&self) -> &'static str {
        "textfooler"
    }

    fn origin(&self) -> &'static str {
        "promptbench::textfooler"
    }

    fn level(&self) -> Level {
        Level::Word
    }

    fn ranking(&self) -> Ranking {
        Ranking::Delete
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("budget", self.budget.to_string()),
            ("neighbors", self.neighbors.describe()),
            ("constraints", self.constraints.to_string()),
        ]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let propose = |text: &str, word: Range<usize>, rng: &mut ChaCha8Rng| {
            let mut candidates = self.in_case(&text[word]);
            candidates.shuffle(rng);
            candidates
        };
        substitution::substitute(instruction, protected, self.budget, &self.constraints, rng, propose)
    }

    /// The neighbors in the case of the replaced word, nearest first.
    fn word_candidates(&self, instruction: &str, word: Range<usize>, _: &mut ChaCha8Rng) -> Vec<String> {
        instruction.get(word).map_or_else(Vec::new, |word| substitution::distinct(self.in_case(word), word))
    }

    fn allows(&self, change: &Change) -> bool {
        self.constraints.allow(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;

    fn attack(lexicon: &str, share: f64) -> TextFooler {
        TextFooler {
            budget: Budget::Share(share),
            ..TextFooler::with_neighbors(Arc::new(Lexicon::parse(lexicon).unwrap()))
        }
    }

    #[test]
    fn words_are_replaced_in_their_case() {
        let attack = attack("decide: settle\nsentence: phrase", 1.0);
        let perturbed = attack.perturb("Decide on the SENTENCE.", &Protected::default(), &mut keyed(0, &[]));
        assert_eq!(perturbed, "Settle on the PHRASE.");
    }

    #[test]
    fn a_neighbor_that_is_a_label_word_is_not_taken() {
        let attack = attack("same: equivalent, alike", 1.0);
        let protected = Protected::new(["equivalent"]);
        for seed in 0..20 {
            assert_eq!(
                attack.perturb("Same or equivalent?", &protected, &mut keyed(seed, &[])),
                "Alike or equivalent?"
            );
        }
    }

    #[test]
    fn the_share_counts_all_content_words() {
        // Four content words, two in the lexicon: half of four is both.
        let attack = attack("decide: settle\nsentence: phrase", 0.5);
        let perturbed = attack.perturb("Decide: sentence lions tigers", &Protected::default(), &mut keyed(0, &[]));
        assert_eq!(perturbed, "Settle: phrase lions tigers");
    }

    #[test]
    fn a_search_gets_all_neighbors_in_order() {
        let attack = attack("decide: settle, elect, rule", 1.0);
        let candidates = |text: &str| attack.word_candidates(text, 0..text.len(), &mut keyed(0, &[]));
        assert_eq!(candidates("DECIDE"), ["SETTLE", "ELECT", "RULE"]);
        assert!(candidates("ponder").is_empty());
    }
}
