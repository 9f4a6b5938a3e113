//! Templates that are reworded before they are filled.

use std::collections::BTreeMap;
use std::fmt::Debug;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Task, Wording};

/// Rewords templates, for [`PairBuilder::with_rewording`](super::PairBuilder::with_rewording). `coin-perturb` implements it with its
/// attacks.
pub trait Reword: Debug {
    /// Returns another form of a template, or `None` to leave it as it is. Placeholders such as `{sentence}` must stay.
    ///
    /// All choices are drawn from `random`, so that a pair does not depend on what else is built.
    fn reword(&self, task: &Task, template: &str, random: &mut ChaCha8Rng) -> Option<Reworded>;
}

/// A template in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reworded {
    /// Its text.
    pub template: String,
    /// The name of what changed it, such as `deepwordbug`.
    pub attack: String,
}

/// The wordings of a pair that may be reworded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RewordedSide {
    /// Both (the default).
    #[default]
    Both,
    /// The original alone.
    Original,
    /// The paraphrase alone.
    Paraphrase,
}

/// How often each attack was drawn, and how often it left the template unchanged.
pub type RewordingCounts = BTreeMap<String, (usize, usize)>;

/// Rewords `template`, and counts it.
pub(super) fn apply(
    reword: &dyn Reword,
    task: &Task,
    template: &str,
    random: &mut ChaCha8Rng,
    counts: &mut RewordingCounts,
) -> (String, Wording) {
    let clean = |attack| Wording { template: template.to_owned(), attack };
    match reword.reword(task, template, random) {
        None => (template.to_owned(), clean(None)),
        Some(reworded) => {
            let unchanged = reworded.template == template;
            let (drawn, same) = counts.entry(reworded.attack.clone()).or_default();
            (*drawn, *same) = (*drawn + 1, *same + usize::from(unchanged));
            (reworded.template, clean((!unchanged).then_some(reworded.attack)))
        }
    }
}
