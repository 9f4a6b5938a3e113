//! TextFooler: chosen words replaced by near neighbors (Jin et al., 2020; PromptBench's word level).

use std::borrow::Cow;

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::attack::{Attack, Level};
use crate::{Lexicon, Protected, words};

/// Replaces chosen content words by neighbors from a [`Lexicon`], in the case of the word replaced.
///
/// The published attack takes neighbors from counter-fitted vectors and keeps those a sentence encoder accepts; here
/// the lexicon holds words that are near enough, so no vectors and no encoder are needed. Words that the lexicon
/// lacks stay.
#[derive(Debug, Clone)]
pub struct TextFooler {
    /// Share of the content words (neither stop words nor protected) to replace, from 0 to 1, as far as the lexicon
    /// has them. Default 0.75 (ours): a published set for GLUE instructions changes about three in four.
    pub share: f64,
    /// The neighbors; default [`Lexicon::built_in`] (ours).
    pub lexicon: Cow<'static, Lexicon>,
}

impl Default for TextFooler {
    fn default() -> Self {
        TextFooler { share: 0.75, lexicon: Cow::Borrowed(Lexicon::built_in()) }
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

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("share", self.share.to_string()), ("lexicon_words", self.lexicon.len().to_string())]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let mut candidates = words::content_words(instruction, protected);
        let content = candidates.len();
        candidates.retain(|word| !self.lexicon.neighbors(word.text).is_empty());
        if candidates.is_empty() {
            return instruction.to_owned();
        }
        let share = (self.share * content as f64 / candidates.len() as f64).min(1.0);
        let mut edits = Vec::with_capacity(candidates.len());
        for index in words::choose(candidates.len(), share, rng) {
            let word = candidates[index];
            let allowed: Vec<&String> =
                self.lexicon.neighbors(word.text).iter().filter(|word| protected.spans(word).is_empty()).collect();
            if let Some(neighbor) = allowed.choose(rng) {
                edits.push((word.range(), words::match_case(neighbor, word.text)));
            }
        }
        words::apply(instruction, protected, edits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_data::stream::keyed;

    fn attack(lexicon: &str, share: f64) -> TextFooler {
        TextFooler { share, lexicon: Cow::Owned(Lexicon::parse(lexicon).unwrap()) }
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
}
