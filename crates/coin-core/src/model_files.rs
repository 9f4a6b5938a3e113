//! The files of a model folder: weights, settings, tokenizer, and one fingerprint of all that a model's answers depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::CoreError;

/// Names of a model's weights, the preferred first. A name that ends in `.index.json` includes the shards that it lists.
pub const MODEL_WEIGHTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// Same as [`MODEL_WEIGHTS`], for an adapter.
const ADAPTER_WEIGHTS: [&str; 4] = [
    "adapter_model.safetensors",
    "adapter_model.safetensors.index.json",
    "adapter_model.bin",
    "adapter_model.bin.index.json",
];

/// The configuration of a model.
pub const CONFIG: &str = "config.json";
const ADAPTER_CONFIG: &str = "adapter_config.json";

/// The settings of generation, with special tokens.
pub const GENERATION_CONFIG: &str = "generation_config.json";

/// The tokenizer in the format of the library `tokenizers`.
pub const TOKENIZER: &str = "tokenizer.json";

/// The tokenizer in the format of SentencePiece.
pub const SENTENCEPIECE_TOKENIZER: &str = "tokenizer.model";

/// The settings of the tokenizer, with special tokens.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// Optional files that a model's answers depend on besides configuration and weights.
const TOKENIZER_FILES: [&str; 4] = [GENERATION_CONFIG, TOKENIZER, SENTENCEPIECE_TOKENIZER, TOKENIZER_CONFIG];

/// Extensions of files with weights in the format of any program, and of a program's training state.
const WEIGHT_EXTENSIONS: [&str; 25] = [
    "bin",
    "ckpt",
    "engine",
    "ggml",
    "gguf",
    "h5",
    "llamafile",
    "mlmodel",
    "mlpackage",
    "msgpack",
    "nemo",
    "npy",
    "npz",
    "onnx",
    "onnx_data",
    "ot",
    "pb",
    "pdparams",
    "pickle",
    "pkl",
    "pt",
    "pte",
    "pth",
    "safetensors",
    "tflite",
];

/// True if `name` is the name of a file with weights, of a shard, or of an index of shards: one of its extensions is that of weights,
/// as in `model-00001-of-00002.safetensors` and `pytorch_model.bin.index.json`. The settings of an adapter count as weights.
///
/// The other files at the top of a model folder describe the model independently of its weights. They are kept when the weights are
/// replaced.
///
/// ```
/// use coin_core::model_files::is_weight;
/// assert!(is_weight("model.safetensors.index.json") && is_weight("consolidated.00.pth") && is_weight("adapter_config.json"));
/// assert!(!is_weight("tokenizer.model") && !is_weight("chat_template.jinja") && !is_weight("LICENSE"));
/// ```
pub fn is_weight(name: &str) -> bool {
    let mut extensions = name.split('.').skip(1).map(str::to_ascii_lowercase);
    name == ADAPTER_CONFIG || extensions.any(|extension| WEIGHT_EXTENSIONS.contains(&extension.as_str()))
}

/// Returns the names of the shards that the weight index at `path` lists, sorted. The files are relative to the folder of the index.
/// They are not checked here, and their names may point outside of the folder.
///
/// # Errors
/// [`CoreError::Io`] if the index cannot be read; [`CoreError::Malformed`] if it is not JSON with an object `weight_map` from tensors to
/// files, or lists no files.
pub fn shards(path: &Path) -> Result<BTreeSet<String>, CoreError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let malformed = |line, message| CoreError::Malformed { path: path.to_owned(), line, message };
    let text = std::fs::read(path).map_err(CoreError::io(path))?;
    let index: Index =
        crate::json::from_slice(&text).map_err(|error| malformed(error.line(), crate::json::message(&error)))?;
    match index.weight_map.is_empty() {
        true => Err(malformed(0, "`weight_map` lists no files".to_owned())),
        false => Ok(index.weight_map.into_values().collect()),
    }
}

/// Returns a hash of everything that the answers of a model depend on: its configuration, the weights that are loaded, the tokenizer, the
/// generation settings, the files of the adapter, and `number_format`, the caller's description of how the weights are held in memory
/// (empty for the default).
///
/// It is the SHA-256, in lower-case hexadecimal, of the lines that `sha256sum` prints for these files, sorted by name, then the same for
/// the adapter's files with `adapter/` before their names, then `number_format`. Other files in the folders, such as results of an
/// evaluation, do not change it. Every byte of the weights is read: about a second per GB from memory.
///
/// # Errors
/// [`CoreError::Io`] if `config.json`, `adapter_config.json` or the weights are missing or a file cannot be read;
/// [`CoreError::Malformed`] for a damaged weight index.
///
/// ```
/// use coin_core::model_files::fingerprint;
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("config.json"), "{}")?;
/// std::fs::write(folder.path().join("model.safetensors"), "weights")?;
/// let first = fingerprint(folder.path(), None, "")?;
/// assert_eq!(first.len(), 64);
/// std::fs::write(folder.path().join("summary.json"), "{}")?;
/// assert_eq!(fingerprint(folder.path(), None, "")?, first);
/// std::fs::write(folder.path().join("tokenizer.json"), "{}")?;
/// assert_ne!(fingerprint(folder.path(), None, "")?, first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fingerprint(model: &Path, adapter: Option<&Path>, number_format: &str) -> Result<String, CoreError> {
    let mut hash = Sha256::new();
    let mut add = |prefix: &str, folder: &Path, names: BTreeSet<String>| -> Result<(), CoreError> {
        for name in names {
            let path = folder.join(&name);
            let of_file = sha256(&path).map_err(CoreError::io(&path))?;
            hash.update(format!("{of_file}  {prefix}{name}\n"));
        }
        Ok(())
    };
    let mut names = weights(model, MODEL_WEIGHTS)?;
    names.insert(CONFIG.to_owned());
    names.extend(TOKENIZER_FILES.iter().filter(|name| model.join(name).exists()).map(|name| (*name).to_owned()));
    add("", model, names)?;
    if let Some(adapter) = adapter {
        let mut names = weights(adapter, ADAPTER_WEIGHTS)?;
        names.insert(ADAPTER_CONFIG.to_owned());
        add("adapter/", adapter, names)?;
    }
    hash.update(number_format);
    Ok(hexadecimal(hash))
}

