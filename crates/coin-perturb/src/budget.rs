//! The severity of a frozen attack: how much of an instruction it changes.

use std::fmt;
use std::str::FromStr;

use coin_core::quote::cut;

use crate::PerturbError;
use crate::audit::edit_distance;

/// The amount of an instruction that a frozen attack changes. Every attack on words or characters changes at least one word if its
/// constraints allow any.
///
/// ```
/// use coin_perturb::Budget;
/// assert_eq!("0.5".parse::<Budget>()?, Budget::Share(0.5));
/// assert_eq!("3words".parse::<Budget>()?, Budget::Words(3));
/// assert_eq!("20characters".parse::<Budget>()?.to_string(), "20characters");
/// assert_eq!("1 word".parse::<Budget>()?, Budget::Words(1));
/// assert!("0words".parse::<Budget>().is_err());
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// Share of the content words, rounded to whole words. Above 0, at most 1.
    Share(f64),
    /// Maximum number of words, at least 1.
    Words(usize),
    /// Maximum number of characters, at least 1: the sum of the Levenshtein distances of the changed words, in graphemes.
    Characters(usize),
}

impl Budget {
    /// The number of words to change out of `count`.
    pub(crate) fn words(self, count: usize) -> usize {
        match self {
            Budget::Share(share) => ((count as f64 * share).round() as usize).clamp(1, count.max(1)),
            Budget::Words(words) => words.min(count),
            Budget::Characters(_) => count,
        }
    }

    /// The remaining characters after `word` is replaced by `replacement`; `None` if too few are left.
    pub(crate) fn spend(left: Option<usize>, word: &str, replacement: &str) -> Option<Option<usize>> {
        match left {
            None => Some(None),
            Some(left) => left.checked_sub(edit_distance(word, replacement)).map(Some),
        }
    }

    /// The budget in plain English, for messages: `a share of 0.5`, `3 words`, `20 characters`.
    pub(crate) fn describe(self) -> String {
        let counted = |count: usize, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        match self {
            Budget::Share(share) => format!("a share of {share}"),
            Budget::Words(words) => counted(words, "word"),
            Budget::Characters(characters) => counted(characters, "character"),
        }
    }

    /// The maximum number of characters, if the budget counts characters.
    pub(crate) fn characters(self) -> Option<usize> {
        match self {
            Budget::Characters(characters) => Some(characters),
            _ => None,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Budget::Share(share) => write!(f, "{share}"),
            Budget::Words(words) => write!(f, "{words}words"),
            Budget::Characters(characters) => write!(f, "{characters}characters"),
        }
    }
}

impl FromStr for Budget {
    type Err = PerturbError;

    fn from_str(text: &str) -> Result<Self, PerturbError> {
        let number = |digits: &str| digits.trim_end().parse::<usize>().ok().filter(|number| *number > 0);
        let counted = |unit: &str| text.strip_suffix('s').unwrap_or(text).strip_suffix(unit);
        let budget = match (counted("word"), counted("character")) {
            (Some(digits), _) => number(digits).map(Budget::Words),
            (_, Some(digits)) => number(digits).map(Budget::Characters),
            _ => text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0).map(Budget::Share),
        };
        budget.ok_or_else(|| {
            PerturbError::Budget(format!(
                "`{}`, expected a share (`0.5`), words (`3words`) or characters (`20characters`)",
                cut(text)
            ))
        })
    }
}
