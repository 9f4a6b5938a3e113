//! All prompts of an evaluation before it runs: tasks, examples, levels and instructions, divided into units.
//!
//! A unit is one task, level and instruction over at most [`UNIT`] examples. The model receives a unit in one call, so it
//! computes the instruction's prefix once and sorts by length. Prompts are rendered unit by unit, so the memory they take does
//! not grow with the number of examples.

use std::collections::{BTreeSet, HashSet};

use coin_data::{Component, DataError, Instance, Prompt, Task};

use super::ledger::Record;
use crate::EvalError;
use crate::engine::model::{LanguageModel, ModelError};
use crate::levels::CLEAN;
use crate::setup::sampling;
use crate::setup::settings::{Evaluation, LongPrompts, Preset};

/// Maximum number of examples in a unit. It exceeds the paper's 300, so a larger value would gain nothing there, and hidden
/// states are kept for this many examples.
pub const UNIT: usize = 1024;

/// The prompts of an evaluation; made by [`Evaluation::plan`].
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    pub(crate) evaluation: &'a Evaluation,
    /// The levels, `clean` first.
    pub(crate) levels: Vec<&'a str>,
    tasks: Vec<PlannedTask<'a>>,
    left_out: usize,
}

/// A task with its sampled examples.
#[derive(Debug, Clone)]
struct PlannedTask<'a> {
    task: &'a Task,
    instructions: usize,
    /// One list that all levels share, or one for each level.
    examples: Vec<Vec<Instance>>,
}

/// One task, level and instruction over some examples.
#[derive(Debug, Clone, Copy)]
pub struct Unit<'p> {
    /// The task.
    pub task: &'p Task,
    /// The level.
    pub level: &'p str,
    /// Index of the instruction within the level, from 0.
    pub instruction: usize,
    /// The examples.
    pub examples: &'p [Instance],
}

impl Unit<'_> {
    /// Wraps a model error with this unit's task, level and instruction.
    pub(crate) fn failed(&self, source: ModelError) -> EvalError {
        EvalError::Model {
            task: self.task.name.clone(),
            level: self.level.to_owned(),
            instruction: self.instruction,
            source,
        }
    }
}

/// A prompt as the model receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fitted {
    pub prompt: Prompt,
    pub shortened: bool,
}