/// The first of `preferred` that exists in `folder`, with its shards if it is an index.
fn weights(folder: &Path, preferred: [&str; 4]) -> Result<BTreeSet<String>, CoreError> {
    let Some(found) = preferred.into_iter().find(|name| folder.join(name).exists()) else {
        let message = format!("no weights, expected {}", preferred.join(" or "));
        return Err(CoreError::io(folder)(io::Error::new(io::ErrorKind::NotFound, message)));
    };
    let mut names = BTreeSet::from([found.to_owned()]);
    if found.ends_with(".index.json") {
        names.extend(shards(&folder.join(found))?);
    }
    Ok(names)
}

/// SHA-256 of a file in lower-case hexadecimal, read in pieces because a file may be larger than the memory.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hexadecimal(hash)),
            length => hash.update(&piece[..length]),
        }
    }
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_fingerprint_is_that_of_the_lines_of_sha256sum() {
        let model = folder(&[("config.json", "a\n"), ("model.safetensors", "b\n")]);
        // $ sha256sum config.json model.safetensors | sha256sum
        let expected = "94793e72ba63a8bde7360ef60938b4ad2164b2fc85f5e3d14558e51cc300f500";
        assert_eq!(fingerprint(model.path(), None, "").unwrap(), expected);
        // $ (sha256sum config.json model.safetensors; printf bf16) | sha256sum
        assert_eq!(
            fingerprint(model.path(), None, "bf16").unwrap(),
            "eabea5160ddc1d330575399452c89c18d17dded597230afc17968387e1c102f2"
        );
    }

    #[test]
    fn every_file_that_is_loaded_counts_and_no_other() {
        let model = folder(&[("config.json", "{}"), ("model.safetensors", "w"), ("tokenizer.json", "{}")]);
        let adapter = folder(&[("adapter_config.json", "{}"), ("adapter_model.bin", "w")]);
        let now = || fingerprint(model.path(), Some(adapter.path()), "").unwrap();
        let first = now();
        assert_ne!(first, fingerprint(model.path(), None, "").unwrap());
        for name in ["summary.json", "representations.safetensors", "pytorch_model.bin", "README.md"] {
            std::fs::write(model.path().join(name), "x").unwrap();
            assert_eq!(now(), first, "{name}");
        }
        std::fs::write(adapter.path().join("training_args.bin"), "x").unwrap();
        assert_eq!(now(), first);
        let mut seen = BTreeSet::from([first]);
        let loaded = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"];
        for name in loaded.iter().chain(&["generation_config.json"]) {
            std::fs::write(model.path().join(name), "other").unwrap();
            assert!(seen.insert(now()), "{name}");
        }
        for name in ["adapter_config.json", "adapter_model.bin", "adapter_model.safetensors"] {
            std::fs::write(adapter.path().join(name), "other").unwrap();
            assert!(seen.insert(now()), "{name}");
        }
        // The PyTorch weights are loaded where the others are missing.
        std::fs::remove_file(model.path().join("model.safetensors")).unwrap();
        assert!(seen.insert(now()));
    }

    #[test]
    fn an_index_includes_its_shards() {
        let index = r#"{"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}"#;
        let model = folder(&[("config.json", "{}"), ("model.safetensors.index.json", index), ("1.safetensors", "1")]);
        let found = shards(&model.path().join("model.safetensors.index.json")).unwrap();
        assert_eq!(found, ["1.safetensors", "2.safetensors"].map(str::to_owned).into());
        let error = fingerprint(model.path(), None, "").unwrap_err().to_string();
        assert!(error.contains("2.safetensors"), "{error}");
        let write = |text| std::fs::write(model.path().join("2.safetensors"), text).unwrap();
        // The byte that differs lies in the middle of a long file.
        let mut bytes = vec![0_u8; 5 << 20];
        write(bytes.clone());
        let first = fingerprint(model.path(), None, "").unwrap();
        bytes[5 << 19] = 1;
        write(bytes);
        assert_ne!(fingerprint(model.path(), None, "").unwrap(), first);
        for bad in
            ["{}", r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 1}}"#, r#"{"weight_map": {"a": "1", "a": "2"}}"#]
        {
            std::fs::write(model.path().join("model.safetensors.index.json"), bad).unwrap();
            assert!(matches!(fingerprint(model.path(), None, ""), Err(CoreError::Malformed { .. })), "{bad}");
        }
    }

    #[test]
    fn weights_are_required() {
        let model = folder(&[("config.json", "{}")]);
        let error = fingerprint(model.path(), None, "").unwrap_err().to_string();
        assert!(error.contains("no weights, expected model.safetensors or "), "{error}");
    }
}
