//! Runs a plan: the model answers the prompts that the ledger does not hold yet, and each batch is written before the next.

use std::collections::{HashMap, HashSet};

use coin_core::quote::cut;
use coin_data::{DataError, Instance, Prompt, Task};

use super::ledger::{Ledger, Record};
use super::plan::{Fitted, Plan, Unit};
use crate::EvalError;
use crate::answer_key::answer_key;
use crate::engine::model::{GenerateOptions, Generation, LanguageModel, LogLikelihood, ModelError};
use crate::levels::CLEAN;
use crate::parser::thought;
use crate::setup::settings::{Evaluation, Preset};

/// Identifies an answer within an evaluation: task, level, instruction, row.
type Place = (String, String, usize, usize);

/// Hidden states under one clean instruction, by row.
#[derive(Debug, Default)]
struct CleanStates {
    of: Option<(String, usize)>,
    states: HashMap<usize, Vec<f32>>,
}

impl CleanStates {
    /// Drops the states if they belong to another task or instruction.
    fn turn_to(&mut self, unit: &Unit<'_>) {
        let of = Some((unit.task.name.clone(), unit.instruction));
        if self.of != of {
            *self = CleanStates { of, states: HashMap::new() };
        }
    }
}

/// A run in progress.
struct Run<'r, 'l> {
    plan: &'r Plan<'r>,
    ledger: &'l mut Ledger,
    progress: &'r mut dyn FnMut(usize, usize),
    total: usize,
    records: Vec<Record>,
    clean: CleanStates,
}

/// The unanswered prompts of a unit, each with its record, which lacks only the answer.
#[derive(Default)]
struct Open {
    prompts: Vec<Prompt>,
    records: Vec<Record>,
}

