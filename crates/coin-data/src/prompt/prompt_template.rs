//! The text around an instruction that already contains its input.

use coin_core::quote::cut;

use super::{Prompt, TRAINING_MARKER};
use crate::DataError;

/// A template that turns an instruction with its input into a prompt: the text before it, and the marker after it.
///
/// ```
/// use coin_data::PromptTemplate;
/// let template: PromptTemplate = "USER: {instruction}\nASSISTANT: ".parse()?;
/// assert_eq!(template.fill("Is this fine? He left.").render(), "USER: Is this fine? He left.\nASSISTANT: ");
/// assert!("no place".parse::<PromptTemplate>().is_err());
/// # Ok::<(), coin_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplate {
    before: String,
    marker: String,
}

/// The place of the instruction in a [`PromptTemplate`].
const PLACE: &str = "{instruction}";

impl PromptTemplate {
    /// Returns the prompt for a text.
    pub fn fill(&self, instruction: &str) -> Prompt {
        Prompt::new(format!("{}{instruction}", self.before), "").with_marker(&self.marker)
    }
}

impl Default for PromptTemplate {
    /// No text before, and the training marker.
    fn default() -> Self {
        PromptTemplate { before: String::new(), marker: TRAINING_MARKER.to_owned() }
    }
}

impl std::fmt::Display for PromptTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.marker)
    }
}

impl std::str::FromStr for PromptTemplate {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text.split_once(PLACE) {
            Some((before, marker)) if !marker.contains(PLACE) => {
                Ok(PromptTemplate { before: before.to_owned(), marker: marker.to_owned() })
            }
            _ => Err(DataError::Invalid(format!(
                "a prompt template must contain {PLACE} exactly once, got `{}`",
                cut(text)
            ))),
        }
    }
}
