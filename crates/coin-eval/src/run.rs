//! Running a plan: the model is asked what the ledger does not hold yet, and every batch is written before the next.

use std::collections::HashMap;

use coin_data::Prompt;

use crate::evaluation::Preset;
use crate::ledger::{self, Ledger, Record};
use crate::levels::CLEAN;
use crate::model::{GenerateOptions, Generation, LanguageModel, ModelError};
use crate::plan::{Fitted, Plan, Unit};
use crate::{EvalError, Likelihood};

/// Names an answer within an evaluation: task, level, instruction, row.
type Place = (String, String, usize, usize);

/// Hidden states under one clean instruction, by row.
#[derive(Debug, Default)]
struct CleanStates {
    of: Option<(String, usize)>,
    states: HashMap<usize, Vec<f32>>,
}

impl CleanStates {
    /// Forgets the states of another task or instruction.
    fn turn_to(&mut self, unit: &Unit<'_>) {
        let of = Some((unit.task.name.clone(), unit.instruction));
        if self.of != of {
            *self = CleanStates { of, states: HashMap::new() };
        }
    }
}

/// A run under way.
struct Run<'r, 'l> {
    plan: &'r Plan<'r>,
    ledger: &'l mut Ledger,
    progress: &'r mut dyn FnMut(usize, usize),
    total: usize,
    records: Vec<Record>,
    clean: CleanStates,
}

/// The prompts of a unit that are still to be answered, each with its record, but for the answer.
#[derive(Default)]
struct Open {
    prompts: Vec<Prompt>,
    records: Vec<Record>,
}

