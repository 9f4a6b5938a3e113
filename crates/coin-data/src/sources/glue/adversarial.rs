//! Reads AdvGLUE's file of adversarial GLUE examples (Wang et al. 2021): `{task: [{field: text, .., "label": class}, ..]}`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::io::header::column;
use crate::io::json_text;
use crate::sources::glue::class_of;
use crate::sources::glue::form::Form;
use crate::{DataError, Instance, Task};
use coin_core::file::read_to_string;
use coin_core::json;
use coin_core::quote::cut;

/// Reads the examples of the task called `task` from AdvGLUE's `dev_ann.json` or `dev.json`.
///
/// The tasks are sst2, qqp, mnli_matched (AdvGLUE's `mnli`), mnli_mismatched (`mnli-mm`), mnli (both, in this order),
/// qnli and rte. [`Instance::row`] counts from 0.
///
/// # Errors
/// - [`DataError::UnknownTask`]; [`DataError::Io`];
/// - [`DataError::Malformed`] with the line for another structure, or with the number of an example that lacks a field or
///   has an unknown label;
/// - [`DataError::Empty`] if the file lacks examples of the task.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("dev.json");
/// std::fs::write(&path, r#"{"mnli-mm": [{"premise": "A cat slpet.", "hypothesis": "A cat slept.", "label": 0, "idx": 0}]}"#)?;
/// let rows = coin_data::glue::read_adversarial(&path, "mnli_mismatched")?;
/// assert_eq!(rows[0].fields["premise"], "A cat slpet.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_adversarial(path: impl AsRef<Path>, task: &str) -> Result<Vec<Instance>, DataError> {
    let path = path.as_ref();
    let task = Task::named(task)?;
    let form = Form::of(&task)?;
    let malformed = |line, message| DataError::Malformed { path: path.to_owned(), line, message };
    let mut sets: BTreeMap<String, Vec<Map<String, Value>>> =
        json::from_str(&read_to_string(path)?).map_err(|error| {
            malformed(error.line(), format!("expected {{task: [{{field: text}}, ..]}}: {}", json::message(&error)))
        })?;
    let names: &[&str] = match task.name.as_str() {
        "mnli" => &["mnli", "mnli-mm"],
        "mnli_matched" => &["mnli"],
        "mnli_mismatched" => &["mnli-mm"],
        other => &[other],
    };
    let mut instances = Vec::new();
    for &name in names {
        for (at, mut example) in sets.remove(name).unwrap_or_default().into_iter().enumerate() {
            let keys: Vec<String> = example.keys().cloned().collect();
            let mut take = |names: &[&str]| {
                let value = column(&keys, names).and_then(|place| example.remove(&keys[place]));
                value.filter(|value| !value.is_null()).map(json_text).ok_or_else(|| {
                    malformed(
                        0,
                        format!(
                            "`{name}`, example {at}: no `{}`, only: {}",
                            names.join("` or `"),
                            cut(&keys.join(", "))
                        ),
                    )
                })
            };
            let found = take(form.label)?;
            let label = class_of(&task, &found)
                .ok_or_else(|| malformed(0, format!("`{name}`, example {at}: unknown label `{}`", cut(&found))))?;
            let fields = form.fields.iter().map(|(field, names)| Ok(((*field).to_owned(), take(names)?)));
            let fields = fields.collect::<Result<_, DataError>>()?;
            instances.push(Instance { task: task.name.clone(), row: instances.len(), fields, label });
        }
    }
    if instances.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), what: "example of the task" });
    }
    Ok(instances)
}
