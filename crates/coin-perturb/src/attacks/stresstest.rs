//! StressTest: a tautology at the end of the instruction (Naik et al., 2018; PromptBench's sentence level).

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::ending;
use crate::Protected;
use crate::attack::{Attack, Level};

/// Appends ` and true is true `, ` and false is not true `, or five repetitions of the first, before the final punctuation.
///
/// If `true` or `false` is a label word, the appended text contains it too. This is part of the attack, and the audit shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StressTest;

/// The texts to append (PromptBench).
const APPENDED: [(&str, usize); 3] =
    [(" and true is true ", 1), (" and false is not true ", 1), (" and true is true ", 5)];

impl Attack for StressTest {
    fn name(&self) -> &'static str {
        "stresstest"
    }

    fn origin(&self) -> &'static str {
        "promptbench::stresstest"
    }

    fn level(&self) -> Level {
        Level::Sentence
    }

    fn perturb(&self, instruction: &str, _protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        let (text, times) = APPENDED.choose(rng).copied().unwrap_or(APPENDED[0]);
        ending::insert(instruction, &text.repeat(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;
    use std::collections::BTreeSet;

    #[test]
    fn one_of_three() {
        let once = " and true is true ";
        let expected: BTreeSet<String> =
            [format!("Go{once}."), "Go and false is not true .".to_owned(), format!("Go{}.", once.repeat(5))].into();
        let found: BTreeSet<String> =
            (0..50).map(|seed| StressTest.perturb("Go.", &Protected::default(), &mut keyed(seed, &[]))).collect();
        assert_eq!(found, expected);
    }
}
