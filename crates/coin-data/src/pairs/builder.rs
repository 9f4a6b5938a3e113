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
//!
//! The two texts of a pair differ in the instruction, or in another component of the prompt ([`Variation`]): then both
//! are written in the original template.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::pairs::negatives::WordIndex;
use crate::pairs::{Negatives, Pair};
use crate::template::{Exclusion, Template, TemplateSet, fill};
use crate::{Component, DataError, Demonstration, Instance, Prompt, Task};
use coin_core::quote::cut;
use coin_core::stream;

/// Builds pairs from templates, with all random choices keyed by a seed.
#[derive(Debug, Clone)]
pub struct PairBuilder<'a> {
    templates: &'a TemplateSet,
    seed: u64,
    paraphrases: usize,
    negatives: Negatives,
    variation: Variation,
}

/// What the two texts of a pair differ in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Variation {
    /// The instruction: another template (the paper's, and the default).
    #[default]
    Instruction,
    /// The system text: another of these, at least two different ones.
    System(Vec<String>),
    /// The worked examples: so many other instances of the task, at least one.
    Demonstrations(usize),
}

impl Variation {
    fn component(&self) -> Component {
        match self {
            Variation::Instruction => Component::Instruction,
            Variation::System(_) => Component::System,
            Variation::Demonstrations(_) => Component::Demonstrations,
        }
    }
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
    /// Rows with the same fields as an earlier one.
    pub duplicates: usize,
    /// Rows that are in no pair because no hard negative can be found: every row with another answer has the same fields.
    pub without_negative: usize,
    /// Rows by answer.
    pub answers: BTreeMap<String, usize>,
}

impl<'a> PairBuilder<'a> {
    /// A builder that draws from `templates` with `seed`.
    pub fn new(templates: &'a TemplateSet, seed: u64) -> Self {
        let (negatives, variation) = (Negatives::Random, Variation::Instruction);
        PairBuilder { templates, seed, paraphrases: 1, negatives, variation }
    }

    /// So many paraphrases of an instance, each a pair of its own with the same original; at least 1, the default. The
    /// couples of an instance and its hard negative follow each other.
    pub fn with_paraphrases(mut self, paraphrases: usize) -> Self {
        self.paraphrases = paraphrases;
        self
    }

    /// How hard negatives are chosen. Default [`Negatives::Random`].
    pub fn with_negatives(mut self, negatives: Negatives) -> Self {
        self.negatives = negatives;
        self
    }

    /// What the two texts of a pair differ in. Default [`Variation::Instruction`].
    pub fn with_variation(mut self, variation: Variation) -> Self {
        self.variation = variation;
        self
    }