impl Plan<'_> {
    /// Asks `model` for every answer that `ledger` does not hold, appends the answers batch by batch, and returns all records,
    /// sorted by task, level, instruction and row.
    ///
    /// `progress` is called after each batch with the number of answers there are and the number there will be.
    ///
    /// # Errors
    /// [`EvalError::OtherLedger`] if the ledger holds an answer of another evaluation: another model, prompt or setting, or one
    /// that this plan does not ask for. Then [`EvalError::Model`] if the model fails, and [`EvalError::Io`] if the ledger
    /// cannot be written; what was answered before is in the ledger.
    pub fn run(
        &self,
        model: &mut dyn LanguageModel,
        ledger: &mut Ledger,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Record>, EvalError> {
        let fingerprint = model.fingerprint();
        let mut found = self.found(&*model, &fingerprint, ledger)?;
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

    /// What the ledger holds, once it is certain that all of it belongs to this plan and model.
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
                let (line, theirs) = (line + 1, &record.model);
                return other(format!("line {line} was answered by the model `{theirs}`, this one is `{fingerprint}`"));
            }
            if found.insert(place(record), record.clone()).is_some() {
                return other(format!("line {} answers {} a second time", line + 1, describe(record)));
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
                        return other(format!("{} was asked with another prompt or other settings", describe(&record)));
                    }
                    Some(_) => asked += 1,
                    None => {}
                }
            }
        }
        if asked < found.len() {
            let stray = ledger.found().iter().find(|record| self.input_text(record).is_none());
            let example = stray.map_or(String::new(), |record| format!(", such as {}", describe(record)));
            return other(format!("{} of its answers are not asked for now{example}", found.len() - asked));
        }
        Ok(found)
    }

    /// The unit's prompts with their records, but for the answers.
    fn records_of(
        &self,
        model: &dyn LanguageModel,
        fingerprint: &str,
        unit: &Unit<'_>,
    ) -> Result<Vec<(Record, Fitted)>, EvalError> {
        let evaluation = self.evaluation;
        let settings = match evaluation.scorer.generates() {
            true => format!("max_new_tokens={} full_decode={}", evaluation.max_new_tokens, evaluation.full_decode),
            false => "labels".to_owned(),
        };
        let settings = format!("scorer={} {settings}", evaluation.scorer.name());
        let fitted = self.prompts(model, unit)?;
        let record = |(example, fitted): (&coin_data::Instance, Fitted)| {
            let record = Record {
                key: ledger::key(fingerprint, &fitted.prompt.render(), &settings),
                model: fingerprint.to_owned(),
                task: unit.task.name.clone(),
                level: unit.level.to_owned(),
                instruction: unit.instruction,
                row: example.row,
                scorer: evaluation.scorer,
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
        let scorer = evaluation.scorer;
        if !scorer.generates() {
            let words = &unit.task.labels;
            return self.collect(unit, open.records, |finished| {
                model.score(&open.prompts, words, &mut |scored| {
                    finished(scored, &|record: &mut Record, words: Vec<Likelihood>| {
                        record.pred = scorer.choose(&words).map_or(-1, |class| class as i64);
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
        let decided = |text: &str| !evaluation.full_decode && scorer.decided(unit.task, text);
        let outcome = self.collect(unit, open.records, |finished| {
            model.generate(&open.prompts, &options, &decided, &mut |generations| {
                finished(generations, &|record: &mut Record, generation: Generation| {
                    let class = scorer.parse(unit.task, &generation.text);
                    record.pred = class.map_or(-1, |class| class as i64);
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

    /// Runs `ask`, which hands over finished answers with how they fill their record in, and appends the records. A state that
    /// filling in returns is kept as one under the clean instruction.
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
                let mut record =
                    record.ok_or_else(|| ModelError::new(format!("prompt {index} is none, or was answered twice")))?;
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

    /// The states under the clean instruction that the answers `open` are compared with, computed where the clean answers
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

/// Takes finished answers and how one fills its record in.
type Hand<'a, T> = dyn FnMut(Vec<(usize, T)>, Fill<'_, T>) -> Result<(), ModelError> + 'a;

/// Fills an answer into its record; returns the hidden state that is to be kept.
type Fill<'a, T> = &'a dyn Fn(&mut Record, T) -> Option<Vec<f32>>;

fn place(record: &Record) -> Place {
    (record.task.clone(), record.level.clone(), record.instruction, record.row)
}

fn describe(record: &Record) -> String {
    let Record { task, level, instruction, row, .. } = record;
    format!("task `{task}`, level `{level}`, instruction {instruction}, example {row}")
}

/// Cosine of two hidden states, accumulated in f64; `None` if one is zero, or their sizes differ.
fn cosine(clean: &[f32], other: &[f32]) -> Option<f32> {
    if clean.len() != other.len() {
        return None;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = dot(clean, other) / (dot(clean, clean).sqrt() * dot(other, other).sqrt());
    cosine.is_finite().then_some(cosine as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Evaluation, LongPrompts};
    use crate::model::{Decided, Finished, Scored};
    use crate::{InstructionSet, Scorer};
    use coin_data::{DataError, Instance, Task};

    /// Answers `acceptable` to prompts with `please`, and the right word with a quote otherwise; writes letter by letter.
    struct Fake {
        calls: usize,
        fails_at: Option<usize>,
    }

    impl LanguageModel for Fake {
        fn generate(
            &mut self,
            prompts: &[Prompt],
            options: &GenerateOptions,
            decided: Decided<'_>,
            finished: Finished<'_>,
        ) -> Result<(), ModelError> {
            self.calls += 1;
            let failure = || ModelError::new("out of memory");
            let answer = |prompt: &Prompt| {
                let prompt = prompt.render();
                let please = prompt.contains("please");
                let right = if prompt.contains("good") { "acceptable" } else { "unacceptable" };
                let mut text = String::new();
                for c in format!("'{}' I think", if please { "acceptable" } else { right }).chars() {
                    if decided(&text) {
                        break;
                    }
                    text.push(c);
                }
                let hidden = options.hidden.then(|| vec![1.0, if please { 1.0 } else { 0.0 }]);
                Generation { token_ids: vec![0; text.len()], text, hidden, ..Generation::default() }
            };
            // One answer at a time, the last first.
            for (index, prompt) in prompts.iter().enumerate().rev() {
                if self.fails_at == Some(0) {
                    return Err(failure());
                }
                self.fails_at = self.fails_at.map(|left| left - 1);
                finished(vec![(index, answer(prompt))])?;
            }
            Ok(())
        }

        fn score(&mut self, prompts: &[Prompt], words: &[String], scored: Scored<'_>) -> Result<(), ModelError> {
            let likely = |prompt: &Prompt, word: &String| {
                let good = prompt.input == "good" && word == "acceptable";
                Likelihood { sum: if good { -1.0 } else { -2.0 }, tokens: word.len() }
            };
            let row = |(index, prompt)| (index, words.iter().map(|word| likely(prompt, word)).collect());
            scored(prompts.iter().enumerate().map(row).collect())
        }

        fn excess(&self, prompt: &Prompt, new_tokens: usize) -> Result<usize, ModelError> {
            Ok((prompt.render().split_whitespace().count() + new_tokens).saturating_sub(20))
        }

        fn fingerprint(&self) -> String {
            "fake".to_owned()
        }
    }

    fn instances(task: &Task) -> Result<Vec<Instance>, DataError> {
        let word = |row: usize| if row.is_multiple_of(2) { "good" } else { "bad" };
        Ok((0..10).map(|row| Instance::new(&task.name, row, [("sentence", word(row))], 1 - row % 2)).collect())
    }

    fn evaluation() -> Evaluation {
        let json = r#"{"clean": {"cola": ["Judge: ", "Say: "]}, "semantic": {"cola": ["Judge please: ", "Tell: "]}}"#;
        let set = InstructionSet::parse(json, "inline").unwrap();
        let mut evaluation = Evaluation::new(vec![Task::named("cola").unwrap()], set);
        evaluation.levels = vec!["semantic".to_owned(), "clean".to_owned()];
        evaluation.samples = 4;
        evaluation
    }

    fn run(evaluation: &Evaluation) -> (Vec<Record>, Vec<(usize, usize)>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
        let (mut steps, mut model) = (Vec::new(), Fake { calls: 0, fails_at: None });
        let records =
            evaluation.run(&mut model, &instances, &mut ledger, &mut |done, total| steps.push((done, total))).unwrap();
        let mut written = ledger::read(ledger.path()).unwrap();
        let plan = evaluation.plan(&instances).unwrap();
        written.sort_by_key(|record| plan.order(record));
        assert_eq!(written, records);
        (records, steps, model.calls)
    }

    #[test]
    fn strict_pairs_levels_and_compares_hidden_states() {
        let (records, steps, calls) = run(&evaluation());
        assert_eq!(calls, 4);
        assert_eq!(steps, (0..=16).map(|done| (done, 16)).collect::<Vec<_>>());
        let rows = |level: &str, instruction| -> Vec<usize> {
            let chosen = records.iter().filter(|r| r.level == level && r.instruction == instruction);
            chosen.map(|r| r.row).collect()
        };
        assert_eq!(rows("clean", 0), rows("semantic", 1));
        for record in &records {
            let please = record.level == "semantic" && record.instruction == 0;
            let cosine = if please { Some(std::f32::consts::FRAC_1_SQRT_2) } else { Some(1.0) };
            match record.level.as_str() {
                CLEAN => assert_eq!(record.cosine_to_clean, None),
                _ => assert!((record.cosine_to_clean.unwrap() - cosine.unwrap()).abs() < 1e-6),
            }
            assert_eq!(record.pred, if please { 1 } else { record.gold as i64 });
            assert!(record.raw_pred.ends_with("cceptable"), "stopped once decided: {}", record.raw_pred);
        }
    }

    #[test]
    fn full_decode_writes_on_and_reads_the_same() {
        let stopped = run(&evaluation()).0;
        let full = run(&Evaluation { full_decode: true, ..evaluation() }).0;
        assert!(full.iter().all(|record| record.raw_pred.ends_with("I think")));
        assert!(stopped.iter().zip(&full).all(|(a, b)| a.pred == b.pred && a.key != b.key));
    }

    #[test]
    fn paper_draws_examples_for_every_level() {
        let paper = Evaluation { preset: Preset::Paper, marker: Preset::Paper.marker().to_owned(), ..evaluation() };
        let records = run(&paper).0;
        let rows = |level: &str| -> Vec<usize> { records.iter().filter(|r| r.level == level).map(|r| r.row).collect() };
        assert_ne!(rows("clean"), rows("semantic"));
        assert!(records.iter().all(|record| record.cosine_to_clean.is_none()));
        let plan = paper.plan(&instances).unwrap();
        assert!(records.iter().all(|record| plan.input_text(record).unwrap().ends_with("d### Response:")));
    }

    #[test]
    fn what_is_missing_is_found_before_the_model_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
        let mut model = Fake { calls: 0, fails_at: None };
        let mut wrong = evaluation();
        wrong.levels.push("textfooler".to_owned());
        let error = wrong.run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("no instructions for level `textfooler`"));
        let twice = |task: &Task| Ok([instances(task)?, instances(task)?].concat());
        let error = evaluation().run(&mut model, &twice, &mut ledger, &mut |_, _| ()).unwrap_err();
        assert_eq!(error.to_string(), "task `cola` has two examples with row 0");
        assert_eq!(model.calls, 0);
    }

    #[test]
    fn a_run_that_broke_anywhere_goes_on_and_ends_alike() {
        let whole = run(&evaluation()).0;
        for broken_after in 0..16 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ledger.jsonl");
            let mut model = Fake { calls: 0, fails_at: Some(broken_after) };
            let mut ledger = Ledger::open(&path).unwrap();
            let error = evaluation().run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap_err();
            assert!(error.to_string().ends_with("out of memory"), "{error}");
            drop(ledger);
            let mut ledger = Ledger::open(&path).unwrap();
            assert_eq!(ledger.found().len(), broken_after);
            let (mut asked, mut model) = (0, Fake { calls: 0, fails_at: None });
            let progress = &mut |done, _| asked = asked.max(done);
            assert_eq!(evaluation().run(&mut model, &instances, &mut ledger, progress).unwrap(), whole);
            assert_eq!((asked, ledger::read(&path).unwrap().len()), (16, 16));
            // A finished evaluation asks nothing.
            drop(ledger);
            let (mut ledger, mut model) = (Ledger::open(&path).unwrap(), Fake { calls: 0, fails_at: Some(0) });
            assert_eq!(evaluation().run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap(), whole);
        }
    }

    #[test]
    fn a_larger_evaluation_takes_over_the_answers_of_a_smaller_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let go = |evaluation: &Evaluation| {
            let mut model = Fake { calls: 0, fails_at: None };
            evaluation.run(&mut model, &instances, &mut Ledger::open(&path).unwrap(), &mut |_, _| ())
        };
        go(&evaluation()).unwrap();
        let large = Evaluation { samples: 6, ..evaluation() };
        assert_eq!(go(&large).unwrap(), run(&large).0);
        let error = go(&evaluation()).unwrap_err().to_string();
        assert!(error.contains("8 of its answers are not asked for now, such as task `cola`"), "{error}");
    }

    #[test]
    fn a_ledger_of_another_evaluation_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let refused = |evaluation: &Evaluation| {
            let (mut model, mut ledger) = (Fake { calls: 0, fails_at: None }, Ledger::open(&path).unwrap());
            let error = evaluation.run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap_err();
            assert_eq!(model.calls, 0);
            error.to_string()
        };
        let records = run(&evaluation()).0;
        Ledger::create(&path).unwrap().append(&records[..3]).unwrap();
        let message = refused(&Evaluation { max_new_tokens: 9, ..evaluation() });
        assert!(message.contains("level `clean`, instruction 0") && message.contains("other settings"), "{message}");
        let theirs = Record { model: "another".to_owned(), ..records[0].clone() };
        Ledger::create(&path).unwrap().append(&[theirs]).unwrap();
        assert!(refused(&evaluation()).contains("line 1 was answered by the model `another`, this one is `fake`"));
        Ledger::create(&path).unwrap().append(&[records[0].clone(), records[0].clone()]).unwrap();
        assert!(refused(&evaluation()).contains("line 2 answers task `cola`"));
    }

    #[test]
    fn label_words_can_be_scored_instead() {
        let records = run(&Evaluation { scorer: Scorer::Likelihood, ..evaluation() }).0;
        assert!(records.iter().all(|record| record.pred == record.gold as i64 && record.raw_pred.is_empty()));
        assert_eq!(records[0].likelihoods.as_ref().unwrap().len(), 2);
        // Per token the longer word wins a tie of sums, whatever the input.
        let records = run(&Evaluation { scorer: Scorer::LikelihoodPerToken, ..evaluation() }).0;
        assert!(records.iter().any(|record| record.gold == 1) && records.iter().any(|record| record.pred == 0));
    }

    #[test]
    fn long_prompts_are_refused_shortened_or_left_out() {
        let long = |task: &Task| {
            let mut all = instances(task)?;
            all[3]
                .fields
                .insert("sentence".to_owned(), "one two three four five six seven eight nine ten eleven".to_owned());
            Ok(all)
        };
        let evaluation = |long_prompts| Evaluation { long_prompts, samples: 10, ..evaluation() };
        let go = |evaluation: &Evaluation| -> Result<(Vec<Record>, usize), EvalError> {
            let folder = tempfile::tempdir().unwrap();
            let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
            let mut model = Fake { calls: 0, fails_at: None };
            let mut plan = evaluation.plan(&long)?;
            plan.fit(&model)?;
            Ok((plan.run(&mut model, &mut ledger, &mut |_, _| ())?, plan.left_out()))
        };
        // 20 words fit: `Judge: ` and the marker have 3, the answer 7, so that ten are left.
        let message = go(&evaluation(LongPrompts::Refuse)).unwrap_err().to_string();
        assert!(message.contains("the prompt of example 3 is 1 tokens too long"), "{message}");
        let (records, left_out) = go(&evaluation(LongPrompts::Shorten)).unwrap();
        assert_eq!((records.len(), left_out), (40, 0));
        assert!(records.iter().all(|record| record.shortened == (record.row == 3)));
        let (records, left_out) = go(&evaluation(LongPrompts::Skip)).unwrap();
        assert_eq!((records.len(), left_out), (36, 1));
        assert!(records.iter().all(|record| record.row != 3));
        let none = Evaluation { max_new_tokens: 18, ..evaluation(LongPrompts::Shorten) };
        assert!(go(&none).unwrap_err().to_string().contains("no word of the input fits"));
    }

    #[test]
    fn system_text_and_demonstrations_are_perturbed_in_place_of_instructions() {
        use coin_data::prompt::{Component, Demonstration};
        let shown = |input: &str| vec![Demonstration { input: input.to_owned(), answer: "acceptable".to_owned() }];
        let mut around = crate::Surroundings::default();
        around.system =
            [("clean", "Be exact."), ("semantic", "Be precise.")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let levels = [("clean".to_owned(), shown("fine")), ("semantic".to_owned(), shown("f1ne"))].into();
        around.demonstrations = [("cola".to_owned(), levels)].into();
        let texts = |component| -> Vec<String> {
            let evaluation = Evaluation { component, surroundings: around.clone(), ..evaluation() };
            let plan = evaluation.plan(&instances).unwrap();
            let text = |unit: Unit<'_>| plan.prompt(&unit, &unit.examples[0]).unwrap().render();
            plan.units().map(text).collect()
        };
        let system = texts(Component::System);
        assert!(system[0].starts_with("Be exact.\n\nJudge: fine\n\n### Response:\nacceptable\n\n"), "{}", system[0]);
        assert!(system[1].starts_with("Be precise.\n\nJudge: fine"), "{}", system[1]);
        assert!(texts(Component::Demonstrations)[1].starts_with("Be exact.\n\nJudge: f1ne"));
        assert!(texts(Component::Instruction)[1].starts_with("Be exact.\n\nJudge please: fine"));
        let evaluation = Evaluation { component: Component::Input, ..evaluation() };
        assert!(evaluation.plan(&instances).unwrap_err().to_string().contains("perturbs the instruction"));
    }
}