impl Evaluation {
    /// Plans, fits the prompts to `model`, and runs it; see [`Plan::fit`] and [`Plan::run`].
    ///
    /// # Errors
    /// As [`plan`](Self::plan), [`Plan::fit`] and [`Plan::run`]. Errors in the input are found before anything is
    /// generated.
    pub fn run(
        &self,
        model: &mut dyn LanguageModel,
        instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>,
        ledger: &mut Ledger,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Record>, EvalError> {
        let mut plan = self.plan(instances)?;
        plan.fit(model)?;
        plan.run(model, ledger, progress)
    }
}

impl Plan<'_> {
    /// Asks `model` for every answer that `ledger` does not hold, appends the answers batch by batch, and returns all records,
    /// sorted by task, level, instruction and row.
    ///
    /// `progress` is called after each batch with the number of answers so far and the total.
    ///
    /// # Errors
    /// [`EvalError::OtherLedger`] if the ledger holds an answer of another evaluation: another model, prompt or setting, or an
    /// answer that this plan does not request. After that, [`EvalError::Model`] if the model fails, and [`EvalError::Io`] if the ledger
    /// cannot be written; earlier answers remain in the ledger.
    pub fn run(
        &self,
        model: &mut dyn LanguageModel,
        ledger: &mut Ledger,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Record>, EvalError> {
        let fingerprint = model.fingerprint();
        let mut found = self.found(&*model, &fingerprint, ledger)?;
        ledger.repair()?;
        let (total, clean) = (self.total(), CleanStates::default());
        progress(found.len(), total);
        let records = Vec::with_capacity(total);
        let mut run = Run { plan: self, ledger, progress, total, records, clean };
        run.records.extend(found.values().cloned());
        for unit in self.units() {
            let mut open = Open::default();
            for (record, Fitted { prompt, .. }) in self.records_of(&*model, &fingerprint, &unit)? {
                if found.remove(&place(&record)).is_none() {
                    open.prompts.push(prompt);
                    open.records.push(record);
                }
            }
            if !open.prompts.is_empty() {
                run.answer(model, &unit, open)?;
            }
        }
        let mut records = run.records;
        records.sort_by_cached_key(|record| self.order(record));
        Ok(records)
    }

    /// Checks that [`run`](Self::run) would resume `ledger`. Changes nothing.
    ///
    /// # Errors
    /// [`EvalError::OtherLedger`], as [`run`](Self::run).
    pub fn accepts(&self, model: &dyn LanguageModel, ledger: &Ledger) -> Result<(), EvalError> {
        self.found(model, &model.fingerprint(), ledger).map(drop)
    }

    /// Returns the ledger's records after checking that all of them belong to this plan and model.
    fn found(
        &self,
        model: &dyn LanguageModel,
        fingerprint: &str,
        ledger: &Ledger,
    ) -> Result<HashMap<Place, Record>, EvalError> {
        let other = |message: String| Err(EvalError::OtherLedger { path: ledger.path().to_owned(), message });
        let mut found = HashMap::new();
        for (line, record) in ledger.found().iter().enumerate() {
            if record.model != fingerprint {
                let (line, theirs) = (line + 1, cut(&record.model));
                return other(format!(
                    "line {line} was answered by the model `{theirs}`, but this model is `{fingerprint}`"
                ));
            }
            if found.insert(place(record), record.clone()).is_some() {
                return other(format!("line {} is a second answer to {}", line + 1, describe(record)));
            }
        }
        if found.is_empty() {
            return Ok(found);
        }
        let mut asked = 0;
        for unit in self.units() {
            for (record, _) in self.records_of(model, fingerprint, &unit)? {
                match found.get(&place(&record)) {
                    Some(there) if there.key != record.key => {
                        return other(format!(
                            "{} was answered with a different prompt or different settings",
                            describe(&record)
                        ));
                    }
                    Some(there) if there.gold != record.gold => {
                        let (theirs, ours) = (there.gold, record.gold);
                        return other(format!(
                            "{} has class {theirs} in the ledger, but class {ours} in this evaluation",
                            describe(&record)
                        ));
                    }
                    Some(_) => asked += 1,
                    None => {}
                }
            }
        }
        if asked < found.len() {
            let stray = ledger.found().iter().find(|record| self.input_text(record).is_none());
            let example = stray.map_or(String::new(), |record| format!(", such as {}", describe(record)));
            return other(format!(
                "the ledger holds {} answers that this evaluation does not request{example}",
                found.len() - asked
            ));
        }
        Ok(found)
    }

    /// The unit's prompts with their records, which lack only the answers.
    fn records_of(
        &self,
        model: &dyn LanguageModel,
        fingerprint: &str,
        unit: &Unit<'_>,
    ) -> Result<Vec<(Record, Fitted)>, EvalError> {
        let evaluation = self.evaluation;
        let settings = match evaluation.parser.generates() {
            true => format!("max_new_tokens={} full_decode={}", evaluation.max_new_tokens, evaluation.full_decode),
            false => "labels".to_owned(),
        };
        // The words that answers are parsed with are part of the request: other label words give another key.
        let words: Vec<String> =
            unit.task.verbalizer.iter().map(|entry| format!("{}={}", entry.word, entry.class)).collect();
        let (labels, words) = (unit.task.labels.join(","), words.join(","));
        let settings = format!("scorer={} {settings} labels={labels} words={words}", evaluation.parser.name());
        let fitted = self.prompts(model, unit)?;
        let record = |(example, fitted): (&Instance, Fitted)| {
            let record = Record {
                key: answer_key(fingerprint, &fitted.prompt.render(), &settings),
                model: fingerprint.to_owned(),
                task: unit.task.name.clone(),
                level: unit.level.to_owned(),
                instruction: unit.instruction,
                row: example.row,
                parser: evaluation.parser,
                shortened: fitted.shortened,
                pred: -1,
                gold: example.label,
                ..Record::default()
            };
            (record, fitted)
        };
        Ok(unit.examples.iter().zip(fitted).map(record).collect())
    }
}

impl Run<'_, '_> {
    /// Asks the model for the answers of `open` and writes them.
    fn answer(&mut self, model: &mut dyn LanguageModel, unit: &Unit<'_>, open: Open) -> Result<(), EvalError> {
        let evaluation = self.plan.evaluation;
        let parser = evaluation.parser;
        if !parser.generates() {
            let words = &unit.task.labels;
            return self.collect(unit, open.records, |finished| {
                model.log_likelihoods(&open.prompts, words, &mut |batch| {
                    finished(batch, &|record: &mut Record, words: Vec<LogLikelihood>| {
                        record.pred = parser.choose(&words).map_or(-1, |class| class as i64);
                        record.likelihoods = Some(words);
                        None
                    })
                })
            });
        }
        let hidden = evaluation.hidden && evaluation.preset == Preset::Strict;
        let options = GenerateOptions { max_new_tokens: evaluation.max_new_tokens, hidden };
        self.clean.turn_to(unit);
        if hidden && unit.level != CLEAN {
            self.complete_clean_states(model, unit, &open.records)?;
        }
        let clean = std::mem::take(&mut self.clean);
        // A prompt may end with the opening of a thought; the continuation then does not contain it.
        let begins = |(prompt, record): (&Prompt, &Record)| thought::begun(&prompt.render()).then_some(record.row);
        let begun: HashSet<usize> = open.prompts.iter().zip(&open.records).filter_map(begins).collect();
        let any_begun = !begun.is_empty();
        let decided = |text: &str| !evaluation.full_decode && parser.decided_after(unit.task, text, any_begun);
        let outcome = self.collect(unit, open.records, |finished| {
            model.generate(&open.prompts, &options, &decided, &mut |generations| {
                finished(generations, &|record: &mut Record, generation: Generation| {
                    let parsed = parser.parse_after(unit.task, &generation.text, begun.contains(&record.row));
                    record.pred = parsed.class.map_or(-1, |class| class as i64);
                    record.unparsable = parsed.unparsable;
                    record.raw_pred = generation.text;
                    record.token_ids = generation.token_ids;
                    record.stopped = generation.stopped;
                    record.margin = generation.margin;
                    if unit.level != CLEAN {
                        let pair = clean.states.get(&record.row).zip(generation.hidden.as_ref());
                        record.cosine_to_clean = pair.and_then(|(clean, other)| cosine(clean, other));
                        return None;
                    }
                    generation.hidden
                })
            })
        });
        let new = std::mem::replace(&mut self.clean, clean);
        self.clean.states.extend(new.states);
        outcome
    }

