//! JSON files of instructions and frozen sets, with their audits and recipes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use coin_core::file::PartialFile;
use coin_core::json::message;
use coin_core::quote::cut;
use serde_json::Value;

use crate::audit::AuditRecord;
use crate::recipe::RECIPE_VERSION;
use crate::{CLEAN, FrozenSet, Instructions, PerturbError, Recipe};

/// Reads clean instructions: `{task: [instruction, ..]}`, or `{"clean": {task: [instruction, ..]}}`, in which other sets are
/// ignored.
///
/// # Errors
/// [`PerturbError::Io`], or [`PerturbError::Malformed`] with the task at fault.
pub fn read_clean(path: &Path) -> Result<Instructions, PerturbError> {
    let malformed = |message: String| PerturbError::Malformed { path: path.to_owned(), message };
    let mut object = read_object(path)?;
    let tasks = match object.remove(CLEAN) {
        Some(Value::Object(tasks)) => tasks,
        Some(other) => {
            object.insert(CLEAN.to_owned(), other);
            object
        }
        None => object,
    };
    let clean = instructions(tasks).map_err(malformed)?;
    // The same conditions as for a set that holds nothing else.
    FrozenSet::new(BTreeMap::from([(CLEAN.to_owned(), clean.clone())]))
        .map_err(|error| malformed(error.to_string()))?;
    Ok(clean)
}

/// Reads a frozen set: `{attack: {task: [instruction, ..]}}` with a set `clean`.
///
/// # Errors
/// [`PerturbError::Io`], or [`PerturbError::Malformed`] with the attack and task at fault.
pub fn read_frozen(path: &Path) -> Result<FrozenSet, PerturbError> {
    let malformed = |message: String| PerturbError::Malformed { path: path.to_owned(), message };
    let mut sets = BTreeMap::new();
    for (attack, value) in read_object(path)? {
        let Value::Object(tasks) = value else {
            return Err(malformed(format!("`{}`: expected an object of tasks, found {}", cut(&attack), kind(&value))));
        };
        let tasks = instructions(tasks).map_err(|message| malformed(format!("`{}`: {message}", cut(&attack))))?;
        sets.insert(attack, tasks);
    }
    FrozenSet::new(sets).map_err(|error| malformed(error.to_string()))
}

/// The path of the audit of the frozen set at `path`: `{path}.audit.jsonl`.
pub fn audit_path(path: &Path) -> PathBuf {
    with_suffix(path, ".audit.jsonl")
}

/// The path of the recipe of the frozen set at `path`: `{path}.recipe.json`.
pub fn recipe_path(path: &Path) -> PathBuf {
    with_suffix(path, ".recipe.json")
}

/// The path of the search log of the frozen set at `path`: `{path}.search.jsonl`.
pub fn search_log_path(path: &Path) -> PathBuf {
    with_suffix(path, ".search.jsonl")
}

/// Writes a frozen set to `path`, its audit to [`audit_path`] and its recipe to [`recipe_path`].
///
/// All three are written to temporary files and synced before the first is renamed, so a full disk changes nothing. They are renamed
/// one after the other: the recipe, which contains the hashes of the set, first and the set last. If the process ends in between,
/// [`verify`] rejects the set.
///
/// # Errors
/// [`PerturbError::Io`] with the file that could not be written.
pub fn write(path: &Path, set: &FrozenSet, audit: &[AuditRecord], recipe: &Recipe) -> Result<(), PerturbError> {
    let mut lines = Vec::new();
    for record in audit {
        serde_json::to_writer(&mut lines, record).map_err(|error| io(path, error.into()))?;
        lines.push(b'\n');
    }
    let files =
        [(recipe_path(path), json(path, recipe)?), (audit_path(path), lines), (path.to_owned(), json(path, set)?)];
    let mut finished = Vec::new();
    for (path, bytes) in &files {
        let file = PartialFile::create(path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.finish()
        });
        finished.push(file.map_err(|error| io(path, error))?);
    }
    for (file, (path, _)) in finished.into_iter().zip(&files) {
        file.publish().map_err(|error| io(path, error))?;
    }
    Ok(())
}

/// Reads the recipe of the frozen set at `path`, from [`recipe_path`].
///
/// # Errors
/// [`PerturbError::Io`], or [`PerturbError::Malformed`] if the file is not a recipe or has another version.
pub fn read_recipe(path: &Path) -> Result<Recipe, PerturbError> {
    let path = recipe_path(path);
    let object = read_object(&path)?;
    let malformed = |message: String| PerturbError::Malformed { path: path.clone(), message };
    match object.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(RECIPE_VERSION) => {}
        Some(version) => {
            return Err(malformed(format!("recipe of version {version}, expected {RECIPE_VERSION}")));
        }
        None => return Err(malformed("not a recipe: `version` is not a number".to_owned())),
    }
    serde_json::from_value(Value::Object(object))
        .map_err(|error| malformed(format!("not a recipe: {}", message(&error))))
}

/// Reads the frozen set at `path` and its recipe, and checks that the set has the hashes in the recipe.
///
/// # Errors
/// [`PerturbError::Altered`] naming the hashes that differ; those of [`read_frozen`] and [`read_recipe`].
pub fn verify(path: &Path) -> Result<(FrozenSet, Recipe), PerturbError> {
    let set = read_frozen(path)?;
    let recipe = read_recipe(path)?;
    let differing = recipe.differing_hashes(&set);
    if differing.is_empty() {
        Ok((set, recipe))
    } else {
        Err(PerturbError::Altered { path: path.to_owned(), differing: differing.join(" and ") })
    }
}

fn json<T: serde::Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, PerturbError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| io(path, error.into()))?;
    text.push(b'\n');
    Ok(text)
}

fn read_object(path: &Path) -> Result<serde_json::Map<String, Value>, PerturbError> {
    let malformed = |message: String| PerturbError::Malformed { path: path.to_owned(), message };
    let bytes = fs::read(path).map_err(|error| io(path, error))?;
    match coin_core::json::from_slice(&bytes)
        .map_err(|error| malformed(format!("invalid JSON: {}", message(&error))))?
    {
        Value::Object(object) => Ok(object),
        other => Err(malformed(format!("expected an object, found {}", kind(&other)))),
    }
}

fn instructions(tasks: serde_json::Map<String, Value>) -> Result<Instructions, String> {
    let mut result = Instructions::new();
    for (task, value) in tasks {
        let Value::Array(items) = value else {
            return Err(format!("task `{}`: expected a list of instructions, found {}", cut(&task), kind(&value)));
        };
        let texts: Result<Vec<String>, String> = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::String(text) => Ok(text),
                other => {
                    let (task, found) = (cut(&task), kind(&other));
                    Err(format!("task `{task}`, instruction {index}: expected text, found {found}"))
                }
            })
            .collect();
        result.insert(task, texts?);
    }
    Ok(result)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

fn io(path: &Path, source: std::io::Error) -> PerturbError {
    PerturbError::Io { path: path.to_owned(), source }
}
