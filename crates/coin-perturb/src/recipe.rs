//! Recipes: how a frozen set was created, with the hashes of the set.

use std::collections::BTreeMap;

use coin_data::Component;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::search::Search;
use crate::{Attack, CLEAN, FrozenSet, Instructions, LabelWords, Level, Ranking};

/// The version of the format of recipes.
pub(crate) const RECIPE_VERSION: u32 = 2;

/// The origin of a frozen set. It suffices to create the set again from the same clean instructions (and, after a search, the same
/// model) and to check that the set was not changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Version of this format, now 2. Version 1 had neither `search` nor hashes.
    pub version: u32,
    /// Name and version of the program.
    pub tool: String,
    /// The seed.
    pub seed: u64,
    /// The part of the prompt that the texts belong to; default the instruction (paper).
    #[serde(default)]
    pub component: Component,
    /// The attacks, in the given order.
    pub attacks: Vec<RecipeAttack>,
    /// The words protected in each task, in addition to placeholders and the marker.
    pub label_words: LabelWords,
    /// The search against a model; absent for random perturbations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<RecipeSearch>,
    /// SHA-256 of the clean instructions `{task: [instruction, ..]}`, in lower-case hexadecimal.
    ///
    /// The input of the hash is UTF-8 JSON without white space and with sorted keys, in Python
    /// `json.dumps(clean, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`, so the layout of the file does not matter.
    pub clean_sha256: String,
    /// SHA-256 of the whole set `{attack: {task: [instruction, ..]}}`, which includes `clean`, in the same form.
    pub set_sha256: String,
}

/// An attack in a [`Recipe`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeAttack {
    /// Short name.
    pub name: String,
    /// Qualified name.
    pub origin: String,
    /// Level.
    pub level: Level,
    /// Settings by name.
    pub settings: BTreeMap<String, String>,
}

/// The search in a [`Recipe`]: the settings of the [`Search`] without the batch size, which does not change the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeSearch {
    /// The metric and the model of the scores, as described by the caller.
    pub scorer: String,
    /// The ranking by attack; brute-force searches do not have one.
    pub ranking: BTreeMap<String, Ranking>,
    /// Maximum number of texts scored for one instruction; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_budget: Option<usize>,
    /// The score below which a search stopped; absent without a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Number of rewritings that a brute-force search tried.
    pub candidates: usize,
}

impl Recipe {
    /// The recipe of `set`, which [`perturb_set`](crate::perturb_set) created with these arguments.
    pub fn new(set: &FrozenSet, attacks: &[Box<dyn Attack>], label_words: &LabelWords, seed: u64) -> Recipe {
        let attacks = attacks.iter().map(|attack| RecipeAttack {
            name: attack.name().to_owned(),
            origin: attack.origin().to_owned(),
            level: attack.level(),
            settings: attack.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        });
        Recipe {
            version: RECIPE_VERSION,
            tool: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            seed,
            component: Component::Instruction,
            attacks: attacks.collect(),
            label_words: label_words.clone(),
            search: None,
            clean_sha256: hash_of_clean(set),
            set_sha256: hash_of_set(set),
        }
    }

    /// Sets the part of the prompt that the texts belong to.
    #[must_use]
    pub fn of_component(mut self, component: Component) -> Recipe {
        self.component = component;
        self
    }

    /// Adds the settings of the search.
    #[must_use]
    pub fn searched(mut self, search: &Search, attacks: &[Box<dyn Attack>], scorer: &str) -> Recipe {
        let ranking = attacks.iter().filter_map(|attack| {
            let ranking = search.ranking_for(attack.as_ref())?;
            Some((attack.name().to_owned(), ranking))
        });
        self.search = Some(RecipeSearch {
            scorer: scorer.to_owned(),
            ranking: ranking.collect(),
            query_budget: search.query_budget,
            target: search.target,
            candidates: search.candidates,
        });
        self
    }

    /// The names of the hashes that differ from those of `set`; empty if the set is unchanged.
    pub fn differing_hashes(&self, set: &FrozenSet) -> Vec<&'static str> {
        [("clean_sha256", self.clean_sha256 != hash_of_clean(set)), ("set_sha256", self.set_sha256 != hash_of_set(set))]
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

/// Computes [`Recipe::clean_sha256`].
pub(crate) fn hash_of_clean(set: &FrozenSet) -> String {
    hash(&set.sets().get(CLEAN).map(to_value).unwrap_or_default())
}

/// Computes [`Recipe::set_sha256`].
pub(crate) fn hash_of_set(set: &FrozenSet) -> String {
    let sets = set.sets().iter().map(|(attack, tasks)| (attack.clone(), to_value(tasks)));
    hash(&Value::Object(sets.collect()))
}

fn to_value(tasks: &Instructions) -> Value {
    Value::Object(tasks.iter().map(|(task, texts)| (task.clone(), Value::from(texts.clone()))).collect())
}

fn hash(value: &Value) -> String {
    Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attack_named, perturb_set};

    fn set(attack: &str, text: &str) -> FrozenSet {
        let tasks = |text: &str| Instructions::from([("t".to_owned(), vec![text.to_owned()])]);
        FrozenSet::new([(CLEAN.to_owned(), tasks("Say \"caf\u{e9}\".\n")), (attack.to_owned(), tasks(text))].into())
            .unwrap()
    }

    #[test]
    fn hashes_are_those_of_sorted_compact_json() {
        let set = set("x", "\u{1}/");
        // hashlib.sha256(json.dumps(.., sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
        assert_eq!(hash_of_clean(&set), "0e481bdcf25115dc5f50d53fc00703d4081ae77d3f35033c0528839eea80b2e7");
        assert_eq!(hash_of_set(&set), "d9302304a1853e115be0cb27c93add8edb7437ea0e04deb47275ca1914fba10a");
    }

    #[test]
    fn an_edited_set_is_detected() {
        let made = set("x", "a");
        let recipe = Recipe::new(&made, &[], &LabelWords::new(), 0);
        assert!(recipe.differing_hashes(&made).is_empty());
        assert_eq!(recipe.differing_hashes(&set("x", "b")), ["set_sha256"]);
        assert_eq!(recipe.differing_hashes(&set("y", "a")), ["set_sha256"]);
        let other = Instructions::from([("t".to_owned(), vec!["Say tea.".to_owned()])]);
        let other = perturb_set(&other, &[], &LabelWords::new(), 0).unwrap();
        assert_eq!(recipe.differing_hashes(&other), ["clean_sha256", "set_sha256"]);
    }

    #[test]
    fn the_recipe_of_a_search_has_its_settings() {
        let attacks = ["deepwordbug", "textfooler", "checklist"].map(|name| attack_named(name).unwrap());
        let set = set("x", "a");
        let search = Search { query_budget: Some(90), ..Search::default() };
        let recipe = Recipe::new(&set, &attacks, &LabelWords::new(), 7);
        assert!(!serde_json::to_string(&recipe).unwrap().contains("search"));
        let recipe = recipe.searched(&search, &attacks, "accuracy of m");
        let written = serde_json::to_value(recipe.search.as_ref().unwrap()).unwrap();
        let expected = serde_json::json!({
            "scorer": "accuracy of m",
            "ranking": { "deepwordbug": "unk", "textfooler": "delete" },
            "query_budget": 90,
            "candidates": 50,
        });
        assert_eq!(written, expected);
        assert_eq!(serde_json::from_value::<RecipeSearch>(written).unwrap(), recipe.search.unwrap());
    }
}
