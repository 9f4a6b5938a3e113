//! Builds the couples of a task from its instances and templates.
//!
//! Per couple: an original template; two different answers; an instance of each; and for both instances a
//! paraphrase. The original template and the paraphrases come from the task's templates that ask for the answer
//! (target `{answer}`); see [`Exclusion`] for the others.
//!
//! Answers are drawn uniformly, so a couple of a task with two answers has one of each, however unevenly the rows
//! are labelled. Within an answer, rows are drawn without replacement in a random order; when they are used up, they
//! are drawn again in another order. (The paper only says that the instance is another one with another output; the
//! rest is ours.)

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::pairs::Pair;
use crate::template::{Exclusion, Template, TemplateSet, fill};
use crate::{DataError, Instance, Task, stream};

/// Builds pairs from templates, with all random choices keyed by a seed.
#[derive(Debug, Clone)]
pub struct PairBuilder<'a> {
    templates: &'a TemplateSet,
    seed: u64,
}

/// What went into the pairs of a task, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairReport {
    /// The task.
    pub task: String,
    /// Pairs built, two a couple.
    pub pairs: usize,
    /// Templates that were drawn from.
    pub templates_used: usize,
    /// Of those, templates with the same text as an earlier one; they are never each other's paraphrase.
    pub templates_repeated: usize,
    /// Templates that were left out.
    pub templates_excluded: usize,
    /// The excluded templates by their place in the task's list, from 0, and why.
    pub exclusions: Vec<(usize, Exclusion)>,
    /// Rows there were.
    pub rows: usize,
    /// Different rows in the pairs.
    pub rows_used: usize,
    /// Draws passed over because the hard negative would have had the same text as its anchor, with another target.
    pub contradictions: usize,
}

impl<'a> PairBuilder<'a> {
    /// A builder that draws from `templates` with `seed`.
    pub fn new(templates: &'a TemplateSet, seed: u64) -> Self {
        PairBuilder { templates, seed }
    }

    /// Builds `pairs` pairs, which is twice the number of couples, from the instances of `task`.
    ///
    /// The result depends on the seed, the task and its instances alone; fewer pairs are a prefix of more.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `pairs` is odd, an instance is of another task, the instances have fewer than two
    /// different answers, or the task fewer than two different usable templates; [`DataError::MissingField`] if an
    /// instance lacks a field of a template.
    ///
    /// ```
    /// use coin_data::pairs::PairBuilder;
    /// use coin_data::template::{Template, TemplateSet};
    /// use coin_data::{Instance, Task};
    /// let templates = ["Is this well formed? {sentence}", "{sentence} Would you call that well formed?"];
    /// let set = TemplateSet::new([("cola", templates.map(|text| Template::new(text, "{answer}")).to_vec())]);
    /// let rows = [
    ///     Instance::new("cola", 0, [("sentence", "The dog ran.")], 1),
    ///     Instance::new("cola", 1, [("sentence", "Dog the ran.")], 0),
    /// ];
    /// let (pairs, report) = PairBuilder::new(&set, 42).build(&Task::named("cola")?, &rows, 2)?;
    /// assert_ne!(pairs[0].targets, pairs[1].targets);
    /// assert_ne!(pairs[0].original_instruction, pairs[0].paraphrased_instruction);
    /// assert_eq!((report.pairs, report.rows_used), (2, 2));
    /// # Ok::<(), coin_data::DataError>(())
    /// ```
    pub fn build(
        &self,
        task: &Task,
        instances: &[Instance],
        pairs: usize,
    ) -> Result<(Vec<Pair>, PairReport), DataError> {
        let name = &task.name;
        let invalid = |message: String| DataError::Invalid(format!("task `{name}`: {message}"));
        if !pairs.is_multiple_of(2) {
            return Err(invalid(format!("{pairs} pairs asked for, expected an even number: every two are a couple")));
        }
        let templates = self.templates.for_task(task)?;
        let exclusions: Vec<(usize, Exclusion)> =
            templates.iter().enumerate().filter_map(|(at, template)| Some((at, template.exclusion()?))).collect();
        let usable: Vec<&Template> = templates.iter().filter(|template| template.exclusion().is_none()).collect();
        let different: BTreeSet<&Template> = usable.iter().copied().collect();
        if different.len() < 2 {
            let found = different.len();
            return Err(invalid(format!(
                "{found} different templates with the target `{{answer}}`, expected at least 2"
            )));
        }
        let mut decks = self.decks(task, instances)?;
        if decks.len() < 2 {
            let found = decks.first().map_or("no rows".to_owned(), |deck| format!("all rows have `{}`", deck.answer));
            return Err(invalid(format!("{found}, expected at least two different answers")));
        }

        let mut report = PairReport {
            task: name.clone(),
            pairs,
            templates_used: usable.len(),
            templates_repeated: usable.len() - different.len(),
            templates_excluded: exclusions.len(),
            exclusions,
            rows: instances.len(),
            rows_used: 0,
            contradictions: 0,
        };
        let mut rows_used = BTreeSet::new();
        let mut built = Vec::with_capacity(pairs);
        for couple in 0..pairs / 2 {
            let mut random = stream::keyed(self.seed, &["couple", name, &couple.to_string()]);
            let original = usable[below(&mut random, usable.len())];
            let first = below(&mut random, decks.len());
            let second = (first + 1 + below(&mut random, decks.len() - 1)) % decks.len();

            let anchor = decks[first].draw(self.seed, name);
            let (text, _) = fill(original, task, &instances[anchor])?;
            let mut negative = decks[second].draw(self.seed, name);
            // Once round the deck and to the end of the next comes past every row.
            let mut tries = 2 * decks[second].rows.len();
            while fill(original, task, &instances[negative])?.0 == text {
                report.contradictions += 1;
                tries -= 1;
                if tries == 0 {
                    let (row, answer) = (instances[anchor].row, &decks[second].answer);
                    return Err(invalid(format!("every row with `{answer}` has the same text as row {row}")));
                }
                negative = decks[second].draw(self.seed, name);
            }
            for at in [anchor, negative] {
                built.push(self.pair(task, &usable, original, &instances[at], couple)?);
                rows_used.insert(at);
            }
        }
        report.rows_used = rows_used.len();
        Ok((built, report))
    }

