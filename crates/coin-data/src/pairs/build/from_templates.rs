//! Builds the couples of a task from its instances and templates.
//!
//! For each couple, the builder draws an original template, two different answers, an instance of each, and a paraphrase
//! for both instances. The original template and the paraphrases come from the task's templates that ask for the answer
//! (target `{answer}`). [`Exclusion`] describes the others.
//!
//! Answers are drawn uniformly, so a couple of a task with two answers has one of each, however uneven the labels of
//! the rows are. Within an answer, rows are drawn without replacement in a random order. When they are used up, they are
//! drawn again in another order. The paper only requires another instance with another output; the rest is this
//! project's choice.
//!
//! The two texts of a pair differ in the instruction or in another component of the prompt ([`Variation`]). In the second
//! case both use the original template.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom;

use super::below;
use super::deck::{decks, remove_without_negative};
use super::negatives::{Negatives, WordIndex};
use super::report::BuildReport;
use super::rewording::{self, Reword, RewordedSide, RewordingCounts};
use super::variation::Variation;
use crate::{
    Component, DataError, Demonstration, Exclusion, Instance, Pair, Prompt, Task, Template, TemplateSet, Wording,
    Wordings,
};
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
    rewording: Option<(&'a dyn Reword, RewordedSide, u64)>,
}

impl<'a> PairBuilder<'a> {
    /// Creates a builder that draws from `templates` with `seed`.
    pub fn new(templates: &'a TemplateSet, seed: u64) -> Self {
        let (negatives, variation) = (Negatives::Random, Variation::Instruction);
        PairBuilder { templates, seed, paraphrases: 1, negatives, variation, rewording: None }
    }

    /// Sets the number of paraphrases per instance, at least 1. Default 1. Each paraphrase gives a separate pair with the
    /// same original. The couples of an instance and its hard negative are adjacent.
    pub fn with_paraphrases(mut self, paraphrases: usize) -> Self {
        self.paraphrases = paraphrases;
        self
    }

    /// Sets the choice of hard negatives. Default [`Negatives::Random`].
    pub fn with_negatives(mut self, negatives: Negatives) -> Self {
        self.negatives = negatives;
        self
    }

    /// Sets the part of the prompt in which the two texts of a pair differ. Default [`Variation::Instruction`].
    pub fn with_variation(mut self, variation: Variation) -> Self {
        self.variation = variation;
        self
    }

    /// Rewords templates before they are filled: those of the originals, which both pairs of a couple share, those of the paraphrases,
    /// or both. Draws are keyed by `seed`. Each pair then records its [`Wordings`]. The templates that a pair draws stay the same as
    /// without rewording.
    ///
    /// Only instructions are reworded, so another [`Variation`] is refused.
    pub fn with_rewording(mut self, reword: &'a dyn Reword, side: RewordedSide, seed: u64) -> Self {
        self.rewording = Some((reword, side, seed));
        self
    }

