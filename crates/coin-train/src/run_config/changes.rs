//! Comparison of the settings of two runs.

use std::collections::{BTreeMap, BTreeSet};

use coin_core::quote::cut;

use super::RENAMED;
use crate::config::TrainPreset;
use crate::{RunConfig, TrainError};

impl RunConfig {
    /// Returns the keys whose values differ from those of another resolved configuration, `other`, with both values. It omits
    /// keys that affect the result by rounding at most: the run folder, the interval and number of checkpoints, the devices,
    /// gradient checkpointing and, under preset `strict`, the size of micro-batches. A run that exceeded a device's memory can
    /// therefore resume with less, or on another device.
    ///
    /// # Errors
    /// `other` is not TOML.
    pub fn changes(&self, other: &str) -> Result<Vec<String>, TrainError> {
        let wrong = |message: String| TrainError::Config { origin: "resolved configuration".to_owned(), message };
        let ours = toml::Table::try_from(self).map_err(|error| wrong(error.to_string()))?;
        let theirs: toml::Table =
            other.parse().map_err(|error: toml::de::Error| wrong(cut(&error.to_string()).into_owned()))?;
        let (ours, theirs) = (flat(&ours), flat(&theirs));
        let kept = ["out", "train.checkpoint_every", "train.keep_checkpoints"];
        let resources = ["train.gradient_checkpointing", "train.device"];
        let mut free: Vec<String> = kept.into_iter().chain(resources).map(str::to_owned).collect();
        // Runs of earlier versions have the old names.
        free.extend(RENAMED.map(|(table, old, _)| format!("{table}.{old}")));
        if self.train.preset == TrainPreset::Strict {
            free.push("train.micro_batch_pairs".to_owned());
        }
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differing = keys.into_iter().filter(|key| !free.contains(key) && ours.get(*key) != theirs.get(*key));
        let say = |value: Option<&String>| value.map_or("not set".into(), |value| cut(value).into_owned());
        Ok(differing.map(|key| format!("{} ({} -> {})", cut(key), say(theirs.get(key)), say(ours.get(key)))).collect())
    }
}

/// The values of a table by dotted key.
fn flat(table: &toml::Table) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                out.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            // The order of modules and layers does not matter.
            toml::Value::Array(items) if ["target_modules", "layers"].contains(&key.as_str()) => {
                let items: BTreeSet<String> = items.iter().map(ToString::to_string).collect();
                out.insert(key.clone(), format!("[{}]", Vec::from_iter(items).join(", ")));
            }
            value => {
                out.insert(key.clone(), value.to_string());
            }
        }
    }
    out
}
