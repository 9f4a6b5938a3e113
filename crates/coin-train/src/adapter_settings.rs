//! Comparison of `[lora]` in the run file with the settings of the adapter that training continues.

use std::collections::BTreeSet;
use std::fmt::Debug;

use coin_model::{LoraConfig, ModelError, TargetModules};

/// Returns the keys of `[lora]` that differ from those of an adapter on a model of `layers` layers, with both values. Dropout may
/// differ.
///
/// Target modules are equal if they select the same layers: PEFT writes `target_modules` in the order of a Python set, which
/// changes from file to file, and one layer has several names.
///
/// # Errors
/// `lora` or `adapter` does not select any of the model's layers.
pub(crate) fn differences(lora: &LoraConfig, adapter: &LoraConfig, layers: usize) -> Result<Vec<String>, ModelError> {
    let mut found = Vec::new();
    let mut compare = |key: &str, ours: &dyn Debug, theirs: &dyn Debug, same: bool| {
        if !same {
            found.push(format!("lora.{key} is {ours:?}, the adapter has {theirs:?}"));
        }
    };
    compare("rank", &lora.rank, &adapter.rank, lora.rank == adapter.rank);
    compare("alpha", &lora.alpha, &adapter.alpha, lora.alpha == adapter.alpha);
    let (ours, theirs) = (lora.rank_stabilized, adapter.rank_stabilized);
    compare("rank_stabilized", &ours, &theirs, ours == theirs);
    if lora.targets(layers)? != adapter.targets(layers)? {
        let same = names(&lora.target_modules) == names(&adapter.target_modules);
        let (ours, theirs) = (shown(&lora.target_modules), shown(&adapter.target_modules));
        compare("target_modules", &ours, &theirs, same);
        let all: Vec<usize> = (0..layers).collect();
        let of = |config: &LoraConfig| config.layers.clone().unwrap_or_else(|| all.clone());
        let (ours, theirs) = (of(lora), of(adapter));
        compare("layers", &ours, &theirs, BTreeSet::from_iter(&ours) == BTreeSet::from_iter(&theirs));
    }
    Ok(found)
}

/// Returns the modules in the form that the run file uses.
fn shown(modules: &TargetModules) -> &dyn Debug {
    match modules {
        TargetModules::Names(names) => names,
        TargetModules::Pattern(pattern) => pattern,
    }
}

/// Returns the names as a set, or the pattern.
fn names(modules: &TargetModules) -> (Option<BTreeSet<&str>>, Option<&str>) {
    match modules {
        TargetModules::Names(names) => (Some(names.iter().map(String::as_str).collect()), None),
        TargetModules::Pattern(pattern) => (None, Some(pattern)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[&str]) -> LoraConfig {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        LoraConfig { target_modules: TargetModules::Names(names), ..LoraConfig::default() }
    }

    #[test]
    fn other_names_of_the_same_layers_do_not_differ() {
        let ours = with(&["q_proj", "v_proj"]);
        let pattern =
            LoraConfig { target_modules: TargetModules::Pattern(".*[qv]_proj".into()), ..LoraConfig::default() };
        let layers = LoraConfig { layers: Some(vec![1, 0]), dropout: 0.5, ..with(&["v_proj", "q_proj"]) };
        for theirs in [with(&["v_proj", "q_proj"]), with(&["v_proj", "self_attn.q_proj", "v_proj"]), pattern, layers] {
            assert_eq!(differences(&ours, &theirs, 2).unwrap(), Vec::<String>::new(), "{theirs:?}");
        }
    }

    #[test]
    fn a_difference_is_named_with_both_values() {
        let ours = LoraConfig { rank: 8, ..with(&["q_proj"]) };
        let theirs = LoraConfig { layers: Some(vec![1]), rank_stabilized: true, ..with(&["v_proj", "q_proj"]) };
        let found = differences(&ours, &theirs, 2).unwrap();
        assert_eq!(found[0], "lora.rank is 8, the adapter has 16");
        assert_eq!(found[1], "lora.rank_stabilized is false, the adapter has true");
        assert!(found[2].starts_with("lora.target_modules is [\"q_proj\"], the adapter has ["), "{}", found[2]);
        assert_eq!(found[3], "lora.layers is [0, 1], the adapter has [1]");
        assert_eq!(found.len(), 4);
    }
}
