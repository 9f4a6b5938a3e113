//! The semantic level with a model: the model rewrites an instruction, and rules do if it fails (paper, section 4.1).

use std::fmt;
use std::sync::Arc;

use rand::RngCore;
use rand_chacha::ChaCha8Rng;

use super::Paraphrase;
use crate::attack::{Attack, Level};
use crate::{PerturbError, Protected};

/// Rewrites instructions, as a language model does in the paper.
pub trait Rewriter: fmt::Debug + Send + Sync {
    /// A description for the recipe: the model's name and its decoding settings.
    fn describe(&self) -> String;

    /// Returns `instruction` in other words. `seed` determines all random choices: the same two arguments give the same text.
    ///
    /// # Errors
    /// [`PerturbError::Rewrite`] if there is no rewriting.
    fn rewrite(&self, instruction: &str, seed: u64) -> Result<String, PerturbError>;
}

/// A paraphrase by a [`Rewriter`]. If all attempts fail, because the rewriter returns an error, the unchanged instruction, an empty text
/// or a text with changed protected pieces, the rules of [`Paraphrase`] are used instead.
///
/// ```
/// use std::sync::Arc;
/// use coin_perturb::{Attack, ModelParaphrase, PerturbError, Protected, Rewriter};
///
/// #[derive(Debug)]
/// struct Polite;
///
/// impl Rewriter for Polite {
///     fn describe(&self) -> String {
///         "polite".to_owned()
///     }
///
///     fn rewrite(&self, instruction: &str, _: u64) -> Result<String, PerturbError> {
///         Ok(format!("Be so kind: {instruction}"))
///     }
/// }
///
/// let attack = ModelParaphrase::new(Arc::new(Polite));
/// let mut stream = coin_core::stream::keyed(1, &[]);
/// assert_eq!(attack.perturb("say yes or no", &Protected::new(["yes", "no"]), &mut stream), "Be so kind: say yes or no");
/// ```
#[derive(Debug, Clone)]
pub struct ModelParaphrase {
    /// The model.
    pub rewriter: Arc<dyn Rewriter>,
    /// Maximum number of attempts per instruction; default 4 (this project).
    pub attempts: usize,
    /// The rules that are used if all attempts fail.
    pub rules: Paraphrase,
}

impl ModelParaphrase {
    /// The attack with `rewriter`.
    pub fn new(rewriter: Arc<dyn Rewriter>) -> ModelParaphrase {
        ModelParaphrase { rewriter, attempts: 4, rules: Paraphrase::default() }
    }
}

impl Attack for ModelParaphrase {
    fn name(&self) -> &'static str {
        "paraphrase-model"
    }

    fn origin(&self) -> &'static str {
        "coin::paraphrase-model"
    }

    fn level(&self) -> Level {
        Level::Semantic
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("rewriter", self.rewriter.describe()), ("attempts", self.attempts.to_string())];
        settings.extend(self.rules.settings());
        settings
    }

    fn perturb(&self, instruction: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
        for _ in 0..self.attempts {
            // One draw per attempt, whatever its outcome.
            if let Ok(rewritten) = self.rewriter.rewrite(instruction, rng.next_u64())
                && !rewritten.trim().is_empty()
                && rewritten != instruction
                && protected.intact(instruction, &rewritten)
            {
                return rewritten;
            }
        }
        self.rules.perturb(instruction, protected, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;
    use std::sync::Mutex;

    /// Returns the answers one after the other, then fails.
    #[derive(Debug)]
    struct Answers(Mutex<Vec<&'static str>>);

    impl Rewriter for Answers {
        fn describe(&self) -> String {
            "answers".to_owned()
        }

        fn rewrite(&self, _: &str, _: u64) -> Result<String, PerturbError> {
            let mut answers = self.0.lock().unwrap();
            if answers.is_empty() {
                return Err(PerturbError::Rewrite { rewriter: self.describe(), message: "no answer left".to_owned() });
            }
            Ok(answers.remove(0).to_owned())
        }
    }

    fn perturb(answers: &[&'static str]) -> String {
        let attack = ModelParaphrase::new(Arc::new(Answers(Mutex::new(answers.to_vec()))));
        attack.perturb("Decide: yes or no", &Protected::new(["yes", "no"]), &mut keyed(3, &[]))
    }

    #[test]
    fn the_first_sound_rewriting_is_taken() {
        assert_eq!(perturb(&["", "Decide: yes or no", "Yes or not?", "Choose yes or no"]), "Choose yes or no");
    }

    #[test]
    fn rules_stand_in() {
        for answers in [&[][..], &["Choose", "Say yes", "Yes, no, or no", "Decide: yes or no", "Choose yes or no"][..]]
        {
            let text = perturb(answers);
            assert!(
                text.ends_with("yes or no") && !text.starts_with("Choose yes") && text != "Decide: yes or no",
                "{text}"
            );
        }
    }
}
