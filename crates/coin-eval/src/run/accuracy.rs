//! The accuracy of a model on some examples of one task, under any instruction. A search for a worse instruction
//! computes it repeatedly.

use coin_data::{DataError, Instance, Prompt, Task};

use crate::EvalError;
use crate::engine::model::{GenerateOptions, Generation, LanguageModel};
use crate::parser::AnswerParser;
use crate::setup::sampling;
use crate::setup::settings::Preset;

/// Examples of a task, ready to be answered under any instruction.
///
/// ```
/// use coin_data::{Instance, Prompt, Task};
/// use coin_eval::{Decided, Finished, GenerateOptions, Generation, LanguageModel, ModelError, TaskAccuracy};
///
/// /// Answers as it is told to in the instruction.
/// struct Obedient;
/// impl LanguageModel for Obedient {
///     fn generate(
///         &mut self,
///         prompts: &[Prompt],
///         _: &GenerateOptions,
///         _: Decided<'_>,
///         finished: Finished<'_>,
///     ) -> Result<(), ModelError> {
///         let answer = |prompt: &Prompt| prompt.instruction.split(':').next().unwrap_or_default().to_owned();
///         let answers = prompts.iter().map(|prompt| Generation { text: answer(prompt), ..Generation::default() });
///         finished(answers.enumerate().collect())
///     }
///     fn fingerprint(&self) -> String {
///         "obedient".to_owned()
///     }
/// }
///
/// let rows: Vec<_> = (0..4).map(|row| Instance::new("cola", row, [("sentence", "It rains.")], usize::from(row > 0))).collect();
/// let accuracy = TaskAccuracy::new(Task::named("cola")?, &rows, 300, 42)?;
/// assert_eq!(accuracy.of(&mut Obedient, "acceptable: ")?, 0.75);
/// assert_eq!(accuracy.of(&mut Obedient, "unacceptable: ")?, 0.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TaskAccuracy {
    task: Task,
    examples: Vec<Instance>,
    options: GenerateOptions,
}

impl TaskAccuracy {
    /// Takes at most `samples` of `instances`: the same ones as an evaluation under preset `strict` with this seed. Seven
    /// tokens are generated, as in the paper.
    ///
    /// # Errors
    /// There are no examples, one lacks a field, or the task's label words cannot be distinguished ([`AnswerParser::check`]).
    pub fn new(task: Task, instances: &[Instance], samples: usize, seed: u64) -> Result<Self, EvalError> {
        if samples == 0 {
            return Err(EvalError::Invalid("samples must be at least 1".to_owned()));
        }
        if instances.is_empty() {
            return Err(EvalError::Invalid(format!("task `{}` has no examples", task.name)));
        }
        AnswerParser::Released.check(&task)?;
        let examples = sampling::sample(instances, samples, seed, &task, None);
        examples.iter().try_for_each(|example| task.content(example).map(|_| ()))?;
        Ok(TaskAccuracy { task, examples, options: GenerateOptions { max_new_tokens: 7, hidden: false } })
    }

    /// Sets the largest number of tokens to generate.
    pub fn with_max_new_tokens(mut self, tokens: usize) -> Self {
        self.options.max_new_tokens = tokens;
        self
    }

    /// Returns the share of examples that `model` answers correctly under `instruction`, from 0 to 1.
    ///
    /// # Errors
    /// [`EvalError::Model`] if the model fails; [`EvalError::Data`] for a placeholder that the task does not have.
    pub fn of(&self, model: &mut dyn LanguageModel, instruction: &str) -> Result<f64, EvalError> {
        Ok(self.of_each(model, &[instruction.to_owned()])?.into_iter().next().unwrap_or_default())
    }

    /// Like [`of`](Self::of) for each of `instructions`, in one call, so that the model can batch them.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_each(&self, model: &mut dyn LanguageModel, instructions: &[String]) -> Result<Vec<f64>, EvalError> {
        let prompts = instructions.iter().flat_map(|instruction| {
            let prompt = |example| Prompt::of_example(instruction, &self.task, example);
            self.examples.iter().map(move |example| Ok(prompt(example)?.with_marker(Preset::Strict.marker())))
        });
        let prompts = prompts.collect::<Result<Vec<Prompt>, DataError>>()?;
        let failed = |source| EvalError::Model {
            task: self.task.name.clone(),
            level: match instructions {
                [only] => format!("instruction {only:?}"),
                several => format!("{} candidates", several.len()),
            },
            instruction: 0,
            source,
        };
        let decided = |text: &str| AnswerParser::Released.decided(&self.task, text);
        let generations = model.generate_all(&prompts, &self.options, &decided).map_err(failed)?;
        let right = |answers: &[Generation]| {
            let pairs = self.examples.iter().zip(answers);
            let right = pairs.filter(|(example, answer)| {
                AnswerParser::Released.parse(&self.task, &answer.text) == Some(example.label)
            });
            right.count() as f64 / self.examples.len() as f64
        };
        Ok(generations.chunks(self.examples.len()).map(right).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelError;
    use crate::engine::model::{Decided, Finished};

    /// Answers `acceptable` if the lengths of instruction and input in bytes add up to an even number.
    #[derive(Default)]
    struct Counting {
        calls: usize,
    }

    impl LanguageModel for Counting {
        fn generate(
            &mut self,
            prompts: &[Prompt],
            _: &GenerateOptions,
            _: Decided<'_>,
            finished: Finished<'_>,
        ) -> Result<(), ModelError> {
            self.calls += 1;
            let answer = |prompt: &Prompt| {
                let even = (prompt.instruction.len() + prompt.input.len()).is_multiple_of(2);
                Generation { text: if even { "acceptable" } else { "no" }.to_owned(), ..Generation::default() }
            };
            finished(prompts.iter().map(answer).enumerate().collect())
        }

        fn fingerprint(&self) -> String {
            "counting".to_owned()
        }
    }

    #[test]
    fn candidates_are_asked_in_one_call_and_scored_apart() {
        let sentence = |row: usize| Instance::new("cola", row, [("sentence", "a".repeat(row + 1))], 1);
        let rows: Vec<Instance> = (0..5).map(sentence).collect();
        let accuracy = TaskAccuracy::new(Task::named("cola").unwrap(), &rows, 300, 42).unwrap();
        let mut model = Counting::default();
        let candidates = ["ab", "abc", "abcd"].map(str::to_owned);
        // Of the input lengths 1 to 5, two are even and three are odd.
        assert_eq!(accuracy.of_each(&mut model, &candidates).unwrap(), [0.4, 0.6, 0.4]);
        assert_eq!(model.calls, 1);
        assert_eq!(accuracy.of(&mut model, "abc").unwrap(), 0.6);
        assert_eq!(accuracy.of_each(&mut model, &[]).unwrap(), [0.0; 0]);
        // A placeholder for the input, and an unknown one.
        assert_eq!(accuracy.of(&mut model, "{content}a").unwrap(), 0.4);
        let message = accuracy.of(&mut model, "{premise}").unwrap_err().to_string();
        assert!(message.contains("unknown placeholder {premise}"), "{message}");
    }
}
