//! What a change of one word must keep: the constraints of the published attacks.
//!
//! An attack holds [`Constraints`]; a search asks them through [`Attack::allows`](crate::Attack::allows), and a frozen
//! perturbation makes no change that they forbid. That a word is changed at most once, and that label words stay, is
//! seen to elsewhere: by the search and by [`Protected`](crate::Protected).

mod edit_distance;
mod embedding_cosine;
mod part_of_speech;
mod sentence_similarity;
mod stop_words;

use std::fmt;
use std::sync::Arc;

pub use edit_distance::EditDistance;
pub use embedding_cosine::EmbeddingCosine;
pub use part_of_speech::PartOfSpeech;
pub use sentence_similarity::{Metric, Scope, SentenceSimilarity};
pub use stop_words::StopWords;

use crate::Change;

/// A condition on the replacement of one word.
pub trait Constraint: fmt::Debug + Send + Sync {
    /// Short name, such as `edit_distance`.
    fn name(&self) -> &'static str;

    /// Settings by name, for the recipe.
    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether `change` may be made.
    fn allows(&self, change: &Change) -> bool;
}

/// The constraints of an attack, all of which a change has to meet.
///
/// ```
/// use coin_perturb::constraint::{Constraints, EditDistance, StopWords};
/// let constraints = Constraints::default().with(StopWords).with(EditDistance { at_most: 30 });
/// assert_eq!(constraints.to_string(), "stop_words; edit_distance(at_most=30)");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Constraints(Vec<Arc<dyn Constraint>>);

impl Constraints {
    /// These and `constraint` beside them.
    #[must_use]
    pub fn with(mut self, constraint: impl Constraint + 'static) -> Constraints {
        self.0.push(Arc::new(constraint));
        self
    }

    /// Whether every constraint allows `change`.
    pub fn allow(&self, change: &Change) -> bool {
        self.first_against(change).is_none()
    }

    /// The first constraint that does not allow `change`; `None` where all do.
    pub fn first_against(&self, change: &Change) -> Option<&dyn Constraint> {
        self.0.iter().find(|constraint| !constraint.allows(change)).map(Arc::as_ref)
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, constraint) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            formatter.write_str(constraint.name())?;
            let settings: Vec<String> =
                constraint.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !settings.is_empty() {
                write!(formatter, "({})", settings.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Hands `change` of the word `from` of `clean` into `to` over to `test`.
#[cfg(test)]
pub(crate) fn with_change<T>(clean: &str, from: &str, to: &str, test: impl FnOnce(&Change) -> T) -> T {
    let start = clean.find(from).unwrap();
    let word = start..start + from.len();
    let after = format!("{}{to}{}", &clean[..word.start], &clean[word.end..]);
    test(&Change { clean, before: clean, word, replacement: to, after: &after })
}
