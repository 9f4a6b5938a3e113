//! The evaluation loop: every task, level and instruction over the task's sampled examples.
//!
//! One call of [`LanguageModel::generate`] per (task, level, instruction) carries all the sampled prompts, so that a
//! model can share the instruction's prefix and choose its own batches.

use std::collections::HashMap;

use coin_data::prompt::{RELEASED_EVALUATION_MARKER, TRAINING_MARKER};
use coin_data::{DataError, Instance, Prompt, Task};
use serde::{Deserialize, Serialize};

use crate::ledger::{self, Ledger, Record};
use crate::levels::{CLEAN, LEVELS};
use crate::model::{GenerateOptions, Generation, LanguageModel};
use crate::{EvalError, InstructionSet, ModelError, parser, sampling};

/// Whether the released program's quirks are reproduced or fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The same examples at every level, and the training marker. The default; ours.
    #[default]
    Strict,
    /// Each level draws its own examples, and the marker has no line breaks: the released program.
    Paper,
}

impl Preset {
    /// The marker between prompt and answer.
    pub fn marker(self) -> &'static str {
        match self {
            Preset::Strict => TRAINING_MARKER,
            Preset::Paper => RELEASED_EVALUATION_MARKER,
        }
    }
}

/// What to evaluate, and how.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The tasks, in the order in which they are run.
    pub tasks: Vec<Task>,
    /// The perturbation levels. `clean` is run first whatever its place, as cosines refer to it.
    pub levels: Vec<String>,
    /// The instructions of every level.
    pub instructions: InstructionSet,
    /// The most examples per task. 300 in the paper.
    pub samples: usize,
    /// Seed of the choice of examples.
    pub seed: u64,
    /// Which examples levels share.
    pub preset: Preset,
    /// The marker between prompt and answer; [`Preset::marker`] unless set otherwise.
    pub marker: String,
    /// The most tokens to write. 7 in the paper.
    pub max_new_tokens: usize,
    /// Always writes all tokens instead of stopping once the outcome is decided. The outcome is the same.
    pub full_decode: bool,
    /// Whether to compare hidden states with those under the clean instruction (preset `strict` only, as `paper` has
    /// other examples at every level).
    pub hidden: bool,
}

/// The prompts of one call of the model.
struct Batch<'a> {
    task: &'a Task,
    level: &'a str,
    instruction: usize,
    examples: Vec<(usize, usize)>, // row, class
    prompts: Vec<Prompt>,
}

/// The prompt behind each record; see [`Evaluation::input_texts`].
#[derive(Debug, Clone, Default)]
pub struct InputTexts(HashMap<(String, String, usize, usize), String>);

impl InputTexts {
    /// The prompt that `record` answers.
    pub fn get(&self, record: &Record) -> Option<&str> {
        let key = (record.task.clone(), record.level.clone(), record.instruction, record.row);
        self.0.get(&key).map(String::as_str)
    }
}

impl Evaluation {
    /// The paper's evaluation of `tasks` under preset `strict`: five levels, 300 examples, 7 tokens, seed 42, stopping
    /// once decided, with hidden states.
    pub fn new(tasks: Vec<Task>, instructions: InstructionSet) -> Self {
        Evaluation {
            tasks,
            levels: LEVELS.map(str::to_owned).to_vec(),
            instructions,
            samples: 300,
            seed: 42,
            preset: Preset::Strict,
            marker: Preset::Strict.marker().to_owned(),
            max_new_tokens: 7,
            full_decode: false,
            hidden: true,
        }
    }

