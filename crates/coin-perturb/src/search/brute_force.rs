//! Brute-force search over all rewritings, for attacks on the sentence and its wording (PromptBench's `BruteForceSearch`).

use coin_core::stream;

use super::scoring::{Run, Text};
use super::{Found, Scorer, Search, Step, Stopped, lowest};
use crate::PerturbError;

pub(super) fn search<S: Scorer>(
    search: &Search,
    seed: u64,
    clean_score: f64,
    run: &mut Run<S>,
) -> Result<Found, PerturbError> {
    let (attack, subject) = (run.attack, run.subject);
    let mut rng = stream::keyed(seed, &["search", attack.name(), subject.task, &subject.index.to_string()]);
    let candidates = attack.candidates(subject.instruction, subject.protected, search.candidates, &mut rng);
    let mut texts: Vec<Text> = candidates.into_iter().map(|text| Text { change: None, text }).collect();
    let scores = run.score(&texts)?;
    let best = lowest(&scores.scores);
    run.record(Step::Candidate, &texts, &scores, best)?;
    let (text, score) = match best {
        Some(best) => (texts.swap_remove(best).text, scores.scores[best]),
        None => (subject.instruction.to_owned(), clean_score),
    };
    let stopped = if search.reached(score) {
        Stopped::Target
    } else if scores.out_of_budget {
        Stopped::Budget
    } else {
        Stopped::Exhausted
    };
    Ok(Found { text, score, stopped })
}