impl Evaluation {
    /// Plans every prompt of the evaluation. `instances` returns all examples of a task.
    ///
    /// # Errors
    /// Instructions, system text or demonstrations that are missing at a level, examples that cannot be read or rendered, a
    /// duplicate row, or a setting outside its domain.
    pub fn plan(&self, instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>) -> Result<Plan<'_>, EvalError> {
        Plan::new(self, instances)
    }
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        evaluation: &'a Evaluation,
        instances: &dyn Fn(&Task) -> Result<Vec<Instance>, DataError>,
    ) -> Result<Self, EvalError> {
        if evaluation.samples == 0 || evaluation.max_new_tokens == 0 {
            return Err(EvalError::Invalid("samples and max_new_tokens must be at least 1".to_owned()));
        }
        if evaluation.component == Component::Input {
            return Err(EvalError::Invalid(
                "the input cannot be perturbed in an evaluation, expected the instruction, the system text or the demonstrations".to_owned(),
            ));
        }
        let mut levels: Vec<&str> = evaluation.levels.iter().map(String::as_str).collect();
        levels.sort_by_key(|level| *level != CLEAN);
        let mut plan = Plan { evaluation, levels, tasks: Vec::new(), left_out: 0 };
        let mut names = BTreeSet::new();
        for task in &evaluation.tasks {
            if !names.insert(&task.name) {
                return Err(EvalError::Invalid(format!("task `{}` is listed twice", task.name)));
            }
            evaluation.parser.check(task)?;
            for level in &plan.levels {
                plan.instructions(task, level)?;
                evaluation.context.system(plan.level_of(Component::System, level))?;
                evaluation.context.demonstrations(task, plan.level_of(Component::Demonstrations, level))?;
            }
        }
        for task in &evaluation.tasks {
            let all = instances(task)?;
            check(task, &all)?;
            let own: Vec<Option<&str>> = match evaluation.preset {
                Preset::Strict => vec![None],
                Preset::Paper => plan.levels.iter().copied().map(Some).collect(),
            };
            let sample = |level| sampling::sample(&all, evaluation.samples, evaluation.seed, task, level);
            let examples: Vec<Vec<Instance>> = own.into_iter().map(sample).collect();
            for example in examples.iter().flatten() {
                task.content(example)?;
            }
            let instructions =
                plan.instructions(task, CLEAN).or_else(|_| plan.instructions(task, plan.levels[0]))?.len();
            plan.tasks.push(PlannedTask { task, instructions, examples });
        }
        Ok(plan)
    }

    /// The level whose texts a component uses when `level` is run: `level` itself for the perturbed component, else `clean`.
    fn level_of<'b>(&self, component: Component, level: &'b str) -> &'b str {
        if self.evaluation.component == component { level } else { CLEAN }
    }

    fn instructions(&self, task: &Task, level: &str) -> Result<&'a [String], EvalError> {
        self.evaluation.instructions.get(self.level_of(Component::Instruction, level), task)
    }

    /// The part of the prompt that the levels change.
    pub fn component(&self) -> Component {
        self.evaluation.component
    }

    /// Maximum number of tokens generated after each prompt.
    pub fn max_new_tokens(&self) -> usize {
        self.evaluation.max_new_tokens
    }

    /// Total number of answers.
    pub fn total(&self) -> usize {
        self.units().map(|unit| unit.examples.len()).sum()
    }

    /// Number of examples left out because one of their prompts is too long for the model ([`LongPrompts::Skip`]).
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// All units in the order in which they run: by task, examples, instruction, then level (`clean` first).
    pub fn units(&self) -> impl Iterator<Item = Unit<'_>> {
        self.tasks.iter().flat_map(move |planned| {
            let most = planned.examples.iter().map(Vec::len).max().unwrap_or(0);
            (0..most.div_ceil(UNIT)).flat_map(move |chunk| {
                (0..planned.instructions).flat_map(move |instruction| {
                    self.levels.iter().enumerate().filter_map(move |(index, &level)| {
                        let all = planned.examples.get(index).unwrap_or(&planned.examples[0]);
                        let examples = all.chunks(UNIT).nth(chunk)?;
                        Some(Unit { task: planned.task, level, instruction, examples })
                    })
                })
            })
        })
    }

    /// Builds the prompt of one of a unit's examples, regardless of its length.
    ///
    /// # Errors
    /// A field is missing, or this level lacks a text. A plan has already been checked for both.
    pub fn prompt(&self, unit: &Unit<'_>, example: &Instance) -> Result<Prompt, EvalError> {
        let context = &self.evaluation.context;
        let instruction = &self.instructions(unit.task, unit.level)?[unit.instruction];
        let mut prompt =
            Prompt::of_example(instruction, unit.task, example)?.with_marker(self.evaluation.marker.as_str());
        prompt.system = context.system(self.level_of(Component::System, unit.level))?.map(str::to_owned);
        let shown = context.demonstrations(unit.task, self.level_of(Component::Demonstrations, unit.level))?;
        Ok(prompt.with_demonstrations(shown.to_vec())?)
    }

    /// Returns the prompt that `record` answers, before any shortening. `None` if the plan does not contain it.
    pub fn input_text(&self, record: &Record) -> Option<String> {
        let planned = self.tasks.iter().find(|planned| planned.task.name == record.task)?;
        let level = self.levels.iter().position(|level| *level == record.level)?;
        let examples = planned.examples.get(level).unwrap_or(&planned.examples[0]);
        let example = &examples[examples.binary_search_by_key(&record.row, |example| example.row).ok()?];
        let (level, instruction) = (self.levels[level], record.instruction);
        let unit = Unit { task: planned.task, level, instruction, examples: std::slice::from_ref(example) };
        (instruction < planned.instructions).then(|| self.prompt(&unit, example).ok())?.map(|prompt| prompt.render())
    }

    /// The position of `record` in the plan: task, level, instruction, row.
    pub(crate) fn order(&self, record: &Record) -> (usize, usize, usize, usize) {
        let task = self.tasks.iter().position(|planned| planned.task.name == record.task);
        let level = self.levels.iter().position(|level| *level == record.level);
        (task.unwrap_or(usize::MAX), level.unwrap_or(usize::MAX), record.instruction, record.row)
    }

    /// Finds prompts that are too long for `model` before it runs, and handles them according to
    /// [`Evaluation::long_prompts`].
    ///
    /// # Errors
    /// [`EvalError::Model`] if a prompt cannot be tokenized, is too long and refused, or would be too long even without input;
    /// [`EvalError::Invalid`] if no example of a task is left.
    pub fn fit(&mut self, model: &dyn LanguageModel) -> Result<(), EvalError> {
        let mut too_long: HashSet<(String, usize)> = HashSet::new();
        for unit in self.units() {
            for example in unit.examples {
                let prompt = self.prompt(&unit, example)?;
                let excess = self.excess(model, &unit, &prompt)?;
                match self.evaluation.long_prompts {
                    _ if excess == 0 => {}
                    LongPrompts::Refuse => {
                        let (row, text) = (example.row, prompt.render());
                        let message = format!(
                            "the prompt of example {row} is {excess} tokens too long for the model: {text:.60?}"
                        );
                        return Err(unit.failed(ModelError::new(message)));
                    }
                    LongPrompts::Shorten => {
                        self.shorten(model, &unit, prompt)?;
                    }
                    LongPrompts::Skip => {
                        too_long.insert((unit.task.name.clone(), example.row));
                    }
                }
            }
        }
        self.left_out = too_long.len();
        for planned in &mut self.tasks {
            for examples in &mut planned.examples {
                examples.retain(|example| !too_long.contains(&(planned.task.name.clone(), example.row)));
                if examples.is_empty() {
                    let message = format!("task `{}`: every example is too long for the model", planned.task.name);
                    return Err(EvalError::Invalid(message));
                }
            }
        }
        Ok(())
    }

    /// The prompts of a unit as `model` receives them.
    pub(crate) fn prompts(&self, model: &dyn LanguageModel, unit: &Unit<'_>) -> Result<Vec<Fitted>, EvalError> {
        let fitted = |example: &Instance| {
            let prompt = self.prompt(unit, example)?;
            let shorten =
                self.evaluation.long_prompts == LongPrompts::Shorten && self.excess(model, unit, &prompt)? > 0;
            match shorten {
                true => Ok(Fitted { prompt: self.shorten(model, unit, prompt)?, shortened: true }),
                false => Ok(Fitted { prompt, shortened: false }),
            }
        };
        unit.examples.iter().map(fitted).collect()
    }

    fn excess(&self, model: &dyn LanguageModel, unit: &Unit<'_>, prompt: &Prompt) -> Result<usize, EvalError> {
        let new_tokens = match self.evaluation.parser.generates() {
            true => self.evaluation.max_new_tokens,
            // A label word has at most as many tokens as bytes.
            false => unit.task.labels.iter().map(String::len).max().unwrap_or(0),
        };
        model.excess(prompt, new_tokens).map_err(|source| unit.failed(source))
    }

    /// Truncates the prompt's input to as many of its first words as fit.
    fn shorten(&self, model: &dyn LanguageModel, unit: &Unit<'_>, prompt: Prompt) -> Result<Prompt, EvalError> {
        let ends: Vec<usize> = prompt.input.split_whitespace().map(|word| end_of(&prompt.input, word)).collect();
        let with = |words: usize| {
            let end = words.checked_sub(1).map_or(0, |last| ends[last]);
            Prompt { input: prompt.input[..end].to_owned(), ..prompt.clone() }
        };
        // Binary search for the largest number of words that fits: `fits` does, `over` does not.
        let (mut fits, mut over) = (None, ends.len() + 1);
        while fits.map_or(0, |fits| fits + 1) < over {
            let middle = (fits.unwrap_or(0) + over) / 2;
            match middle < ends.len() + 1 && self.excess(model, unit, &with(middle))? == 0 {
                true => fits = Some(middle),
                false => over = middle,
            }
        }
        match fits {
            Some(words) if words > 0 || ends.is_empty() => Ok(with(words)),
            _ => {
                let message = format!(
                    "the prompt is too long for the model even if the input is cut to one word: {:.60?}",
                    prompt.render()
                );
                Err(unit.failed(ModelError::new(message)))
            }
        }
    }
}

/// Byte offset of the end of `word` in `text`, of which it is a slice.
fn end_of(text: &str, word: &str) -> usize {
    word.as_ptr() as usize - text.as_ptr() as usize + word.len()
}

/// Rejects what would make the ledger ambiguous: no examples, a duplicate row, a class that the task does not have.
fn check(task: &Task, instances: &[Instance]) -> Result<(), EvalError> {
    if instances.is_empty() {
        return Err(EvalError::Invalid(format!("task `{}` has no examples", task.name)));
    }
    let mut rows = HashSet::new();
    for instance in instances {
        task.answer(instance)?;
        if !rows.insert(instance.row) {
            return Err(EvalError::Invalid(format!("task `{}` has two examples with row {}", task.name, instance.row)));
        }
    }
    Ok(())
}