    /// Runs `model` over everything, appends each batch's records to `ledger` and returns them all.
    ///
    /// `instances` gives all examples of a task. `progress` is called after each batch with the number of generations
    /// done and the number there will be.
    ///
    /// # Errors
    /// Missing instructions, unreadable examples and prompts that cannot be rendered are found before anything is
    /// generated. Then [`EvalError::Model`] if the model fails, and [`EvalError::Io`] if the ledger cannot be written.
    pub fn run(
        &self,
        model: &mut dyn LanguageModel,
        instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>,
        ledger: &mut Ledger,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<Record>, EvalError> {
        let batches = self.plan(instances)?;
        let total = batches.iter().map(|batch| batch.prompts.len()).sum();
        let options = GenerateOptions {
            max_new_tokens: self.max_new_tokens,
            hidden: self.hidden && self.preset == Preset::Strict,
        };
        let settings = format!("max_new_tokens={} full_decode={}", self.max_new_tokens, self.full_decode);
        let fingerprint = model.fingerprint();

        let mut records = Vec::with_capacity(total);
        let mut clean_hidden: HashMap<(&str, usize), Vec<Option<Vec<f32>>>> = HashMap::new();
        progress(0, total);
        for batch in &batches {
            if batch.level == CLEAN {
                clean_hidden.retain(|(task, _), _| *task == batch.task.name);
            }
            let failed = |source| EvalError::Model {
                task: batch.task.name.clone(),
                level: batch.level.to_owned(),
                instruction: batch.instruction,
                source,
            };
            let decided = |text: &str| !self.full_decode && parser::decided(batch.task, text);
            let generations = model.generate_all(&batch.prompts, &options, &decided).map_err(failed)?;
            let reference = match batch.level {
                CLEAN => None,
                _ => clean_hidden.get(&(batch.task.name.as_str(), batch.instruction)),
            };
            let start = records.len();
            for (index, generation) in generations.iter().enumerate() {
                let (row, gold) = batch.examples[index];
                records.push(Record {
                    key: ledger::key(&fingerprint, &batch.prompts[index].render(), &settings),
                    task: batch.task.name.clone(),
                    level: batch.level.to_owned(),
                    instruction: batch.instruction,
                    row,
                    model: fingerprint.clone(),
                    stopped: generation.stopped,
                    margin: generation.margin,
                    shortened: false,
                    likelihoods: None,
                    raw_pred: generation.text.clone(),
                    token_ids: generation.token_ids.clone(),
                    pred: parser::parse(batch.task, &generation.text).map_or(-1, |class| class as i64),
                    gold,
                    cosine_to_clean: reference.and_then(|clean| compare(clean[index].as_deref(), generation)),
                });
            }
            ledger.append(&records[start..])?;
            if batch.level == CLEAN && options.hidden {
                let states = generations.into_iter().map(|generation| generation.hidden).collect();
                clean_hidden.insert((&batch.task.name, batch.instruction), states);
            }
            progress(records.len(), total);
        }
        Ok(records)
    }

    /// The prompt of every record that [`Evaluation::run`] makes, for the result files' `input_text`.
    ///
    /// # Errors
    /// As [`Evaluation::run`] before anything is generated.
    pub fn input_texts(
        &self,
        instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>,
    ) -> Result<InputTexts, EvalError> {
        let mut texts = HashMap::new();
        for batch in self.plan(instances)? {
            for ((row, _), prompt) in batch.examples.into_iter().zip(batch.prompts) {
                texts
                    .insert((batch.task.name.clone(), batch.level.to_owned(), batch.instruction, row), prompt.render());
            }
        }
        Ok(InputTexts(texts))
    }

    /// Finds what [`Evaluation::run`] would stumble over, without generating: missing instructions, unreadable examples,
    /// prompts that the model cannot take.
    ///
    /// # Errors
    /// As [`Evaluation::run`].
    pub fn check(
        &self,
        model: &dyn LanguageModel,
        instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>,
    ) -> Result<(), EvalError> {
        for batch in self.plan(instances)? {
            for prompt in &batch.prompts {
                let failed = |source| EvalError::Model {
                    task: batch.task.name.clone(),
                    level: batch.level.to_owned(),
                    instruction: batch.instruction,
                    source,
                };
                let excess = model.excess(prompt, self.max_new_tokens).map_err(failed)?;
                if excess > 0 {
                    let message =
                        format!("a prompt is {excess} tokens too long for the model: {:.60?}", prompt.render());
                    return Err(failed(ModelError::new(message)));
                }
            }
        }
        Ok(())
    }

    fn plan(&self, instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>) -> Result<Vec<Batch<'_>>, EvalError> {
        if self.samples == 0 || self.max_new_tokens == 0 {
            return Err(EvalError::Invalid("samples and max_new_tokens must be at least 1".to_owned()));
        }
        let mut levels: Vec<&str> = self.levels.iter().map(String::as_str).collect();
        levels.sort_by_key(|level| *level != CLEAN);
        let mut batches = Vec::new();
        for task in &self.tasks {
            for level in &levels {
                self.instructions.get(level, task)?;
            }
        }
        for task in &self.tasks {
            let all = instances(task)?;
            check(task, &all)?;
            for &level in &levels {
                let own = (self.preset == Preset::Paper).then_some(level);
                let examples = sampling::sample(&all, self.samples, self.seed, task, own);
                for (instruction, text) in self.instructions.get(level, task)?.iter().enumerate() {
                    let render = |example: &Instance| {
                        let content = task.content(example)?;
                        Ok(Prompt::new(text.as_str(), content).with_marker(self.marker.as_str()))
                    };
                    let prompts = examples.iter().map(render).collect::<Result<_, DataError>>()?;
                    let examples = examples.iter().map(|example| (example.row, example.label)).collect();
                    batches.push(Batch { task, level, instruction, examples, prompts });
                }
            }
        }
        Ok(batches)
    }
}

