//! The parts of a prompt around instruction and input: system text and demonstrations, by perturbation level.

use std::collections::{BTreeMap, HashSet};

use coin_core::quote::cut;
use coin_data::{Demonstration, Instance, Task};

use super::sampling;
use crate::EvalError;
use crate::levels::CLEAN;

/// System text and demonstrations of an evaluation.
///
/// A perturbed component needs an entry for every level that is run; any other needs only `clean`, which is used at all levels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptContext {
    /// The text before everything else, by level; empty for none.
    pub system: BTreeMap<String, String>,
    /// Worked examples between instruction and input, by task and level; empty for none.
    pub demonstrations: BTreeMap<String, BTreeMap<String, Vec<Demonstration>>>,
}

impl PromptContext {
    /// The system text at `level`.
    pub(crate) fn system(&self, level: &str) -> Result<Option<&str>, EvalError> {
        match self.system.is_empty() {
            true => Ok(None),
            false => found(&self.system, level, "system text").map(|text| Some(text.as_str())),
        }
    }

    /// The demonstrations of `task` at `level`.
    pub(crate) fn demonstrations(&self, task: &Task, level: &str) -> Result<&[Demonstration], EvalError> {
        match self.demonstrations.get(&task.name) {
            None if self.demonstrations.is_empty() => Ok(&[]),
            None => Err(EvalError::Invalid(format!("no demonstrations for task `{}`", cut(&task.name)))),
            Some(levels) => found(levels, level, "demonstrations").map(Vec::as_slice),
        }
    }
}

fn found<'a, T>(levels: &'a BTreeMap<String, T>, level: &str, what: &str) -> Result<&'a T, EvalError> {
    levels.get(level).ok_or_else(|| {
        let known = levels.keys().cloned().collect::<Vec<_>>().join(", ");
        EvalError::Invalid(format!("no {what} for level `{}`, only for: {}", cut(level), cut(&known)))
    })
}

/// Returns the `instances` whose content, compared by fields, does not occur in `others`. A training file may contain rows of the
/// development file, and a prompt must not demonstrate the answer to its own example.
///
/// ```
/// use coin_data::Instance;
/// let row = |row, text| Instance::new("cola", row, [("sentence", text)], 1);
/// let training = [row(0, "It rains."), row(1, "It snows.")];
/// let left = coin_eval::context::without_twins(&training, &[row(7, "It snows. ")]);
/// assert_eq!(left, [row(0, "It rains.")]);
/// ```
pub fn without_twins(instances: &[Instance], others: &[Instance]) -> Vec<Instance> {
    let contents: HashSet<_> = others.iter().map(Instance::content_key).collect();
    instances.iter().filter(|instance| !contents.contains(&instance.content_key())).cloned().collect()
}

/// Chooses `count` of `instances` as demonstrations of `task`, and returns them with the examples they were made from. Classes are
/// balanced as far as possible. The choice and the shuffled order depend on `seed`, not on the order of `instances`.
///
/// # Errors
/// There are too few instances, or one cannot be rendered.
///
/// ```
/// use coin_data::{Instance, Task};
/// let task = Task::named("cola")?;
/// let rows: Vec<_> = (0..20).map(|row| Instance::new("cola", row, [("sentence", "It rains.")], row % 2)).collect();
/// let (shown, taken) = coin_eval::context::demonstrations(&task, &rows, 4, 42)?;
/// assert_eq!(shown.iter().filter(|shown| shown.answer == "acceptable").count(), 2);
/// assert_eq!(taken.len(), 4);
/// assert_eq!(taken[0].fields["sentence"], shown[0].input);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn demonstrations(
    task: &Task,
    instances: &[Instance],
    count: usize,
    seed: u64,
) -> Result<(Vec<Demonstration>, Vec<Instance>), EvalError> {
    if instances.len() < count {
        let (name, there) = (cut(&task.name), instances.len());
        return Err(EvalError::Invalid(format!(
            "task `{name}`: {count} demonstrations requested, but there are only {there} examples"
        )));
    }
    let priority = |instance: &&Instance| sampling::priority(seed, "demonstration", task, instance.row, None);
    let mut by_class: Vec<Vec<&Instance>> = vec![Vec::new(); task.labels.len()];
    for instance in instances {
        task.answer(instance)?;
        by_class[instance.label].push(instance);
    }
    for class in &mut by_class {
        class.sort_by_cached_key(priority);
        class.reverse();
    }
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        // The classes take turns; an exhausted class is skipped.
        for class in &mut by_class {
            chosen.extend(class.pop().filter(|_| chosen.len() < count));
        }
    }
    let order = |instance: &&Instance| sampling::priority(seed, "demonstration order", task, instance.row, None);
    chosen.sort_by_cached_key(order);
    let shown = chosen.iter().map(|instance| {
        Ok(Demonstration { input: task.content(instance)?, answer: task.answer(instance)?.to_owned() })
    });
    Ok((shown.collect::<Result<_, EvalError>>()?, chosen.into_iter().cloned().collect()))
}

/// Puts `demonstrations` at level `clean` only.
pub fn clean(demonstrations: Vec<Demonstration>) -> BTreeMap<String, Vec<Demonstration>> {
    [(CLEAN.to_owned(), demonstrations)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(classes: &[usize]) -> Vec<Instance> {
        let instance = |(row, class): (usize, &usize)| {
            Instance::new("mnli", row, [("premise", format!("p{row}")), ("hypothesis", "h".to_owned())], *class)
        };
        classes.iter().enumerate().map(instance).collect()
    }

    #[test]
    fn classes_take_turns_and_order_does_not_matter() {
        let task = Task::named("mnli").unwrap();
        let mut all = rows(&[0, 0, 0, 0, 1, 1, 1, 2]);
        let (shown, taken) = demonstrations(&task, &all, 6, 1).unwrap();
        let count = |word: &str| shown.iter().filter(|shown| shown.answer == word).count();
        // The only contradiction is taken; its next turn passes to the other classes.
        assert_eq!([count("entailment"), count("neutral"), count("contradiction")], [3, 2, 1]);
        all.reverse();
        assert_eq!(demonstrations(&task, &all, 6, 1).unwrap(), (shown.clone(), taken));
        assert_ne!(demonstrations(&task, &all, 6, 2).unwrap().0, shown);
        let message = demonstrations(&task, &all, 9, 1).unwrap_err().to_string();
        assert_eq!(message, "task `mnli`: 9 demonstrations requested, but there are only 8 examples");
    }

    #[test]
    fn a_level_that_is_missing_is_named() {
        let task = Task::named("mnli").unwrap();
        let mut around = PromptContext::default();
        assert_eq!((around.system("checklist").unwrap(), around.demonstrations(&task, "x").unwrap()), (None, &[][..]));
        around.system.insert(CLEAN.to_owned(), "Be brief.".to_owned());
        assert_eq!(around.system(CLEAN).unwrap(), Some("Be brief."));
        let message = around.system("checklist").unwrap_err().to_string();
        assert_eq!(message, "no system text for level `checklist`, only for: clean");
        around.demonstrations.insert("cola".to_owned(), clean(Vec::new()));
        assert!(around.demonstrations(&task, CLEAN).unwrap_err().to_string().contains("for task `mnli`"));
    }
}
