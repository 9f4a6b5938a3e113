//! Frozen sets: the instructions of many tasks under many attacks, created once from a seed.

use std::collections::{BTreeMap, BTreeSet};

use coin_core::quote::cut;
use coin_core::stream;
use serde::Serialize;

use crate::audit::AuditRecord;
use crate::{Attack, PerturbError, Protected};

/// The key of the unperturbed instructions in a [`FrozenSet`].
pub const CLEAN: &str = "clean";

/// Task name to instructions.
pub type Instructions = BTreeMap<String, Vec<String>>;

/// Task name to the words that no attack may change in its instructions.
pub type LabelWords = BTreeMap<String, BTreeSet<String>>;

/// Instructions by attack and task, `{attack: {task: [instruction, ..]}}`.
///
/// The set `clean` always exists. The n-th instruction of a task under an attack is the perturbed form of the task's n-th clean
/// instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FrozenSet {
    sets: BTreeMap<String, Instructions>,
}

impl FrozenSet {
    /// Creates a set from its parts.
    ///
    /// # Errors
    /// [`PerturbError::InvalidSet`] if the set `clean` is missing or empty, if a task in it has no instructions, or if an attack has a
    /// task that is missing in `clean` or another number of instructions for a task.
    pub fn new(sets: BTreeMap<String, Instructions>) -> Result<FrozenSet, PerturbError> {
        let clean = sets.get(CLEAN).ok_or_else(|| {
            let found = sets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            PerturbError::InvalidSet(format!("expected a set `{CLEAN}`, found only: {}", cut(&found)))
        })?;
        check_clean(clean)?;
        for (attack, tasks) in &sets {
            for (task, instructions) in tasks {
                let expected = clean.get(task).map_or(0, Vec::len);
                if instructions.len() != expected {
                    return Err(PerturbError::InvalidSet(format!(
                        "attack `{}`, task `{}`: {} instructions, but {expected} clean ones",
                        cut(attack),
                        cut(task),
                        instructions.len()
                    )));
                }
            }
        }
        Ok(FrozenSet { sets })
    }

    /// All sets by attack, including `clean`.
    pub fn sets(&self) -> &BTreeMap<String, Instructions> {
        &self.sets
    }

    /// The instructions of `task` under `attack` ([`CLEAN`] for the unperturbed ones); `None` if they are missing.
    pub fn instructions(&self, attack: &str, task: &str) -> Option<&[String]> {
        self.sets.get(attack)?.get(task).map(Vec::as_slice)
    }

    /// Short names of the attacks, without `clean`.
    pub fn attacks(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(String::as_str).filter(|name| *name != CLEAN)
    }

    /// Returns a record for every perturbed instruction, in the order attack, task, index. A task that is missing in `label_words` has no
    /// label words.
    pub fn audit(&self, label_words: &LabelWords) -> Vec<AuditRecord> {
        let mut records = Vec::new();
        for attack in self.attacks() {
            for (task, perturbed) in &self.sets[attack] {
                let protected = protected_for(label_words, task);
                let clean = self.instructions(CLEAN, task).unwrap_or_default();
                records.extend(clean.iter().zip(perturbed).enumerate().map(|(index, (clean, perturbed))| {
                    AuditRecord::new(attack, task, index, clean, perturbed, &protected)
                }));
            }
        }
        records
    }
}

/// Perturbs every instruction of `clean` with each of `attacks`.
///
/// Each perturbation draws from a separate stream, keyed by (`seed`, attack, task, index in the task's list), so it does not depend on
/// the other attacks, tasks or instructions.
///
/// # Errors
/// [`PerturbError::InvalidSet`] if `clean` has no tasks or a task has no instructions, or if two attacks have the same name or one is
/// called `clean`.
///
/// ```
/// use coin_perturb::{attack_named, perturb_set};
/// let clean = [("cola".to_owned(), vec!["Judge the grammar as 'acceptable' or 'unacceptable':".to_owned()])].into();
/// let labels = [("cola".to_owned(), coin_data::Task::named("cola")?.label_words())].into();
/// let set = perturb_set(&clean, &[attack_named("checklist")?], &labels, 42)?;
/// let perturbed = &set.instructions("checklist", "cola").ok_or("absent")?[0];
/// assert!(perturbed.starts_with("Judge the grammar as 'acceptable' or 'unacceptable' ") && perturbed.ends_with(':'));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn perturb_set(
    clean: &Instructions,
    attacks: &[Box<dyn Attack>],
    label_words: &LabelWords,
    seed: u64,
) -> Result<FrozenSet, PerturbError> {
    check(clean, attacks)?;
    let mut sets = BTreeMap::from([(CLEAN.to_owned(), clean.clone())]);
    for attack in attacks {
        let perturbed: Instructions = clean
            .iter()
            .map(|(task, instructions)| {
                let protected = protected_for(label_words, task);
                let perturb = |(index, instruction): (usize, &String)| {
                    let mut rng = stream::keyed(seed, &[attack.name(), task, &index.to_string()]);
                    attack.perturb(instruction, &protected, &mut rng)
                };
                (task.clone(), instructions.iter().enumerate().map(perturb).collect())
            })
            .collect();
        sets.insert(attack.name().to_owned(), perturbed);
    }
    FrozenSet::new(sets)
}

