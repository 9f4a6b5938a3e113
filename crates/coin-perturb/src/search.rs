//! Adversarial perturbation: a search for the form of an instruction that hurts one model most.
//!
//! Attacks on characters and words are searched greedily: content words are ranked by the score that is left when
//! the word is masked or deleted, lowest first; in that order every candidate of a word is scored and the best one kept if
//! it lowers the score. Attacks on the sentence and on the wording are searched by brute force over
//! [`Attack::candidates`]. Source: PromptBench (Zhu et al., 2023), which searches so with TextAttack's greedy word importance
//! ranking.

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

/// Settings of a search. `Default` is PromptBench's search, which neither a budget nor a target ends.
///
/// ```
/// use coin_perturb::search::{Search, Subject, no_log};
/// use coin_perturb::{Protected, attack_named};
///
/// // A model that reads the word "grammar" and nothing else.
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
    /// How words are ranked; default `None`: as the attack says ([`Attack::ranking`], PromptBench).
    pub ranking: Option<Ranking>,
    /// The most texts to score for one instruction, the clean one among them; default `None`: no bound (PromptBench).
    pub query_budget: Option<usize>,
    /// Stop once the score is below this; default `None`: go on to the end (PromptBench's target is an accuracy below
    /// 0).
    pub target: Option<f64>,
    /// Rewritings that a brute-force search tries; default 50 (PromptBench's CheckList).
    pub candidates: usize,
    /// The most texts in one call of the scorer; default 32 (ours). It does not change the result.
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
    /// What may not change in it.
    pub protected: &'a Protected,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// The score fell below the target.
    Target,
    /// A text was left that the budget did not allow to score.
    Budget,
    /// Everything was tried.
    Exhausted,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The instruction's score.
    pub clean_score: f64,
    /// The perturbed text's score.
    pub final_score: f64,
    /// The perturbed text; the instruction itself if a greedy search found nothing that lowers the score.
    pub perturbed: String,
    /// Different texts whose score was asked for, the clean one and those of the ranking among them.
    pub queries: usize,
    /// Words changed, see [`words_changed`].
    pub words_changed: usize,
    /// Why the search ended.
    pub stopped: Stopped,
}

impl Search {
    /// The ranking that the attack is searched with; `None` where it is searched by brute force.
    pub fn ranking_for(&self, attack: &dyn Attack) -> Option<Ranking> {
        match attack.level() {
            Level::Character | Level::Word => Some(self.ranking.unwrap_or_else(|| attack.ranking())),
            Level::Sentence | Level::Semantic => None,
        }
    }

    /// Attacks one instruction. Every text is scored once; `log` gets a record of every text considered.
    ///
    /// A greedy search changes a word at most once, takes only changes that [`Attack::allows`] and that leave what is
    /// protected [intact](Protected::intact), and of equal candidates the first. A brute-force search takes the best
    /// candidate even where none scores below the instruction, as PromptBench does; its candidates are as the attack
    /// makes them. The result depends on the seed, attack, task, index and scores, not on the batch size.
    ///
    /// # Errors
    /// [`PerturbError::Search`] for a setting outside its domain; [`PerturbError::Scorer`] where the scorer failed, gave
    /// another number of scores than there were texts or a score that is not finite; [`PerturbError::SearchLog`] where the log failed.
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

    /// [`Search::run`] with the scores that earlier searches with this scorer found.
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

/// The place of the lowest score; of equal ones, the first.
fn lowest(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).reduce(|best, place| if scores[place] < scores[best] { place } else { best })
}

#[cfg(test)]
mod tests;
