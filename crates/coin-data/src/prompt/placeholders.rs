//! Placeholders for the input and its fields in an instruction.

use std::collections::BTreeMap;
use std::ops::Range;

use coin_core::quote::cut;

use super::{Placement, Prompt};
use crate::template::other_name;
use crate::{DataError, Task};

/// The placeholder of the whole input.
pub(super) const CONTENT: &str = "content";

/// The names of the placeholders in `instruction`, in order.
///
/// A placeholder is a name in single braces: letters, digits and `_`, not starting with a digit. All other braces are text:
/// `{ "a": 1 }`, `{}`, `{{name}}`.
pub(super) fn placeholders(instruction: &str) -> impl Iterator<Item = &str> {
    spans(instruction).map(|(_, name)| name)
}

/// True if `instruction` contains a placeholder for the input of `task`. Otherwise the input follows the instruction.
///
/// # Errors
/// [`DataError::Invalid`] for a placeholder that is neither `{content}` nor a field of the task. The message lists the valid names.
pub fn places_input(instruction: &str, task: &Task) -> Result<bool, DataError> {
    let fields = task.fields();
    let known = |name: &str| fields.contains(&name) || other_name(name).is_some_and(|other| fields.contains(&other));
    let mut places = false;
    for name in placeholders(instruction) {
        if name != CONTENT && !known(name) {
            let known: Vec<String> = [CONTENT].iter().chain(&fields).map(|name| format!("{{{name}}}")).collect();
            return Err(DataError::Invalid(format!(
                "task `{}`: unknown placeholder {{{}}} in the instruction `{}`, expected one of: {}",
                cut(&task.name),
                cut(name),
                cut(instruction),
                cut(&known.join(", "))
            )));
        }
        places = true;
    }
    Ok(places)
}

/// Fills `{content}` in `instruction` with `input`, for an input that is not an example of a task. Returns `None` if `instruction` does
/// not contain `{content}`.
///
/// # Errors
/// [`DataError::Invalid`] for any other placeholder.
///
/// ```
/// use coin_data::fill_content;
/// assert_eq!(fill_content("Is '{content}' fine?", "It rains.")?.as_deref(), Some("Is 'It rains.' fine?"));
/// assert_eq!(fill_content("Is this fine? ", "It rains.")?, None);
/// assert!(fill_content("Is {sentence} fine?", "It rains.").is_err());
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn fill_content(instruction: &str, input: &str) -> Result<Option<String>, DataError> {
    if let Some(other) = placeholders(instruction).find(|name| *name != CONTENT) {
        return Err(DataError::Invalid(format!(
            "unknown placeholder {{{}}} in the instruction `{}`, expected {{{CONTENT}}}",
            cut(other),
            cut(instruction)
        )));
    }
    let prompt = Prompt { placement: Placement::Within(BTreeMap::new()), ..Prompt::new(instruction, "") };
    Ok(placeholders(instruction).next().map(|_| prompt.question(input)))
}

/// The placeholders of `text`: the range of each, including its braces, and its name.
pub(super) fn spans(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let bytes = text.as_bytes();
    let place = move |(open, _): (usize, &str)| {
        let rest = &text[open + 1..];
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|length| *length > 0)?;
        let close = open + 1 + length;
        let doubled = open > 0 && bytes[open - 1] == b'{' || bytes.get(close + 1) == Some(&b'}');
        let is_name = bytes[close] == b'}' && !bytes[open + 1].is_ascii_digit() && !doubled;
        is_name.then(|| (open..close + 1, &rest[..length]))
    };
    text.match_indices('{').filter_map(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_a_name_in_single_braces() {
        let names: Vec<&str> = placeholders(r#"{premise} {{no}} { "a": 1 } {0} {} {b c} {{ {hypothesis}"#).collect();
        assert_eq!(names, ["premise", "hypothesis"]);
    }
}
