//! The part of the prompt in which the two texts of a pair differ.

use std::collections::BTreeSet;

use crate::Component;

/// The part of the prompt in which the two texts of a pair differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Variation {
    /// The instruction: another template (the paper's, and the default).
    #[default]
    Instruction,
    /// The system text: another of these. At least two must be different.
    System(Vec<String>),
    /// The worked examples: this number of other instances of the task, at least one.
    Demonstrations(usize),
}

impl Variation {
    pub(super) fn component(&self) -> Component {
        match self {
            Variation::Instruction => Component::Instruction,
            Variation::System(_) => Component::System,
            Variation::Demonstrations(_) => Component::Demonstrations,
        }
    }

    /// Refuses a variation that cannot give `paraphrases` other texts of an instance out of `rows` rows.
    pub(super) fn check(&self, paraphrases: usize, rows: usize) -> Result<(), String> {
        match self {
            Variation::Instruction => Ok(()),
            Variation::System(texts) => {
                let different = texts.iter().collect::<BTreeSet<_>>().len();
                match different > paraphrases {
                    true => Ok(()),
                    false => {
                        let least = paraphrases.saturating_add(1);
                        Err(format!("{different} different system texts, expected at least {least}"))
                    }
                }
            }
            Variation::Demonstrations(0) => Err("0 demonstrations, expected at least 1".to_owned()),
            Variation::Demonstrations(count) if rows <= *count => {
                Err(format!("{rows} rows, expected more than the {count} demonstrations"))
            }
            Variation::Demonstrations(_) => Ok(()),
        }
    }
}