    /// Runs `ask`, which passes on finished answers with a function that fills in their records, and appends the records. A state
    /// that this function returns is kept as the state under the clean instruction.
    fn collect<T>(
        &mut self,
        unit: &Unit<'_>,
        blank: Vec<Record>,
        ask: impl FnOnce(&mut Hand<'_, T>) -> Result<(), ModelError>,
    ) -> Result<(), EvalError> {
        let mut blank: Vec<Option<Record>> = blank.into_iter().map(Some).collect();
        let mut broken = None;
        let outcome = ask(&mut |finished, fill| {
            let mut batch = Vec::with_capacity(finished.len());
            for (index, answer) in finished {
                let record = blank.get_mut(index).and_then(Option::take);
                let mut record = record
                    .ok_or_else(|| ModelError::new(format!("prompt {index} does not exist or was answered twice")))?;
                if let Some(state) = fill(&mut record, answer) {
                    self.clean.states.insert(record.row, state);
                }
                batch.push(record);
            }
            self.ledger.append(&batch).map_err(|error| {
                let message = error.to_string();
                broken = Some(error);
                ModelError::new(message)
            })?;
            self.records.extend(batch);
            (self.progress)(self.records.len(), self.total);
            Ok(())
        });
        match (broken, outcome) {
            (Some(error), _) => Err(error),
            (None, Err(source)) => Err(unit.failed(source)),
            (None, Ok(())) => match blank.iter().position(Option::is_some) {
                Some(index) => Err(unit.failed(ModelError::new(format!("prompt {index} was not answered")))),
                None => Ok(()),
            },
        }
    }

    /// Computes the missing states under the clean instruction for the rows of `open`. They are missing if the clean answers
    /// were already in the ledger.
    fn complete_clean_states(
        &mut self,
        model: &mut dyn LanguageModel,
        unit: &Unit<'_>,
        open: &[Record],
    ) -> Result<(), EvalError> {
        if !self.plan.levels.contains(&CLEAN) {
            return Ok(());
        }
        let missing = |row: &usize| !self.clean.states.contains_key(row);
        let rows: std::collections::HashSet<usize> = open.iter().map(|record| record.row).filter(missing).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let clean = Unit { level: CLEAN, ..*unit };
        let wanted = clean.examples.iter().zip(self.plan.prompts(&*model, &clean)?);
        let (rows, prompts): (Vec<usize>, Vec<Prompt>) = wanted
            .filter(|(example, _)| rows.contains(&example.row))
            .map(|(example, fitted)| (example.row, fitted.prompt))
            .unzip();
        let options = GenerateOptions { max_new_tokens: 1, hidden: true };
        let states = model.generate_all(&prompts, &options, &|_| true).map_err(|source| clean.failed(source))?;
        let states = rows.into_iter().zip(states).filter_map(|(row, state)| Some((row, state.hidden?)));
        self.clean.states.extend(states);
        Ok(())
    }
}

/// Takes finished answers and the function that fills each into its record.
type Hand<'a, T> = dyn FnMut(Vec<(usize, T)>, Fill<'_, T>) -> Result<(), ModelError> + 'a;

/// Fills an answer into its record and returns the hidden state to keep.
type Fill<'a, T> = &'a dyn Fn(&mut Record, T) -> Option<Vec<f32>>;

fn place(record: &Record) -> Place {
    (record.task.clone(), record.level.clone(), record.instruction, record.row)
}

fn describe(record: &Record) -> String {
    let Record { task, level, instruction, row, .. } = record;
    let (task, level) = (cut(task), cut(level));
    format!("task `{task}`, level `{level}`, instruction {instruction}, example {row}")
}

/// Cosine of two hidden states; `None` if one is zero or their sizes differ.
fn cosine(clean: &[f32], other: &[f32]) -> Option<f32> {
    if clean.len() != other.len() {
        return None;
    }
    coin_analysis::cosine(clean, other).map(|cosine| cosine as f32)
}

#[cfg(test)]
mod tests;
