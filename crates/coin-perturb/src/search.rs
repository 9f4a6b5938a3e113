//! Adversarial perturbation: a search for the form of an instruction that hurts one model most.
//!
//! For attacks on characters and words the search is greedy. It ranks the content words by the score without the word (masked or
//! deleted), lowest first. In this order it scores every candidate of a word and keeps the best one if it lowers the score. For
//! attacks on the sentence and on the wording the search tries all [`Attack::candidates`]. Source: PromptBench (Zhu et al., 2023),
//! which uses TextAttack's greedy search with word importance ranking.

mod brute_force;
mod greedy;
mod log;
mod scorer;
mod scoring;
mod set;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::audit::words_changed;
use crate::{Attack, Level, PerturbError, Protected, Ranking};

pub use log::{Log, SearchRecord, Step, json_lines, no_log};
pub use scorer::Scorer;
pub use set::{SearchPlan, SearchedInstruction, SearchedSet, search_set};

/// Settings of a search. `Default` is PromptBench's search, without a query budget and without a target.
///
/// ```
/// use coin_perturb::search::{Search, Subject, no_log};
/// use coin_perturb::{Protected, attack_named};
///
/// // A model that depends only on the word "grammar".
/// let mut scorer = |texts: &[String]| {
///     Ok::<_, String>(texts.iter().map(|text| f64::from(u8::from(text.contains("grammar")))).collect())
/// };
/// let protected = Protected::new(["acceptable", "unacceptable"]);
/// let subject = Subject {
///     task: "cola",
///     index: 0,
///     instruction: "Judge the grammar as 'acceptable' or 'unacceptable': ",
///     protected: &protected,
/// };
/// let attack = attack_named("checklist")?;
/// let outcome = Search::default().run(attack.as_ref(), &subject, 42, &mut scorer, &mut no_log())?;
/// // No string appended at the end makes this model fail.
/// assert_eq!((outcome.clean_score, outcome.final_score), (1.0, 1.0));
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The ranking of words; default `None`: that of the attack ([`Attack::ranking`], PromptBench).
    pub ranking: Option<Ranking>,
    /// Maximum number of texts to score for one instruction, including the clean one; default `None`: unlimited (PromptBench).
    pub query_budget: Option<usize>,
    /// The search stops when the score is below this value; default `None`: it never stops early (PromptBench's target is an accuracy
    /// below 0).
    pub target: Option<f64>,
    /// Number of rewritings that a brute-force search tries; default 50 (PromptBench's CheckList).
    pub candidates: usize,
    /// Maximum number of texts in one call of the scorer; default 32 (this project). It does not change the result.
    pub batch_size: usize,
}

impl Default for Search {
    fn default() -> Self {
        Search { ranking: None, query_budget: None, target: None, candidates: 50, batch_size: 32 }
    }
}

/// The instruction that a search attacks.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The task.
    pub task: &'a str,
    /// Position in the task's list of instructions, from 0.
    pub index: usize,
    /// The instruction.
    pub instruction: &'a str,
    /// The text in it that must not change.
    pub protected: &'a Protected,
}

/// The reason for the end of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// The score fell below the target.
    Target,
    /// The budget did not suffice to score all texts.
    Budget,
    /// All candidates were tried.
    Exhausted,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The instruction's score.
    pub clean_score: f64,
    /// The perturbed text's score.
    pub final_score: f64,
    /// The perturbed text; the instruction itself if a greedy search did not lower the score.
    pub perturbed: String,
    /// Number of different texts scored, including the clean one and those of the ranking.
    pub queries: usize,
    /// Words changed, see [`words_changed`].
    pub words_changed: usize,
    /// The reason for the end of the search.
    pub stopped: Stopped,
}

impl Search {
    /// The ranking in a search with `attack`; `None` for a brute-force search.
    pub fn ranking_for(&self, attack: &dyn Attack) -> Option<Ranking> {
        match attack.level() {
            Level::Character | Level::Word => Some(self.ranking.unwrap_or_else(|| attack.ranking())),
            Level::Sentence | Level::Semantic => None,
        }
    }

    /// Attacks one instruction. Every text is scored once, and `log` receives a record of every text.
    ///
    /// A greedy search changes a word at most once. It makes only changes that [`Attack::allows`] and that leave protected text
    /// [intact](Protected::intact). Of equal candidates it takes the first. A brute-force search takes the best candidate even if none
    /// scores below the instruction, as PromptBench does, and does not check the attack's candidates. The result depends on the seed,
    /// attack, task, index and scores, not on the batch size.
    ///
    /// # Errors
    /// [`PerturbError::Search`] for a setting outside its domain; [`PerturbError::Scorer`] if the scorer failed, returned a wrong number
    /// of scores, or a score that is not finite; [`PerturbError::SearchLog`] if the log failed.
    pub fn run<S: Scorer>(
        &self,
        attack: &dyn Attack,
        subject: &Subject,
        seed: u64,
        scorer: &mut S,
        log: &mut Log,
    ) -> Result<Outcome, PerturbError> {
        self.run_with(attack, subject, seed, scorer, &mut HashMap::new(), log)
    }

    /// Same as [`Search::run`], with the known scores of earlier searches with this scorer.
    fn run_with<S: Scorer>(
        &self,
        attack: &dyn Attack,
        subject: &Subject,
        seed: u64,
        scorer: &mut S,
        scores: &mut HashMap<String, f64>,
        log: &mut Log,
    ) -> Result<Outcome, PerturbError> {
        self.check()?;
        let mut run = scoring::Run::new(self, attack, subject, scorer, scores, log);
        let clean_score = run.clean()?;
        let found = if self.reached(clean_score) {
            Found { text: subject.instruction.to_owned(), score: clean_score, stopped: Stopped::Target }
        } else {
            match self.ranking_for(attack) {
                Some(ranking) => greedy::search(self, ranking, seed, clean_score, &mut run)?,
                None => brute_force::search(self, seed, clean_score, &mut run)?,
            }
        };
        Ok(Outcome {
            clean_score,
            final_score: found.score,
            queries: run.queries(),
            words_changed: words_changed(subject.instruction, &found.text),
            perturbed: found.text,
            stopped: found.stopped,
        })
    }

    fn check(&self) -> Result<(), PerturbError> {
        let zero = |name: &str| Err(PerturbError::Search(format!("{name}: expected at least 1, found 0")));
        match self {
            Search { query_budget: Some(0), .. } => zero("query_budget"),
            Search { candidates: 0, .. } => zero("candidates"),
            Search { batch_size: 0, .. } => zero("batch_size"),
            Search { target: Some(target), .. } if !target.is_finite() => {
                Err(PerturbError::Search(format!("target: expected a finite number, found {target}")))
            }
            _ => Ok(()),
        }
    }

    fn reached(&self, score: f64) -> bool {
        self.target.is_some_and(|target| score < target)
    }
}

/// The best text of a search.
struct Found {
    text: String,
    score: f64,
    stopped: Stopped,
}

/// The index of the lowest score; of equal scores, the first.
fn lowest(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).reduce(|best, place| if scores[place] < scores[best] { place } else { best })
}

#[cfg(test)]
mod tests;