    /// Builds `pairs` pairs (twice the number of couples) from the instances of `task`.
    ///
    /// The result depends only on the seed, the task and its instances. A smaller number of pairs gives a prefix of a larger one.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `pairs` is odd or not a multiple of twice the number of paraphrases, if an instance belongs to
    /// another task, or if there are fewer than two different answers or fewer than two different usable templates;
    /// [`DataError::MissingField`] if an instance lacks a field of a template.
    ///
    /// ```
    /// use coin_data::pairs::PairBuilder;
    /// use coin_data::{Instance, Task, Template, TemplateSet};
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
    ) -> Result<(Vec<Pair>, BuildReport), DataError> {
        let name = &task.name;
        let invalid = |message: String| DataError::Invalid(format!("task `{}`: {message}", cut(name)));
        if !pairs.is_multiple_of(2) {
            return Err(invalid(format!("{pairs} pairs requested, expected an even number: pairs come in couples")));
        }
        if self.paraphrases == 0 {
            return Err(invalid("0 paraphrases requested, expected at least 1".to_owned()));
        }
        if !pairs.is_multiple_of(self.paraphrases.saturating_mul(2)) {
            let k = self.paraphrases;
            return Err(invalid(format!(
                "{pairs} pairs requested with {k} paraphrases each, expected a multiple of 2 x {k}"
            )));
        }
        self.variation.check(self.paraphrases, instances.len()).map_err(invalid)?;
        if self.rewording.is_some() && self.variation != Variation::Instruction {
            return Err(invalid("only pairs that differ in the instruction can be reworded".to_owned()));
        }
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
        let mut decks = decks(task, instances)?;
        let answers = decks.iter().map(|deck| (deck.answer.clone(), deck.rows.len())).collect();
        let without_negative = if decks.len() < 2 { 0 } else { remove_without_negative(&mut decks, instances) };
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

        let mut report = BuildReport {
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
            reworded: RewordingCounts::new(),
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
            let (text, _) = original.fill(task, &instances[anchor])?;
            let contradicts = |row: usize| Ok::<_, DataError>(original.fill(task, &instances[row])?.0 == text);
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
            // This many draws pass every row at least once.
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
                sides.push(self.pairs_of(task, &usable, original, instances, at, couple, &mut report.reworded)?);
                rows_used.insert(at);
            }
            let [of_anchor, of_negative] = [sides.remove(0), sides.remove(0)];
            built.extend(of_anchor.into_iter().zip(of_negative).flat_map(|(anchor, negative)| [anchor, negative]));
        }
        report.rows_used = rows_used.len();
        Ok((built, report))
    }

    /// The pairs of row `at`, one per paraphrase. The paraphrases differ from the original and from each other.
    #[allow(clippy::too_many_arguments)]
    fn pairs_of(
        &self,
        task: &Task,
        usable: &[&Template],
        original: &Template,
        instances: &[Instance],
        at: usize,
        couple: usize,
        counts: &mut RewordingCounts,
    ) -> Result<Vec<Pair>, DataError> {
        let instance = &instances[at];
        // Keyed by the couple for the original, whose two pairs share it, and by the row as well for a paraphrase.
        let number = couple.to_string();
        let mut reworded = |template: &Template, key: &[&str], of: RewordedSide| match self.rewording {
            Some((reword, side, seed)) if side == RewordedSide::Both || side == of => {
                let key = [&["reword", task.name.as_str(), number.as_str()], key].concat();
                let (prompt, wording) =
                    rewording::apply(reword, task, &template.prompt, &mut stream::keyed(seed, &key), counts);
                (Template { prompt, target: template.target.clone() }, wording)
            }
            _ => (template.clone(), Wording { template: template.prompt.clone(), attack: None }),
        };
        let (original_form, of_original) = reworded(original, &["original"], RewordedSide::Original);
        let (filled, target) = original_form.fill(task, instance)?;
        let row = instance.row.to_string();
        let key = |what: &str, side: usize| {
            stream::keyed(self.seed, &[what, &task.name, &row, &couple.to_string(), &side.to_string()])
        };
        // The text of the original first, then different other texts.
        let mut texts: Vec<String> = Vec::with_capacity(1 + self.paraphrases);
        let mut wordings = Vec::new();
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
                    let key = ["paraphrase", &row, &texts.len().to_string()];
                    let (form, wording) = reworded(other, &key, RewordedSide::Paraphrase);
                    let before = texts.len();
                    push(form.fill(task, instance)?.0, &mut texts);
                    if texts.len() > before {
                        wordings.push(wording);
                    }
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
                // Draws can repeat earlier ones, so a few more than necessary are tried.
                for side in 0..4 * (1 + self.paraphrases) {
                    let mut random = key("demonstrations", side);
                    let chosen = rand::seq::index::sample(&mut random, instances.len() - 1, *count);
                    let mut prompt = Prompt::new("", filled.clone());
                    // Neither the row itself nor another row with the same content is an example for it.
                    let shown = || chosen.iter().map(|place| &instances[place + usize::from(place >= at)]);
                    if shown().any(|shown| shown.same_content(instance)) {
                        continue;
                    }
                    for shown in shown() {
                        let (input, answer) = original.fill(task, shown)?;
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
        let pair = |(at, paraphrase): (usize, String)| Pair {
            original_instruction: original.clone(),
            paraphrased_instruction: paraphrase,
            targets: target.clone(),
            task: Some(task.name.clone()),
            component: (component != Component::Instruction).then_some(component),
            keywords: keywords.clone(),
            wordings: self
                .rewording
                .and_then(|_| Some(Wordings { original: of_original.clone(), paraphrase: wordings.get(at).cloned()? })),
        };
        Ok(texts.into_iter().enumerate().map(pair).collect())
    }
}