/// The words protected in `task`.
pub(crate) fn protected_for(label_words: &LabelWords, task: &str) -> Protected {
    label_words.get(task).map_or_else(Protected::default, Protected::new)
}

/// Checks that there are instructions to perturb, and that the attacks have different names.
pub(crate) fn check(clean: &Instructions, attacks: &[Box<dyn Attack>]) -> Result<(), PerturbError> {
    check_clean(clean)?;
    let mut names = BTreeSet::from([CLEAN]);
    match attacks.iter().find(|attack| !names.insert(attack.name())) {
        Some(attack) => Err(PerturbError::InvalidSet(format!("two sets would be called `{}`", attack.name()))),
        None => Ok(()),
    }
}

fn check_clean(clean: &Instructions) -> Result<(), PerturbError> {
    if clean.is_empty() {
        return Err(PerturbError::InvalidSet("no task, expected at least one".to_owned()));
    }
    match clean.iter().find(|(_, instructions)| instructions.is_empty()) {
        Some((task, _)) => Err(PerturbError::InvalidSet(format!("task `{}` has no instruction", cut(task)))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ATTACK_NAMES, attack_named};

    fn attacks(names: &[&str]) -> Vec<Box<dyn Attack>> {
        names.iter().map(|name| attack_named(name).unwrap()).collect()
    }

    fn clean() -> Instructions {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        BTreeMap::from([
            (
                "a".to_owned(),
                list(&["Decide whether the given sentence is good or bad: ", "Is the review good or bad?"]),
            ),
            ("b".to_owned(), list(&["Identify the relationship between both statements."])),
        ])
    }

    #[test]
    fn the_result_depends_on_no_other_entry() {
        let labels = LabelWords::from([("a".to_owned(), BTreeSet::from(["good".to_owned(), "bad".to_owned()]))]);
        let all = perturb_set(&clean(), &attacks(&ATTACK_NAMES), &labels, 9).unwrap();
        let mut only_b = clean();
        only_b.remove("a");
        for name in ATTACK_NAMES {
            let alone = perturb_set(&only_b, &attacks(&[name]), &labels, 9).unwrap();
            assert_eq!(alone.instructions(name, "b"), all.instructions(name, "b"), "{name}");
        }
        assert!(all.audit(&labels).iter().all(|record| record.labels_intact && record.edit_distance > 0));
        assert_eq!(all.audit(&labels).len(), ATTACK_NAMES.len() * 3);
        assert_eq!(all.sets()[CLEAN], clean());
    }

    #[test]
    fn seeds_differ() {
        let set = |seed| perturb_set(&clean(), &attacks(&["deepwordbug"]), &LabelWords::new(), seed).unwrap();
        assert_eq!(set(1), set(1));
        assert_ne!(set(1), set(2));
    }

    #[test]
    fn sets_that_do_not_match_are_rejected() {
        let message = |result: Result<FrozenSet, PerturbError>| result.unwrap_err().to_string();
        let none = LabelWords::new();
        assert_eq!(message(perturb_set(&Instructions::new(), &[], &none, 0)), "no task, expected at least one");
        let empty = Instructions::from([("a".to_owned(), vec![])]);
        assert_eq!(message(perturb_set(&empty, &[], &none, 0)), "task `a` has no instruction");
        let twice = attacks(&["checklist", "checklist"]);
        assert_eq!(message(perturb_set(&clean(), &twice, &none, 0)), "two sets would be called `checklist`");
        let mut short = clean();
        short.insert("b".to_owned(), vec![]);
        let sets = BTreeMap::from([(CLEAN.to_owned(), clean()), ("x".to_owned(), short)]);
        assert_eq!(message(FrozenSet::new(sets)), "attack `x`, task `b`: 0 instructions, but 1 clean ones");
    }
}
