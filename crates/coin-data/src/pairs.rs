//! Contrastive pairs: one instance under two instructions, and its hard negative beside it.
//!
//! A *pair* is one entry: an original text and its paraphrase, both of the same instance (paper, section 3). A
//! *couple* is two adjacent entries, at an even index and the odd one after it. Each is the other's hard negative:
//! another instance of the same task under the same original instruction, with another target. Entries never move
//! singly, only whole couples, and odd numbers of entries are refused.

mod builder;
mod check;
mod columns;
mod from_worded;
mod hold_out;
mod instances;
mod negatives;
mod order;
#[cfg(feature = "parquet")]
mod parquet;
mod read;
mod source;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

pub use builder::{PairBuilder, PairReport, Variation};
pub use check::{PairsReport, TaskCounts};
pub use from_worded::{WordedReport, from_worded};
pub use hold_out::{HeldOut, hold_out, hold_out_last};
pub use instances::InstanceGroups;
pub use negatives::Negatives;
pub use order::{interleave, shuffle_couples};
pub use read::{PairStream, ReadOptions, ReadReport, read, read_jsonl, read_with, stream};

use crate::json_text::json_text;
use crate::{Component, DataError};
use coin_core::file::write_atomically;

/// One entry, with the columns of the released data as field names.
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
    /// The part of the prompt in which the two texts differ, where it is not the instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// The values that filled the templates, by placeholder. A value that is no string is read as its JSON text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "keywords")]
    pub keywords: BTreeMap<String, String>,
}

fn keywords<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = Option::<BTreeMap<String, serde_json::Value>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(values.into_iter().map(|(name, value)| (name, json_text(value))).collect())
}

/// Writes pairs as JSON lines, the whole file or nothing.
///
/// # Errors
/// [`DataError::Io`].
///
/// ```
/// use coin_data::pairs::{Pair, read_jsonl, write_jsonl};
/// let pair = |sentence: &str, target: &str| Pair {
///     original_instruction: format!("Is this well formed? {sentence}"),
///     paraphrased_instruction: format!("{sentence} Would you call that well formed?"),
///     targets: target.to_owned(),
///     task: Some("cola".to_owned()),
///     component: None,
///     keywords: [("sentence".to_owned(), sentence.to_owned())].into(),
/// };
/// let couple = vec![pair("The dog ran.", "acceptable"), pair("Dog the ran.", "unacceptable")];
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pairs.jsonl");
/// write_jsonl(&path, &couple)?;
/// assert_eq!(read_jsonl(&path)?, couple);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_jsonl(path: impl AsRef<Path>, pairs: &[Pair]) -> Result<(), DataError> {
    Ok(write_atomically(path, |writer| {
        for pair in pairs {
            serde_json::to_writer(&mut *writer, pair)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Pair>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        std::fs::write(&path, text).unwrap();
        read_jsonl(&path)
    }

    const LINE: &str = r#"{"original_instruction":"a","paraphrased_instruction":"b","targets":"c"}"#;

    #[test]
    fn optional_columns_may_be_absent_null_or_of_other_types() {
        let full = r#"{"original_instruction":"a","paraphrased_instruction":"b","targets":"c","task":null,
            "keywords":{"idx":3,"options":["x","y"],"text":"t"},"more":1}"#
            .replace('\n', "");
        let pairs = read(&format!("{LINE}\n\n{full}\n")).unwrap();
        assert_eq!(pairs[0].keywords, BTreeMap::new());
        assert_eq!((pairs[1].task.as_ref(), pairs[1].keywords["idx"].as_str()), (None, "3"));
        assert_eq!((&*pairs[1].keywords["options"], &*pairs[1].keywords["text"]), (r#"["x","y"]"#, "t"));
        assert_eq!(serde_json::to_string(&pairs[0]).unwrap(), LINE);
    }

    #[test]
    fn bad_files_are_refused_with_their_line() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert!(
            message(&format!("{LINE}\n{{\"targets\":\"c\"}}\n")).contains("pairs.jsonl:2: not a pair: missing field")
        );
        assert!(message(LINE).contains("pairs.jsonl: 1 pairs, expected an even number"));
        assert!(message("\n").ends_with("pairs.jsonl holds no pair"));
    }
}
