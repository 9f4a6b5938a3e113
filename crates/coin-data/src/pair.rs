//! A contrastive pair: one instance under two instructions.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Component;
use crate::io::json_text;

/// An entry of a file of pairs. The fields have the column names of the released data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// The instance in the original template.
    pub original_instruction: String,
    /// The same instance in another template.
    pub paraphrased_instruction: String,
    /// The target text, the same for both.
    pub targets: String,
    /// The task's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The part of the prompt in which the two texts differ; absent if it is the instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// The values that filled the templates, by placeholder. A value that is not a string is read as its JSON text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "keywords")]
    pub keywords: BTreeMap<String, String>,
    /// Where the two texts came from; absent unless the templates were reworded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wordings: Option<Wordings>,
}

/// Where the text of a wording came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wording {
    /// The template, with placeholders, before it was reworded.
    pub template: String,
    /// What reworded it; absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<String>,
}

/// The wordings of a pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wordings {
    /// Of the original.
    pub original: Wording,
    /// Of the paraphrase.
    pub paraphrase: Wording,
}

fn keywords<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = Option::<BTreeMap<String, serde_json::Value>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(values.into_iter().map(|(name, value)| (name, json_text(value))).collect())
}
