//! The semantic level: another wording of the same instruction, by the rules of this project.
//!
//! The paper rewrites instructions with a language model. Here, three seeded steps do this: rewording of phrases ([`phrases`]),
//! reordering of clauses ([`clauses`]) and another framing of the request ([`framing`]).

mod clauses;
mod framing;
mod phrases;
mod verbs;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use unicode_segmentation::UnicodeSegmentation;

use super::ending;
use crate::attack::{Attack, Level};
use crate::{Protected, words};

/// Rewords an instruction: phrases, order of clauses, imperative or "your task is to ..", roles and politeness.
///
/// If any part of the instruction may change, the words of the result always differ from the instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Paraphrase {
    /// Probability that a known phrase is reworded; default 0.85 (this project).
    pub phrase_rate: f64,
    /// Probability that clauses are reordered if a rule applies; default 0.5 (this project).
    pub clause_rate: f64,
    /// Probability that the request is framed in another way; default 0.6 (this project).
    pub frame_rate: f64,
}

impl Default for Paraphrase {
    fn default() -> Self {
        Paraphrase { phrase_rate: 0.85, clause_rate: 0.5, frame_rate: 0.6 }
    }
}

/// Number of attempts if the steps change nothing, or change protected text.
const ATTEMPTS: usize = 8;

impl Attack for Paraphrase {
    fn name(&self) -> &'static str {
        "semantic"
    }

    fn origin(&self) -> &'static str {
        "coin::semantic"
    }

    fn level(&self) -> Level {
        Level::Semantic
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("phrase_rate", self.phrase_rate.to_string()),
            ("clause_rate", self.clause_rate.to_string()),
            ("frame_rate", self.frame_rate.to_string()),
        ]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let (body, marker) = ending::split_marker(instruction);
        let (core, end) = ending::split_ending(body);
        if words::free_words(core, &protected.spans(core)).is_empty() {
            return instruction.to_owned();
        }
        for attempt in 0..ATTEMPTS {
            let mut text = phrases::reword(core, protected, self.phrase_rate, rng);
            let mut final_end = end.to_owned();
            if rng.random_bool(rate(self.clause_rate)) {
                (text, final_end) = clauses::reorder(&text, &final_end, protected, rng);
            }
            // The last attempts always change the framing, which changes every text.
            if rng.random_bool(rate(self.frame_rate)) || attempt >= ATTEMPTS / 2 {
                text = framing::frame(&text, protected, rng);
            }
            let result = format!("{text}{final_end}{marker}");
            if reworded(instruction, &result) && protected.intact(instruction, &result) {
                return result;
            }
        }
        // Happens only if the words of the rules are label words.
        framing::OPENINGS
            .iter()
            .map(|opening| format!("{opening}{instruction}"))
            .find(|result| protected.intact(instruction, result))
            .unwrap_or_else(|| instruction.to_owned())
    }
}

/// A setting as a probability, for any value.
fn rate(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

fn reworded(before: &str, after: &str) -> bool {
    let lower = |text: &str| text.to_lowercase();
    !lower(before).unicode_words().eq(lower(after).unicode_words())
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;
    use std::collections::BTreeSet;

    #[test]
    fn many_wordings_never_the_same() {
        let protected = Protected::new(["acceptable", "unacceptable"]);
        let clean =
            "Review the sentence below and decide whether it is well put. Answer with 'acceptable' or 'unacceptable': ";
        let found: BTreeSet<String> =
            (0..200).map(|seed| Paraphrase::default().perturb(clean, &protected, &mut keyed(seed, &[]))).collect();
        assert!(found.len() > 50, "{}", found.len());
        assert!(!found.contains(clean));
        assert!(found.iter().all(|text| protected.intact(clean, text)));
    }

    #[test]
    fn unknown_wording_is_framed() {
        let clean = "Lions & tigers";
        for seed in 0..20 {
            let result = Paraphrase::default().perturb(clean, &Protected::default(), &mut keyed(seed, &[]));
            assert!(result.ends_with(clean) && result.len() > clean.len(), "{result}");
        }
    }

    #[test]
    fn label_words_alone_stay() {
        let protected = Protected::new(["yes", "no"]);
        let perturb = |text: &str| Paraphrase::default().perturb(text, &protected, &mut keyed(0, &[]));
        assert_eq!(perturb("Yes, no?"), "Yes, no?");
        assert_eq!(perturb(""), "");
    }
}
