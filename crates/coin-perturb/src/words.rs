//! Finds the words that may change, and replaces words.

use std::ops::Range;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use crate::Protected;
use crate::language::stop_words;

/// A word of a text and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'a> {
    /// Byte offset.
    pub start: usize,
    /// The word.
    pub text: &'a str,
}

impl Word<'_> {
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// The range of a word and its replacement.
pub(crate) type Edit = (Range<usize>, String);

/// The words of `text` (Unicode word segmentation), including stop words, that contain a letter, do not overlap `spans`, and begin and
/// end at grapheme boundaries.
pub(crate) fn free_words<'a>(text: &'a str, spans: &[Range<usize>]) -> Vec<Word<'a>> {
    let mut spans = spans.iter().peekable();
    let ascii = text.is_ascii();
    let mut words = Vec::with_capacity(text.len() / 5);
    for (start, word) in text.unicode_word_indices() {
        let end = start + word.len();
        while spans.next_if(|span| span.end <= start).is_some() {}
        if spans.peek().is_some_and(|span| span.start < end) || !word.chars().any(char::is_alphabetic) {
            continue;
        }
        if ascii || (is_grapheme_boundary(text, start) && is_grapheme_boundary(text, end)) {
            words.push(Word { start, text: word });
        }
    }
    words
}

/// [`free_words`] without stop words: the words that the attacks on words and characters may change.
pub(crate) fn content_words<'a>(text: &'a str, protected: &Protected) -> Vec<Word<'a>> {
    let mut words = free_words(text, &protected.spans(text));
    words.retain(|word| !stop_words::contains(word.text));
    words
}

/// True if `offset` of `text` lies between two graphemes.
pub(crate) fn is_grapheme_boundary(text: &str, offset: usize) -> bool {
    // The whole text is one chunk that starts at 0, so the cursor never asks for more context.
    GraphemeCursor::new(offset, text.len(), true).is_boundary(text, 0).unwrap_or(false)
}

/// Applies `edits` to `text`. While the result would change protected text (for example because a new word is a label word), the last
/// edit is dropped.
pub(crate) fn apply(text: &str, protected: &Protected, mut edits: Vec<Edit>) -> String {
    edits.sort_unstable_by_key(|(range, _)| range.start);
    loop {
        let mut result = String::with_capacity(text.len() + 32);
        let mut at = 0;
        for (range, replacement) in &edits {
            result.push_str(&text[at..range.start]);
            result.push_str(replacement);
            at = range.end;
        }
        result.push_str(&text[at..]);
        if edits.pop().is_none() || protected.intact(text, &result) {
            return result;
        }
    }
}

/// `word` in the case of `like`: all upper case, capitalized, or unchanged.
pub(crate) fn match_case(word: &str, like: &str) -> String {
    let mut letters = like.chars().filter(|character| character.is_alphabetic());
    let first_upper = letters.next().is_some_and(char::is_uppercase);
    let mut rest = letters.peekable();
    if first_upper && rest.peek().is_some() && rest.all(char::is_uppercase) {
        word.to_uppercase()
    } else if first_upper {
        capitalize(word)
    } else {
        word.to_owned()
    }
}

/// `text` with its first character in upper case, if that is a single character: the ligature in `ﬁne` stays.
pub(crate) fn capitalize(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if first.to_uppercase().count() == 1 => first.to_uppercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

/// `text` with its first character in lower case.
pub(crate) fn decapitalize(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_leave_out_what_is_protected() {
        let protected = Protected::new(["not_equivalent"]);
        let text = "Check it: not_equivalent, {pair}, can't. 12";
        let found: Vec<&str> = free_words(text, &protected.spans(text)).iter().map(|word| word.text).collect();
        assert_eq!(found, ["Check", "it", "can't"]);
        let found: Vec<&str> = content_words(text, &protected).iter().map(|word| word.text).collect();
        assert_eq!(found, ["Check", "can't"]);
    }

    #[test]
    fn edits_that_make_a_label_word_are_given_up() {
        let protected = Protected::new(["yes"]);
        let edits = vec![(0..3, "pick".to_owned()), (4..7, "yes".to_owned())];
        assert_eq!(apply("Say yea, yes", &protected, edits), "pick yea, yes");
    }

    #[test]
    fn case_is_kept() {
        assert_eq!(match_case("decide", "Determine"), "Decide");
        assert_eq!(match_case("decide", "DETERMINE"), "DECIDE");
        assert_eq!(match_case("decide", "determine"), "decide");
        assert_eq!(match_case("me", "I"), "Me");
        assert_eq!(capitalize("\u{fb01}ne"), "\u{fb01}ne");
    }
}
