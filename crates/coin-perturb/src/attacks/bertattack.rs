//! BertAttack: replaces words by the predictions of a masked language model (Li et al., 2020; PromptBench's word level).

use std::ops::Range;
use std::sync::Arc;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::substitution;
use crate::attack::{Attack, Change, Level};
use crate::constraint::{Constraints, Metric, Scope, SentenceSimilarity, StopWords};
use crate::{Budget, InstructionWords, MaskedWords, Protected, SurfaceEncoder, words};

/// Replaces content words by words that fit the context, in the case of the replaced word.
///
/// The published attack uses BERT. The default here is the built-in [`InstructionWords`]; [`BertAttack::with_words`] takes a model. A
/// frozen perturbation draws among the twelve likeliest words (this project). The recombination of word pieces in the published attack
/// is not implemented.
#[derive(Debug, Clone)]
pub struct BertAttack {
    /// The amount of content words (neither stop words nor protected) to replace. Default: a share of 0.65 (this project; no frozen
    /// set of this attack is published, and PromptBench's searches change nine words with it for ten with TextFooler).
    pub budget: Budget,
    /// Number of candidates per word; default 48 (PromptBench).
    pub candidates: usize,
    /// The source of the candidates.
    pub words: Arc<dyn MaskedWords>,
    /// Default: [`StopWords`]; [`SentenceSimilarity`] to the clean instruction, cosine, at least 0.73 by
    /// [`SurfaceEncoder`]. Metric and scope are PromptBench's; the bound is this project's, and 5 % of PromptBench's published prompts
    /// lie below it. It does not apply to instructions of fewer than ten words (this project: one word is too large a part of them).
    pub constraints: Constraints,
}

impl BertAttack {
    /// The attack with words from another source, such as a masked language model.
    pub fn with_words(words: Arc<dyn MaskedWords>) -> BertAttack {
        let similarity = SentenceSimilarity {
            at_least: 0.73,
            metric: Metric::Cosine,
            scope: Scope::Whole { min_words: 10 },
            encoder: Arc::new(SurfaceEncoder),
        };
        let constraints = Constraints::default().with(StopWords).with(similarity);
        BertAttack { budget: Budget::Share(0.65), candidates: 48, words, constraints }
    }
}

impl Default for BertAttack {
    fn default() -> Self {
        BertAttack::with_words(Arc::new(InstructionWords))
    }
}

impl Attack for BertAttack {
    fn name(&self) -> &'static str {
        "bertattack"
    }

    fn origin(&self) -> &'static str {
        "promptbench::bertattack"
    }

    fn level(&self) -> Level {
        Level::Word
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("budget", self.budget.to_string()),
            ("candidates", self.candidates.to_string()),
            ("words", self.words.describe()),
            ("constraints", self.constraints.to_string()),
        ]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let propose = |text: &str, word: Range<usize>, rng: &mut ChaCha8Rng| {
            let mut candidates = self.word_candidates(text, word, rng);
            candidates.truncate(LIKELIEST);
            candidates.shuffle(rng);
            candidates
        };
        substitution::substitute(instruction, protected, self.budget, &self.constraints, rng, propose)
    }

    /// The words of the source, in the case of the replaced word, likeliest first.
    fn word_candidates(&self, instruction: &str, word: Range<usize>, _: &mut ChaCha8Rng) -> Vec<String> {
        let Some(head) = instruction.get(word.clone()) else { return Vec::new() };
        let found = self.words.candidates(instruction, word, self.candidates);
        substitution::distinct(found.iter().map(|found| words::match_case(found, head)).collect(), head)
    }

    fn allows(&self, change: &Change) -> bool {
        self.constraints.allow(change)
    }
}

/// Number of candidates that a frozen perturbation draws from. A search may take an unlikely word because it hurts the model; a random
/// draw from all words would only be less fluent.
const LIKELIEST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;

    /// Knows one context.
    #[derive(Debug)]
    struct Model;

    impl MaskedWords for Model {
        fn describe(&self) -> String {
            "model".to_owned()
        }

        fn candidates(&self, text: &str, word: Range<usize>, count: usize) -> Vec<String> {
            let known = ["settle".to_owned(), "decide".to_owned(), "yes".to_owned()];
            if &text[word] == "Decide" { known.into_iter().take(count).collect() } else { Vec::new() }
        }
    }

    #[test]
    fn the_candidates_are_the_models_in_the_words_case() {
        let attack = BertAttack::with_words(Arc::new(Model));
        assert_eq!(attack.word_candidates("Decide", 0..6, &mut keyed(0, &[])), ["Settle", "Yes"]);
        assert!(attack.word_candidates("Decide", 3..9, &mut keyed(0, &[])).is_empty());
        let attack = BertAttack { constraints: Constraints::default(), budget: Budget::Share(1.0), ..attack };
        let perturbed = attack.perturb("Decide on lions", &Protected::new(["yes"]), &mut keyed(0, &[]));
        assert_eq!(perturbed, "Settle on lions");
        assert!(attack.settings().contains(&("words", "model".to_owned())));
    }

    #[test]
    fn similarity_bounds_the_whole_change() {
        let text = "Read the sentence and decide whether its grammar is 'acceptable' or 'unacceptable': ";
        let protected = Protected::new(["acceptable", "unacceptable"]);
        let changed = |constraints: Constraints| {
            let attack = BertAttack { budget: Budget::Share(1.0), constraints, ..BertAttack::default() };
            let words =
                |seed| crate::audit::words_changed(text, &attack.perturb(text, &protected, &mut keyed(seed, &[])));
            (0..20).map(words).sum::<usize>()
        };
        // Five content words of thirteen, in twenty texts; the default bound leaves some of them unchanged.
        assert_eq!(changed(Constraints::default()), 100);
        assert!((20..100).contains(&changed(BertAttack::default().constraints)));
    }
}
