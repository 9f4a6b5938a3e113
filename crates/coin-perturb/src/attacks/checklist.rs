//! CheckList: a random string at the end of the instruction (Ribeiro et al., 2020; PromptBench's sentence level).

use rand::Rng;
use rand::distr::Alphanumeric;
use rand_chacha::ChaCha8Rng;

use super::ending;
use crate::Protected;
use crate::attack::{Attack, Level};

/// Appends a random string of ASCII letters and digits, before the final punctuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckList {
    /// Number of characters to append; default 10 (paper, PromptBench).
    pub length: usize,
}

impl CheckList {
    /// The longest string that [`attack_within`](crate::attack_within) accepts as a budget: longer than any model's context.
    pub(crate) const LONGEST: usize = 100_000;
}

impl Default for CheckList {
    fn default() -> Self {
        CheckList { length: 10 }
    }
}

impl Attack for CheckList {
    fn name(&self) -> &'static str {
        "checklist"
    }

    fn origin(&self) -> &'static str {
        "promptbench::checklist"
    }

    fn level(&self) -> Level {
        Level::Sentence
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("length", self.length.to_string())]
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        // A short string may be a label word by chance; then another one is drawn.
        for _ in 0..16 {
            let string: String = (0..self.length).map(|_| char::from(rng.sample(Alphanumeric))).collect();
            let perturbed = ending::insert(instruction, &format!(" {string}"));
            if protected.intact(instruction, &perturbed) {
                return perturbed;
            }
        }
        instruction.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;

    #[test]
    fn ten_characters_before_the_colon() {
        let clean = "Is it 'good' or 'bad': ";
        let perturbed = CheckList::default().perturb(clean, &Protected::default(), &mut keyed(3, &[]));
        let middle = perturbed.strip_prefix("Is it 'good' or 'bad' ").and_then(|rest| rest.strip_suffix(": ")).unwrap();
        assert_eq!(middle.len(), 10);
        assert!(middle.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{middle}");
    }

    #[test]
    fn never_a_label_word() {
        let digits = Protected::new((0..10).map(|digit| digit.to_string()));
        for seed in 0..200 {
            let perturbed = CheckList { length: 1 }.perturb("Go.", &digits, &mut keyed(seed, &[]));
            assert!(!perturbed.contains(|character: char| character.is_ascii_digit()), "{perturbed}");
        }
    }
}
