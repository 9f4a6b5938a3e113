//! The choice of a repository's files from the list of all of them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use coin_core::CoreError;
use coin_core::model_files::{self, MODEL_WEIGHTS, is_weight};

use crate::error::HubError;
use crate::repo::RepoId;

const MODEL_REQUIRED: &[&str] = &["config.json"];
/// Extensions of a model's settings, of its tokenizer's files and of its chat template.
const SETTINGS_ENDINGS: &[&str] = &["jinja", "json", "model", "tiktoken", "txt"];
const ADAPTER_REQUIRED: &[&str] = &["adapter_config.json"];
const ADAPTER_WEIGHTS: &[&str] = &["adapter_model.safetensors", "adapter_model.bin"];

/// True if a program that loads the model may read the file: settings, tokenizer, chat template, at the top of the repository.
fn is_settings(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    !name.contains('/') && !name.starts_with('.') && SETTINGS_ENDINGS.contains(&ending) && !is_weight(name)
}

/// The files of a repository that a caller needs.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Files<'a> {
    /// The files of [`Settings`](Files::Settings), and the first of these weights: `model.safetensors`, the shards of its index,
    /// `pytorch_model.bin`, the shards of its index.
    Model,
    /// `config.json` and the other files that a program may read to load the model, except weights: the files at the top of the
    /// repository that end in `.json`, `.jinja`, `.model`, `.tiktoken` or `.txt` and are not [weights](coin_core::model_files::is_weight).
    Settings,
    /// `adapter_config.json` with `adapter_model.safetensors` or else `adapter_model.bin`.
    Adapter,
    /// Every file whose path in the repository (separated by `/`) the function accepts.
    Matching(&'a dyn Fn(&str) -> bool),
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Files::Model => "Model",
            Files::Settings => "Settings",
            Files::Adapter => "Adapter",
            Files::Matching(_) => "Matching(..)",
        })
    }
}

/// The files to download, and possibly an index. Its shards are known after it was downloaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) files: Vec<String>,
    pub(crate) index: Option<String>,
}

impl Files<'_> {
    /// Chooses files from `listing`, small files before weights. The error lists the missing files.
    pub(crate) fn plan(&self, listing: &BTreeSet<String>) -> Result<Plan, Vec<String>> {
        let (required, weights) = match self {
            Files::Model => (MODEL_REQUIRED, &MODEL_WEIGHTS[..]),
            Files::Settings => (MODEL_REQUIRED, &[][..]),
            Files::Adapter => (ADAPTER_REQUIRED, ADAPTER_WEIGHTS),
            Files::Matching(wanted) => {
                let files: Vec<String> = listing.iter().filter(|name| wanted(name)).cloned().collect();
                return match files.is_empty() {
                    true => Err(vec!["file that matches the request".to_owned()]),
                    false => Ok(Plan { files, index: None }),
                };
            }
        };
        let found = |name: &&&str| listing.contains(**name);
        let mut absent: Vec<String> = required.iter().filter(|name| !found(name)).map(|name| (*name).into()).collect();
        let chosen = weights.iter().find(found).copied();
        if chosen.is_none() && !weights.is_empty() {
            absent.push(weights.join(" or "));
        }
        if !absent.is_empty() {
            return Err(absent);
        }

        let mut plan = Plan { files: required.iter().map(|name| (*name).to_owned()).collect(), index: None };
        if matches!(self, Files::Model | Files::Settings) {
            plan.files
                .extend(listing.iter().filter(|name| is_settings(name) && !required.contains(&name.as_str())).cloned());
        }
        match chosen {
            Some(index) if index.ends_with(".index.json") => plan.index = Some(index.to_owned()),
            Some(file) => plan.files.push(file.to_owned()),
            None => {}
        }
        Ok(plan)
    }
}

/// The shards that the weight index at `path` lists, each once, sorted. An index at the root of a repository lists files in the same
/// folder.
pub(crate) fn shards(repo: &RepoId, index: &str, path: &Path) -> Result<Vec<String>, HubError> {
    let fault = |message: String| HubError::Index { repo: repo.to_string(), index: index.to_owned(), message };
    let shards = model_files::shards(path).map_err(|error| match error {
        CoreError::Malformed { message, .. } => fault(message),
        CoreError::Io { path, source } => HubError::Io { path, source },
        other => fault(other.to_string()),
    })?;
    match shards.iter().find(|name| !is_plain(name)) {
        Some(name) => Err(fault(format!("it lists {name:?}, which is not the name of a file in a repository"))),
        None => Ok(shards.into_iter().collect()),
    }
}

/// True if a file's name from the hub stays inside the snapshot's folder.
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
    fn settings_come_with_and_without_weights() {
        let settings = [
            "added_tokens.json",
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "merges.txt",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "vocab.json",
        ];
        let others = [
            ".gitattributes",
            "LICENSE",
            "README.md",
            "adapter_config.json",
            "checkpoint-5/trainer_state.json",
            "consolidated.00.pth",
            "model-00001-of-00002.safetensors",
            "model.Q4_K_M.gguf",
            "onnx/model.onnx_data",
            "original/params.json",
            "pytorch_model.bin.index.json",
            "training_args.bin",
        ];
        let all = listing(&[&settings[..], &others, &["model.safetensors"]].concat());
        let sorted = |files: Files<'_>| {
            let mut names = files.plan(&all).unwrap().files;
            names.sort();
            names
        };
        assert_eq!(sorted(Files::Settings), settings);
        let mut with_weights = [&settings[..], &["model.safetensors"]].concat();
        with_weights.sort();
        assert_eq!(sorted(Files::Model), with_weights);
        assert_eq!(Files::Settings.plan(&listing(&["tokenizer.json"])).unwrap_err(), ["config.json"]);
    }

    #[test]
    fn missing_files_are_listed() {
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
    fn shards_are_unique_and_inside_the_folder() {
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