    /// The instances by answer, in the order of the answers' words.
    fn decks(&self, task: &Task, instances: &[Instance]) -> Result<Vec<Deck>, DataError> {
        let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, instance) in instances.iter().enumerate() {
            if instance.task != task.name {
                let (other, row, name) = (&instance.task, instance.row, &task.name);
                return Err(DataError::Invalid(format!("task `{name}`: row {row} is of the task `{other}`")));
            }
            rows.entry(task.answer(instance)?).or_default().push(at);
        }
        let deck =
            |(answer, rows): (&str, Vec<usize>)| Deck { answer: answer.to_owned(), rows, order: Vec::new(), round: 0 };
        Ok(rows.into_iter().map(deck).collect())
    }

    /// The pair of `instance` in `original` and in a paraphrase of another text.
    fn pair(
        &self,
        task: &Task,
        usable: &[&Template],
        original: &Template,
        instance: &Instance,
        couple: usize,
    ) -> Result<Pair, DataError> {
        let (text, target) = fill(original, task, instance)?;
        let row = instance.row.to_string();
        let mut random = stream::keyed(self.seed, &["positive", &task.name, &row, &couple.to_string()]);
        let mut others: Vec<&Template> = usable.iter().copied().filter(|&other| other != original).collect();
        others.shuffle(&mut random);
        for other in others {
            let (paraphrase, _) = fill(other, task, instance)?;
            if paraphrase != text {
                return Ok(Pair {
                    original_instruction: text,
                    paraphrased_instruction: paraphrase,
                    targets: target.clone(),
                    task: Some(task.name.clone()),
                    keywords: instance.fields.clone().into_iter().chain([("answer".to_owned(), target)]).collect(),
                });
            }
        }
        let (name, template) = (&task.name, original.prompt.replace('\n', "\\n"));
        Err(DataError::Invalid(format!("task `{name}`, row {row}: every template gives the same text as `{template}`")))
    }
}

/// The rows of one answer, drawn without replacement, round after round.
struct Deck {
    answer: String,
    rows: Vec<usize>,
    /// What is left of the current round, the next row last.
    order: Vec<usize>,
    round: usize,
}

impl Deck {
    fn draw(&mut self, seed: u64, task: &str) -> usize {
        if let Some(row) = self.order.pop() {
            return row;
        }
        self.order.clone_from(&self.rows);
        let mut random = stream::keyed(seed, &["rows", task, &self.answer, &self.round.to_string()]);
        self.order.shuffle(&mut random);
        self.round += 1;
        // A deck is made with its first row.
        self.order.pop().unwrap_or(self.rows[0])
    }
}

/// A number below `n`, drawn as u64 so that it is the same on every platform.
fn below(random: &mut impl Rng, n: usize) -> usize {
    random.random_range(0..n as u64) as usize
}
