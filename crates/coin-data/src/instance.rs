//! A labeled example of a task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An example of a task: named text fields and a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The task's name, such as `cola`.
    pub task: String,
    /// Row number in its data set.
    pub row: usize,
    /// Texts by field name, such as `sentence`, or `premise` and `hypothesis`.
    pub fields: BTreeMap<String, String>,
    /// The class number, as in GLUE.
    pub label: usize,
}

impl Instance {
    /// Creates an instance from its parts.
    ///
    /// ```
    /// let instance = coin_data::Instance::new("cola", 0, [("sentence", "The boat sank.")], 1);
    /// assert_eq!(instance.fields["sentence"], "The boat sank.");
    /// ```
    pub fn new<K: Into<String>, V: Into<String>>(
        task: impl Into<String>,
        row: usize,
        fields: impl IntoIterator<Item = (K, V)>,
        label: usize,
    ) -> Self {
        Instance {
            task: task.into(),
            row,
            fields: fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            label,
        }
    }

    /// The texts by field, with single spaces between words. Two rows have the same content if their keys are equal.
    pub fn content_key(&self) -> BTreeMap<&str, String> {
        self.fields.iter().map(|(name, text)| (name.as_str(), single_spaced(text))).collect()
    }

    /// True if `other` has the same texts. Row, label and white space between words are ignored.
    pub(crate) fn same_content(&self, other: &Instance) -> bool {
        self.fields == other.fields || self.content_key() == other.content_key()
    }
}

/// The words of `text`, separated by single spaces.
pub(crate) fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_row_do_not_change_the_content() {
        let row = |row, text| Instance::new("sst2", row, [("sentence", text)], 1);
        assert!(row(0, "a fine film ").same_content(&row(7, "a fine  film")));
        assert!(!row(0, "a fine film").same_content(&row(7, "a film")));
    }
}
