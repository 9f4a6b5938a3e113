//! The place at which a sentence-level attack inserts its text.

use crate::protected::MARKER;

/// Splits `instruction` before the first response marker.
pub(crate) fn split_marker(instruction: &str) -> (&str, &str) {
    instruction.split_at(instruction.find(MARKER).unwrap_or(instruction.len()))
}

/// Splits `text` before its final punctuation (`.`, `:`, `?`, `!`) and the white space after it.
pub(crate) fn split_ending(text: &str) -> (&str, &str) {
    let core = text.trim_end().trim_end_matches(['.', ':', '?', '!']).trim_end();
    text.split_at(core.len())
}

/// Inserts `insert` after the last word of `instruction`, before the final punctuation and the response marker.
pub(crate) fn insert(instruction: &str, insert: &str) -> String {
    let (body, _) = split_marker(instruction);
    let (core, _) = split_ending(body);
    let insert = if core.is_empty() { insert.trim_start() } else { insert };
    format!("{core}{insert}{}", &instruction[core.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_punctuation_and_marker() {
        assert_eq!(insert("Say 'yes' or 'no': ", " X"), "Say 'yes' or 'no' X: ");
        assert_eq!(insert("Is it so? \n\n### Response:\n", " X"), "Is it so X? \n\n### Response:\n");
        assert_eq!(insert("Decide", " X"), "Decide X");
        assert_eq!(insert("", " X"), "X");
        assert_eq!(insert("...", " X"), "X...");
    }
}