    /// Builds `pairs` pairs, which is twice the number of couples, from the instances of `task`.
    ///
    /// The result depends on the seed, the task and its instances alone; fewer pairs are a prefix of more.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `pairs` is odd or no multiple of twice the number of paraphrases, an instance is of another task, the instances have fewer than two
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
        let invalid = |message: String| DataError::Invalid(format!("task `{}`: {message}", cut(name)));
        if !pairs.is_multiple_of(2) {
            return Err(invalid(format!("{pairs} pairs asked for, expected an even number: every two are a couple")));
        }
        if self.paraphrases == 0 {
            return Err(invalid("0 paraphrases asked for, expected at least 1".to_owned()));
        }
        if !pairs.is_multiple_of(self.paraphrases.saturating_mul(2)) {
            let k = self.paraphrases;
            return Err(invalid(format!(
                "{pairs} pairs asked for with {k} paraphrases each, expected a multiple of 2 x {k}"
            )));
        }
        self.check_variation(instances.len()).map_err(invalid)?;
        let templates = self.templates.for_task(task)?;
        let exclusions: Vec<(usize, Exclusion)> =
            templates.iter().enumerate().filter_map(|(at, template)| Some((at, template.exclusion()?))).collect();
        let usable: Vec<&Template> = templates.iter().filter(|template| template.exclusion().is_none()).collect();
        let different: BTreeSet<&Template> = usable.iter().copied().collect();
        let least = if self.variation == Variation::Instruction { self.paraphrases.saturating_add(1) } else { 1 };
        if different.len() < least {
            let found = different.len();
            return Err(invalid(format!(
                "{found} different templates with the target `{{answer}}`, expected at least {least}"
            )));
        }
        let mut decks = self.decks(task, instances)?;
        let answers = decks.iter().map(|deck| (deck.answer.clone(), deck.rows.len())).collect();
        let without_negative = if decks.len() < 2 { 0 } else { take_out_hopeless(&mut decks, instances) };
        decks.retain(|deck| !deck.rows.is_empty());
        if decks.len() < 2 && without_negative > 0 {
            return Err(invalid(format!(
                "every row with another answer has the same text as {without_negative} of the rows; without these, \
                 {} answers are left, expected at least two",
                decks.len()
            )));
        }
        if decks.len() < 2 {
            let found =
                decks.first().map_or("no rows".to_owned(), |deck| format!("all rows have `{}`", cut(&deck.answer)));
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
            duplicates: instances.len() - instances.iter().map(|row| &row.fields).collect::<BTreeSet<_>>().len(),
            without_negative,
            answers,
        };
        let indices: Vec<WordIndex> = match self.negatives {
            Negatives::Random => Vec::new(),
            Negatives::Nearest => decks.iter().map(|deck| WordIndex::new(&deck.rows, instances)).collect(),
        };
        let mut rows_used = BTreeSet::new();
        let mut built = Vec::with_capacity(pairs.min(1 << 20));
        for couple in 0..pairs / 2 / self.paraphrases {
            let mut random = stream::keyed(self.seed, &["couple", name, &couple.to_string()]);
            let original = usable[below(&mut random, usable.len())];
            let first = below(&mut random, decks.len());
            let second = (first + 1 + below(&mut random, decks.len() - 1)) % decks.len();

            let anchor = decks[first].draw(self.seed, name);
            let (text, _) = fill(original, task, &instances[anchor])?;
            let contradicts = |row: usize| Ok::<_, DataError>(fill(original, task, &instances[row])?.0 == text);
            let mut negative = None;
            for place in indices.get(second).map(|index| index.nearest(&instances[anchor])).unwrap_or_default() {
                let row = decks[second].rows[place];
                match contradicts(row)? {
                    true => report.contradictions += 1,
                    false => {
                        negative = Some(row);
                        break;
                    }
                }
            }
            // Once round the deck and to the end of the next comes past every row.
            for _ in 0..2 * decks[second].rows.len() + 1 {
                if negative.is_some() {
                    break;
                }
                let row = decks[second].draw(self.seed, name);
                match contradicts(row)? {
                    true => report.contradictions += 1,
                    false => negative = Some(row),
                }
            }
            let Some(negative) = negative else {
                let (row, answer) = (instances[anchor].row, cut(&decks[second].answer));
                return Err(invalid(format!("every row with `{answer}` has the same text as row {row}")));
            };
            let mut sides = Vec::with_capacity(2);
            for at in [anchor, negative] {
                sides.push(self.pairs_of(task, &usable, original, instances, at, couple)?);
                rows_used.insert(at);
            }
            let [of_anchor, of_negative] = [sides.remove(0), sides.remove(0)];
            built.extend(of_anchor.into_iter().zip(of_negative).flat_map(|(anchor, negative)| [anchor, negative]));
        }
        report.rows_used = rows_used.len();
        Ok((built, report))
    }

    /// The instances by answer, in the order of the answers' words.
    fn decks(&self, task: &Task, instances: &[Instance]) -> Result<Vec<Deck>, DataError> {
        let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, instance) in instances.iter().enumerate() {
            if instance.task != task.name {
                let (other, row, name) = (cut(&instance.task), instance.row, cut(&task.name));
                return Err(DataError::Invalid(format!("task `{name}`: row {row} is of the task `{other}`")));
            }
            rows.entry(task.answer(instance)?).or_default().push(at);
        }
        let deck =
            |(answer, rows): (&str, Vec<usize>)| Deck { answer: answer.to_owned(), rows, order: Vec::new(), round: 0 };
        Ok(rows.into_iter().map(deck).collect())
    }

    fn check_variation(&self, rows: usize) -> Result<(), String> {
        match &self.variation {
            Variation::Instruction => Ok(()),
            Variation::System(texts) => {
                let different = texts.iter().collect::<BTreeSet<_>>().len();
                match different > self.paraphrases {
                    true => Ok(()),
                    false => {
                        let least = self.paraphrases.saturating_add(1);
                        Err(format!("{different} different system texts, expected at least {least}"))
                    }
                }
            }
            Variation::Demonstrations(0) => Err("0 demonstrations, expected at least 1".to_owned()),
            Variation::Demonstrations(count) if rows <= *count => {
                Err(format!("{rows} rows, expected more than the {count} demonstrations"))
            }
            Variation::Demonstrations(_) => Ok(()),
        }
    }

    /// The pairs of row `at`, one a paraphrase: texts that differ from the original and from each other.
    fn pairs_of(
        &self,
        task: &Task,
        usable: &[&Template],
        original: &Template,
        instances: &[Instance],
        at: usize,
        couple: usize,
    ) -> Result<Vec<Pair>, DataError> {
        let instance = &instances[at];
        let (filled, target) = fill(original, task, instance)?;
        let row = instance.row.to_string();
        let key = |what: &str, side: usize| {
            stream::keyed(self.seed, &[what, &task.name, &row, &couple.to_string(), &side.to_string()])
        };
        // The original's text first, then as many others as can be had.
        let mut texts: Vec<String> = Vec::with_capacity(1 + self.paraphrases);
        let push = |text: String, texts: &mut Vec<String>| {
            if texts.len() <= self.paraphrases && !texts.contains(&text) {
                texts.push(text);
            }
        };
        match &self.variation {
            Variation::Instruction => {
                push(filled, &mut texts);
                let mut random = stream::keyed(self.seed, &["positive", &task.name, &row, &couple.to_string()]);
                let mut others: Vec<&Template> = usable.iter().copied().filter(|&other| other != original).collect();
                others.shuffle(&mut random);
                for other in others {
                    if texts.len() > self.paraphrases {
                        break;
                    }
                    push(fill(other, task, instance)?.0, &mut texts);
                }
            }
            Variation::System(systems) => {
                let mut systems: Vec<&String> = systems.iter().collect();
                systems.shuffle(&mut key("system", 0));
                for system in systems {
                    let prompt = Prompt { system: Some(system.clone()), ..Prompt::new(filled.clone(), "") };
                    push(prompt.body(), &mut texts);
                }
            }
            Variation::Demonstrations(count) => {
                // A draw may repeat an earlier one; a few more than are needed.
                for side in 0..4 * (1 + self.paraphrases) {
                    let mut random = key("demonstrations", side);
                    let chosen = rand::seq::index::sample(&mut random, instances.len() - 1, *count);
                    let mut prompt = Prompt::new("", filled.clone());
                    // The row itself is never its own example, and neither is another one with its content.
                    let shown = || chosen.iter().map(|place| &instances[place + usize::from(place >= at)]);
                    if shown().any(|shown| shown.same_content(instance)) {
                        continue;
                    }
                    for shown in shown() {
                        let (input, answer) = fill(original, task, shown)?;
                        prompt.demonstrations.push(Demonstration { input, answer });
                    }
                    push(prompt.body(), &mut texts);
                }
            }
        }
        if texts.len() <= self.paraphrases {
            let (name, template) = (cut(&task.name), cut(&original.prompt));
            let (found, wanted) = (texts.len().saturating_sub(1), self.paraphrases);
            return Err(DataError::Invalid(format!(
                "task `{name}`, row {row}: {found} other texts than that of `{template}`, expected {wanted}"
            )));
        }
        let component = self.variation.component();
        let keywords: BTreeMap<String, String> =
            instance.fields.clone().into_iter().chain([("answer".to_owned(), target.clone())]).collect();
        let original = texts.remove(0);
        let pair = |paraphrase: String| Pair {
            original_instruction: original.clone(),
            paraphrased_instruction: paraphrase,
            targets: target.clone(),
            task: Some(task.name.clone()),
            component: (component != Component::Instruction).then_some(component),
            keywords: keywords.clone(),
        };
        Ok(texts.into_iter().map(pair).collect())
    }
}

/// Takes out the rows to which no hard negative can be found: every row with another answer has the same fields.
fn take_out_hopeless(decks: &mut [Deck], instances: &[Instance]) -> usize {
    let texts: Vec<BTreeSet<_>> =
        decks.iter().map(|deck| deck.rows.iter().map(|&row| &instances[row].fields).collect()).collect();
    let mut taken = 0;
    for (at, deck) in decks.iter_mut().enumerate() {
        let others: Vec<_> =
            texts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, texts)| texts).collect();
        let before = deck.rows.len();
        deck.rows.retain(|&row| others.iter().any(|texts| texts.len() > 1 || !texts.contains(&instances[row].fields)));
        taken += before - deck.rows.len();
    }
    taken
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
