//! Search over the instructions of many tasks.

use std::collections::{BTreeMap, HashMap};

use coin_core::quote::cut;
use serde::{Deserialize, Serialize};

use super::{Log, Outcome, Scorer, Search, Subject};
use crate::audit::AuditRecord;
use crate::frozen::{check, protected_for};
use crate::{Attack, CLEAN, FrozenSet, Instructions, LabelWords, PerturbError, Recipe};

/// The input and the settings of a search over many tasks.
#[derive(Clone, Copy)]
pub struct SearchPlan<'a> {
    /// The instructions to attack.
    pub clean: &'a Instructions,
    /// The attacks.
    pub attacks: &'a [Box<dyn Attack>],
    /// The words protected in each task.
    pub label_words: &'a LabelWords,
    /// The seed.
    pub seed: u64,
    /// The settings.
    pub search: &'a Search,
    /// A name for the metric and the model of the scorers, for the recipe.
    pub scorer: &'a str,
}

/// The result of a search over many tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchedSet {
    /// The perturbed instructions.
    pub set: FrozenSet,
    /// The recipe of the set.
    pub recipe: Recipe,
    /// The audit of the set.
    pub audit: Vec<AuditRecord>,
    /// The result of each search, in the order attack, task, index.
    pub searches: Vec<SearchedInstruction>,
    /// Number of scored texts. A text that occurs in several searches of a task is scored once.
    pub scored: usize,
}

/// The result of the search for one instruction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchedInstruction {
    /// The attack's short name.
    pub attack: String,
    /// The task.
    pub task: String,
    /// Position in the task's list of instructions, from 0.
    pub index: usize,
    /// The result.
    pub outcome: Outcome,
}

/// Runs a search for every instruction of a plan with each of its attacks. `scorer_for` creates the scorer of a task and is called once
/// per task.
///
/// The budget is per instruction. The result for an instruction does not depend on the other attacks, tasks or instructions.
///
/// # Errors
/// The errors of [`perturb_set`](crate::perturb_set) and of [`Search::run`]; [`PerturbError::Scorer`] if `scorer_for` fails. Settings are
/// checked before scoring starts.
///
/// ```
/// use coin_perturb::search::{Search, SearchPlan, no_log, search_set};
/// use coin_perturb::{LabelWords, attack_named};
///
/// let plan = SearchPlan {
///     clean: &[("t".to_owned(), vec!["Is the review good or bad?".to_owned()])].into(),
///     attacks: &[attack_named("stresstest")?],
///     label_words: &LabelWords::new(),
///     seed: 42,
///     search: &Search::default(),
///     scorer: "length",
/// };
/// // The longer the text, the lower the score.
/// let scorer_for = |_task: &str| {
///     Ok(|texts: &[String]| Ok::<_, String>(texts.iter().map(|text| -(text.len() as f64)).collect()))
/// };
/// let searched = search_set(&plan, scorer_for, &mut no_log())?;
/// let longest = format!("Is the review good or bad{}?", " and true is true ".repeat(5));
/// assert_eq!(searched.set.instructions("stresstest", "t"), Some(&[longest][..]));
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
pub fn search_set<S: Scorer>(
    plan: &SearchPlan,
    mut scorer_for: impl FnMut(&str) -> Result<S, S::Error>,
    log: &mut Log,
) -> Result<SearchedSet, PerturbError> {
    plan.search.check()?;
    check(plan.clean, plan.attacks)?;
    let mut sets = BTreeMap::from([(CLEAN.to_owned(), plan.clean.clone())]);
    let mut searches = Vec::new();
    let mut scored = 0;
    for (task, instructions) in plan.clean {
        let mut scorer = scorer_for(task)
            .map_err(|error| PerturbError::Scorer { context: format!("task `{}`", cut(task)), source: error.into() })?;
        let protected = protected_for(plan.label_words, task);
        let mut scores = HashMap::new();
        for attack in plan.attacks {
            let mut perturbed = Vec::with_capacity(instructions.len());
            for (index, instruction) in instructions.iter().enumerate() {
                let subject = Subject { task, index, instruction, protected: &protected };
                let outcome =
                    plan.search.run_with(attack.as_ref(), &subject, plan.seed, &mut scorer, &mut scores, log)?;
                perturbed.push(outcome.perturbed.clone());
                let (attack, task) = (attack.name().to_owned(), task.clone());
                searches.push(SearchedInstruction { attack, task, index, outcome });
            }
            sets.entry(attack.name().to_owned()).or_default().insert(task.clone(), perturbed);
        }
        scored += scores.len();
    }
    let set = FrozenSet::new(sets)?;
    // The order of the audit. The sort is stable, and tasks and indices are already in order.
    searches.sort_by(|a, b| a.attack.cmp(&b.attack));
    Ok(SearchedSet {
        recipe: Recipe::new(&set, plan.attacks, plan.label_words, plan.seed).searched(
            plan.search,
            plan.attacks,
            plan.scorer,
        ),
        audit: set.audit(plan.label_words),
        set,
        searches,
        scored,
    })
}