/// Refuses what would make the ledger ambiguous: no example, a row twice, a class that the task does not have.
fn check(task: &Task, instances: &[Instance]) -> Result<(), EvalError> {
    if instances.is_empty() {
        return Err(EvalError::Invalid(format!("task `{}` has no examples", task.name)));
    }
    let mut rows = std::collections::HashSet::new();
    for instance in instances {
        task.answer(instance)?;
        if !rows.insert(instance.row) {
            return Err(EvalError::Invalid(format!("task `{}` has two examples with row {}", task.name, instance.row)));
        }
    }
    Ok(())
}

/// Cosine of two hidden states, accumulated in f64; `None` if one is absent or zero, or their sizes differ.
fn compare(clean: Option<&[f32]>, generation: &Generation) -> Option<f32> {
    let (clean, other) = (clean?, generation.hidden.as_deref()?);
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
    use crate::model::{Decided, Finished};

    /// Answers `acceptable` to prompts with `please`, and the right word with a quote otherwise; writes letter by letter.
    struct Fake {
        calls: usize,
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
            finished(prompts.iter().map(answer).enumerate().collect())
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
        let (mut steps, mut model) = (Vec::new(), Fake { calls: 0 });
        let records =
            evaluation.run(&mut model, &instances, &mut ledger, &mut |done, total| steps.push((done, total))).unwrap();
        assert_eq!(ledger::read(ledger.path()).unwrap(), records);
        (records, steps, model.calls)
    }

    #[test]
    fn strict_pairs_levels_and_compares_hidden_states() {
        let (records, steps, calls) = run(&evaluation());
        assert_eq!(calls, 4);
        assert_eq!(steps, [(0, 16), (4, 16), (8, 16), (12, 16), (16, 16)]);
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
        let texts = paper.input_texts(&instances).unwrap();
        assert!(records.iter().all(|record| texts.get(record).unwrap().ends_with("d### Response:")));
    }

    #[test]
    fn what_is_missing_is_found_before_the_model_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path().join("ledger.jsonl")).unwrap();
        let mut model = Fake { calls: 0 };
        let mut wrong = evaluation();
        wrong.levels.push("textfooler".to_owned());
        let error = wrong.run(&mut model, &instances, &mut ledger, &mut |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("no instructions for level `textfooler`"));
        let twice = |task: &Task| Ok([instances(task)?, instances(task)?].concat());
        let error = evaluation().run(&mut model, &twice, &mut ledger, &mut |_, _| ()).unwrap_err();
        assert_eq!(error.to_string(), "task `cola` has two examples with row 0");
        assert_eq!(model.calls, 0);
    }
}
