//! Scoring in one search: batches, known scores, the budget and the log.

use std::collections::{HashMap, HashSet};

use coin_core::quote::cut;

use super::{Log, Scorer, Search, SearchRecord, Step, Subject};
use crate::{Attack, PerturbError};

/// A text to score, with the word and the replacement that lead to it.
pub(super) struct Text<'a> {
    pub change: Option<(&'a str, &'a str)>,
    pub text: String,
}

/// The scores of the first texts, as many as the budget allowed.
pub(super) struct Scores {
    pub scores: Vec<f64>,
    cached: Vec<bool>,
    /// True if texts were left out.
    pub out_of_budget: bool,
}

/// The search of one instruction.
pub(super) struct Run<'a, S> {
    pub attack: &'a dyn Attack,
    pub subject: &'a Subject<'a>,
    budget: usize,
    batch_size: usize,
    scorer: &'a mut S,
    known: &'a mut HashMap<String, f64>,
    /// Texts of this search. A text that was scored only in an earlier search counts as a query, so that the budget does not depend on
    /// other searches.
    asked: HashSet<String>,
    log: &'a mut Log<'a>,
}

impl<'a, S: Scorer> Run<'a, S> {
    pub fn new(
        search: &Search,
        attack: &'a dyn Attack,
        subject: &'a Subject<'a>,
        scorer: &'a mut S,
        known: &'a mut HashMap<String, f64>,
        log: &'a mut Log<'a>,
    ) -> Run<'a, S> {
        Run {
            attack,
            subject,
            budget: search.query_budget.unwrap_or(usize::MAX),
            batch_size: search.batch_size,
            scorer,
            known,
            asked: HashSet::new(),
            log,
        }
    }

    pub fn queries(&self) -> usize {
        self.asked.len()
    }

    /// The score of the instruction itself.
    pub fn clean(&mut self) -> Result<f64, PerturbError> {
        let clean = [Text { change: None, text: self.subject.instruction.to_owned() }];
        let scores = self.score(&clean)?;
        self.record(Step::Clean, &clean, &scores, None)?;
        // The budget is at least one query.
        Ok(scores.scores[0])
    }

    /// The scores of `texts`, in their order, as far as the budget suffices.
    pub fn score(&mut self, texts: &[Text]) -> Result<Scores, PerturbError> {
        let mut fresh: Vec<String> = Vec::new();
        let mut cached = Vec::with_capacity(texts.len());
        for Text { text, .. } in texts {
            if !self.asked.contains(text) {
                if self.asked.len() == self.budget {
                    break;
                }
                self.asked.insert(text.clone());
                if !self.known.contains_key(text) {
                    fresh.push(text.clone());
                    cached.push(false);
                    continue;
                }
            }
            cached.push(true);
        }
        for batch in fresh.chunks(self.batch_size) {
            self.ask(batch)?;
        }
        let scores = texts[..cached.len()].iter().map(|text| self.known[&text.text]).collect();
        Ok(Scores { scores, out_of_budget: cached.len() < texts.len(), cached })
    }

    fn ask(&mut self, batch: &[String]) -> Result<(), PerturbError> {
        let (attack, Subject { task, index, .. }) = (self.attack.name(), self.subject);
        let failed = |source| PerturbError::Scorer {
            context: format!("{attack}, task `{}`, instruction {index}", cut(task)),
            source,
        };
        let scores = self.scorer.scores(batch).map_err(|error| failed(error.into()))?;
        if scores.len() != batch.len() {
            return Err(failed(format!("{} scores for {} texts", scores.len(), batch.len()).into()));
        }
        for (text, score) in batch.iter().zip(scores) {
            if !score.is_finite() {
                return Err(failed(
                    format!("the score of `{}` is {score}, expected a finite number", cut(text)).into(),
                ));
            }
            self.known.insert(text.clone(), score);
        }
        Ok(())
    }

    /// Logs the texts that were scored.
    pub fn record(
        &mut self,
        step: Step,
        texts: &[Text],
        scores: &Scores,
        accepted: Option<usize>,
    ) -> Result<(), PerturbError> {
        for (place, (text, (score, cached))) in texts.iter().zip(scores.scores.iter().zip(&scores.cached)).enumerate() {
            let record = SearchRecord {
                attack: self.attack.name().to_owned(),
                task: self.subject.task.to_owned(),
                index: self.subject.index,
                step,
                word: text.change.map(|(word, _)| word.to_owned()),
                replacement: text.change.map(|(_, replacement)| replacement.to_owned()),
                candidate: text.text.clone(),
                score: *score,
                accepted: accepted == Some(place),
                cached: *cached,
            };
            (self.log)(&record).map_err(PerturbError::SearchLog)?;
        }
        Ok(())
    }
}
