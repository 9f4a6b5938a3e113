//! Which files of a repository are wanted, decided from the list of all its files.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::error::HubError;
use crate::repo::RepoId;

const MODEL_REQUIRED: &[&str] = &["config.json"];
const MODEL_OPTIONAL: &[&str] = &[
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
];
/// In the order of preference. A name that ends in `.index.json` stands for itself and the shards it names.
const MODEL_WEIGHTS: &[&str] =
    &["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
const ADAPTER_REQUIRED: &[&str] = &["adapter_config.json"];
const ADAPTER_WEIGHTS: &[&str] = &["adapter_model.safetensors", "adapter_model.bin"];

/// The files that a caller needs of a repository.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Files<'a> {
    /// `config.json`, the tokenizer's and the generation settings where there are any, and one set of weights:
    /// `model.safetensors`, else the shards of its index, else `pytorch_model.bin`, else the shards of its index.
    Model,
    /// `adapter_config.json` and `adapter_model.safetensors`, else `adapter_model.bin`.
    Adapter,
    /// Every file whose name (with its folders, separated by `/`) the function accepts.
    Matching(&'a dyn Fn(&str) -> bool),
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Files::Model => "Model",
            Files::Adapter => "Adapter",
            Files::Matching(_) => "Matching(..)",
        })
    }
}

/// What to fetch: files, and possibly an index whose shards are known once it is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) files: Vec<String>,
    pub(crate) index: Option<String>,
}

impl Files<'_> {
    /// Chooses from `listing`, or tells what was looked for in vain. Small files come before weights.
    pub(crate) fn plan(&self, listing: &BTreeSet<String>) -> Result<Plan, Vec<String>> {
        let (required, optional, weights) = match self {
            Files::Model => (MODEL_REQUIRED, MODEL_OPTIONAL, MODEL_WEIGHTS),
            Files::Adapter => (ADAPTER_REQUIRED, &[][..], ADAPTER_WEIGHTS),
            Files::Matching(wanted) => {
                let files: Vec<String> = listing.iter().filter(|name| wanted(name)).cloned().collect();
                return match files.is_empty() {
                    true => Err(vec!["file that was asked for".to_owned()]),
                    false => Ok(Plan { files, index: None }),
                };
            }
        };
        let found = |name: &&&str| listing.contains(**name);
        let mut absent: Vec<String> = required.iter().filter(|name| !found(name)).map(|name| (*name).into()).collect();
        let weights = weights.iter().find(found).copied().or_else(|| {
            absent.push(weights.join(" or "));
            None
        });
        if !absent.is_empty() {
            return Err(absent);
        }

        let mut plan = Plan::default();
        plan.files.extend(required.iter().chain(optional.iter().filter(found)).map(|name| (*name).to_owned()));
        match weights {
            Some(index) if index.ends_with(".index.json") => plan.index = Some(index.to_owned()),
            Some(file) => plan.files.push(file.to_owned()),
            None => {}
        }
        Ok(plan)
    }
}

/// The shards that the weight index at `path` names, each once, in order. An index at the root of a repository names
/// files beside itself.
pub(crate) fn shards(repo: &RepoId, index: &str, path: &Path) -> Result<Vec<String>, HubError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }

    let fault = |message: String| HubError::Index { repo: repo.to_string(), index: index.to_owned(), message };
    let text = std::fs::read(path).map_err(HubError::io(path))?;
    let parsed: Index = coin_core::json::from_slice(&text).map_err(|error| fault(error.to_string()))?;
    let shards: BTreeSet<String> = parsed.weight_map.into_values().collect();
    match shards.iter().find(|name| !is_plain(name)) {
        Some(name) => Err(fault(format!("it names {name:?}, which is no file of a repository"))),
        None if shards.is_empty() => Err(fault("it names no shard".to_owned())),
        None => Ok(shards.into_iter().collect()),
    }
}

/// Whether a file's name as the hub tells it stays inside the snapshot's folder.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['\\', '\0', '\n', '\r'])
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::RepoKind;

    fn listing(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_single_safetensors_file_is_preferred_to_shards_and_to_pickles() {
        let all = listing(&[
            "README.md",
            "config.json",
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "tokenizer.model",
        ]);
        let plan = Files::Model.plan(&all).unwrap();
        assert_eq!(plan.files, ["config.json", "tokenizer.model", "model.safetensors"]);
        assert_eq!(plan.index, None);
        let sharded = listing(&["config.json", "pytorch_model.bin", "model.safetensors.index.json"]);
        assert_eq!(Files::Model.plan(&sharded).unwrap().index.as_deref(), Some("model.safetensors.index.json"));
        let pickled = listing(&["config.json", "pytorch_model.bin.index.json"]);
        assert_eq!(Files::Model.plan(&pickled).unwrap().index.as_deref(), Some("pytorch_model.bin.index.json"));
    }

    #[test]
    fn what_is_absent_is_listed() {
        let absent = Files::Model.plan(&listing(&["tokenizer.json"])).unwrap_err();
        assert_eq!(absent[0], "config.json");
        assert!(absent[1].starts_with("model.safetensors or "), "{absent:?}");
        assert_eq!(Files::Adapter.plan(&listing(&["adapter_model.bin"])).unwrap_err(), ["adapter_config.json"]);
    }

    #[test]
    fn an_adapter_and_a_free_choice() {
        let all = listing(&["adapter_config.json", "adapter_model.bin", "data/train.parquet", "data/test.parquet"]);
        assert_eq!(Files::Adapter.plan(&all).unwrap().files, ["adapter_config.json", "adapter_model.bin"]);
        let train = Files::Matching(&|name| name.starts_with("data/train"));
        assert_eq!(train.plan(&all).unwrap().files, ["data/train.parquet"]);
        assert!(Files::Matching(&|_| false).plan(&all).is_err());
    }

    #[test]
    fn an_index_names_each_shard_once_and_nothing_outside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.json");
        let repo = RepoId::new(RepoKind::Model, "a/b").unwrap();
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            shards(&repo, "index.json", &path)
        };
        let good = r#"{"metadata": {}, "weight_map": {"x": "2.bin", "y": "1.bin", "z": "2.bin"}}"#;
        assert_eq!(read(good).unwrap(), ["1.bin", "2.bin"]);
        for bad in [r#"{"weight_map": {"x": "../2.bin"}}"#, r#"{"weight_map": {}}"#, "{}", "not json"] {
            assert!(matches!(read(bad), Err(HubError::Index { .. })), "{bad}");
        }
    }

    #[test]
    fn plain_names_stay_inside() {
        for good in ["a", "a/b.c", "a b", ".gitattributes", "..a"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\nb"] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
