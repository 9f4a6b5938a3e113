//! The demo world: ten tasks modeled on the ten GLUE tasks, generated from a seeded grammar and lexicon.
//!
//! Every label follows from a rule that a small model can learn. Memorizing examples does not help, because the number of
//! possible instances is far larger than a run ever draws. Approximate sizes, counted from the lexicon (20 names, 10 verbs
//! with a synonym each, 30 objects, 20 places, 7 days, 18 adjectives):
//!
//! | task | rule | possible instances |
//! |---|---|---|
//! | `cola` | one violation of agreement, verb form, determiner, word order or case | about 5 * 10^8 |
//! | `sst2` | sentiment words, negated in a fifth of the examples | about 1.5 * 10^6 |
//! | `mrpc` | zero, one or three content slots of an event replaced | above 10^9 |
//! | `qqp` | zero, one or three content slots of a question replaced | above 10^8 |
//! | `mnli`, `mnli_matched`, `mnli_mismatched` | a detail kept, changed or added, sometimes negated | about 5 * 10^7 per domain |
//! | `qnli` | the context does or does not answer the question | about 3 * 10^7 |
//! | `rte` | one detail taken from the other event, two or three details redrawn, or no change | above 10^10 |
//! | `wnli` | the clause after the pronoun, and in most examples its gender, determine the referent | about 6 * 10^6 |
//!
//! Training and evaluation are disjoint by construction: an instance belongs to evaluation if the hash of its fields is 0
//! modulo 8, and to training otherwise, for any seed and count.

mod acceptability;
mod answering;
mod coreference;
mod event;
mod inference;
mod lexicon;
mod paraphrase;
mod sentiment;
#[cfg(test)]
mod tests;

use coin_core::stream::keyed;
use coin_data::{DataError, Instance, Task};
use lexicon::Domain;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Maximum number of draws for an instance of a class in a split. One in eight draws is for evaluation, so the probability of
/// reaching this limit is below 10^-50.
const ATTEMPTS: usize = 1000;

/// Text fields of an instance, in output order.
type Fields = Vec<(&'static str, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    Training,
    Evaluation,
}

/// A seeded source of instances of the ten GLUE tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    seed: u64,
}

impl World {
    /// Creates the world of `seed`. Grammar and lexicon are the same for all seeds; only the drawn instances differ.
    pub fn new(seed: u64) -> Self {
        World { seed }
    }

    /// Returns the first `count` training instances of `task`. Classes alternate, and `row` counts from 0.
    ///
    /// `mnli`, `mnli_matched` and `mnli_mismatched` all train on the matched domain.
    ///
    /// # Errors
    /// [`DataError::UnknownTask`] unless `task` is one of the ten names of [`Task::glue`].
    ///
    /// ```
    /// let world = coin::demo::World::new(42);
    /// let instances = world.training("rte", 4)?;
    /// assert_eq!(instances.len(), 4);
    /// assert!(instances[0].fields.contains_key("sentence2"));
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn training(&self, task: &str, count: usize) -> Result<Vec<Instance>, DataError> {
        self.draw(task, Split::Training, count)
    }

    /// Returns the first `count` evaluation instances of `task`. None of them is a training instance of any seed.
    ///
    /// `mnli` alternates between the matched and the mismatched domain.
    ///
    /// # Errors
    /// [`DataError::UnknownTask`] unless `task` is one of the ten names of [`Task::glue`].
    ///
    /// ```
    /// let world = coin::demo::World::new(42);
    /// let labels = world.evaluation("mnli", 6)?.iter().map(|instance| instance.label).collect::<Vec<_>>();
    /// assert_eq!(labels, [0, 1, 2, 0, 1, 2]);
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn evaluation(&self, task: &str, count: usize) -> Result<Vec<Instance>, DataError> {
        self.draw(task, Split::Evaluation, count)
    }

    fn draw(&self, task: &str, split: Split, count: usize) -> Result<Vec<Instance>, DataError> {
        let (task, rule) = (Task::named(task)?, Rule::of(task)?);
        (0..count).map(|row| self.instance(&task, rule, split, row)).collect()
    }

    fn instance(&self, task: &Task, rule: Rule, split: Split, row: usize) -> Result<Instance, DataError> {
        let label = row % task.labels.len();
        let split_name = match split {
            Split::Training => "training",
            Split::Evaluation => "evaluation",
        };
        for attempt in 0..ATTEMPTS {
            let key = ["world", &task.name, split_name, &row.to_string(), &attempt.to_string()];
            let mut rng = keyed(self.seed, &key);
            let fields = rule.generate(split, row, label, &mut rng);
            if split_of(&fields) == split {
                return Ok(Instance::new(&task.name, row, fields, label));
            }
        }
        Err(DataError::Invalid(format!("task `{}`, row {row}: found no instance of class {label}", task.name)))
    }
}

/// The rule that generates the instances of a task.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Cola,
    Sst2,
    Mrpc,
    Qqp,
    Mnli,
    MnliMatched,
    MnliMismatched,
    Qnli,
    Rte,
    Wnli,
}

impl Rule {
    fn of(task: &str) -> Result<Self, DataError> {
        Ok(match task {
            "cola" => Rule::Cola,
            "sst2" => Rule::Sst2,
            "mrpc" => Rule::Mrpc,
            "qqp" => Rule::Qqp,
            "mnli" => Rule::Mnli,
            "mnli_matched" => Rule::MnliMatched,
            "mnli_mismatched" => Rule::MnliMismatched,
            "qnli" => Rule::Qnli,
            "rte" => Rule::Rte,
            "wnli" => Rule::Wnli,
            _ => return Err(DataError::Invalid(format!("the demo world has no rule for task `{task}`"))),
        })
    }

    fn generate(self, split: Split, row: usize, label: usize, rng: &mut ChaCha8Rng) -> Fields {
        let other_domain = if split == Split::Evaluation { Domain::Country } else { Domain::Town };
        match self {
            Rule::Cola => acceptability::cola(rng, label == 1),
            Rule::Sst2 => sentiment::sst2(rng, label == 1),
            Rule::Mrpc => paraphrase::mrpc(rng, label == 1),
            Rule::Qqp => paraphrase::qqp(rng, label == 1),
            Rule::Mnli if row % 2 == 1 => inference::mnli(rng, label, other_domain),
            Rule::Mnli | Rule::MnliMatched => inference::mnli(rng, label, Domain::Town),
            Rule::MnliMismatched => inference::mnli(rng, label, other_domain),
            Rule::Qnli => answering::qnli(rng, label == 0),
            Rule::Rte => inference::rte(rng, label == 0),
            Rule::Wnli => coreference::wnli(rng, label == 1),
        }
    }
}

/// Returns the split that an instance belongs to, by the hash of its fields.
fn split_of(fields: &Fields) -> Split {
    let mut hash = Sha256::new();
    for (name, text) in fields {
        for part in [*name, text.as_str()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    if hash.finalize()[0] % 8 == 0 { Split::Evaluation } else { Split::Training }
}

/// Picks one of `options`, which must not be empty.
fn pick<T: Copy>(rng: &mut ChaCha8Rng, options: &[T]) -> T {
    options[rng.random_range(0..options.len())]
}

/// Picks one of `options` that differs from `taken`; there must be one.
fn pick_other<T: Copy + PartialEq>(rng: &mut ChaCha8Rng, options: &[T], taken: T) -> T {
    loop {
        let choice = pick(rng, options);
        if choice != taken {
            return choice;
        }
    }
}

/// True with probability `percent` / 100.
fn chance(rng: &mut ChaCha8Rng, percent: u32) -> bool {
    rng.random_range(0..100) < percent
}
