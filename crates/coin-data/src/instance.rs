//! One labelled example of a task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An example of a task: named text fields and the class it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The task's name, such as `cola`.
    pub task: String,
    /// Row number in the data set it comes from.
    pub row: usize,
    /// Field name to text, such as `sentence` or `premise` and `hypothesis`.
    pub fields: BTreeMap<String, String>,
    /// The class, as GLUE numbers it.
    pub label: usize,
}

impl Instance {
    /// An instance from its parts.
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
}
