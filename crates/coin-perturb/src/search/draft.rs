//! An instruction as words that may change and what stands between them, so that places stay right as words change.

use std::ops::Range;

use super::Ranking;
use crate::words::Word;

const UNKNOWN: &str = "[UNK]";

/// An instruction cut at the words that may change.
pub(super) struct Draft<'a> {
    /// The words as they stand, the first after the first gap.
    words: Vec<String>,
    /// What stands before, between and after the words: one more than there are words.
    gaps: Vec<&'a str>,
}

impl<'a> Draft<'a> {
    /// `words` are in the order of the text and do not overlap.
    pub fn new(instruction: &'a str, words: &[Word]) -> Draft<'a> {
        let mut gaps = Vec::with_capacity(words.len() + 1);
        let mut at = 0;
        for word in words {
            let range = word.range();
            gaps.push(&instruction[at..range.start]);
            at = range.end;
        }
        gaps.push(&instruction[at..]);
        Draft { words: words.iter().map(|word| word.text.to_owned()).collect(), gaps }
    }

    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub fn word(&self, place: usize) -> &str {
        &self.words[place]
    }

    /// Where the word stands in [`Draft::text`].
    pub fn range(&self, place: usize) -> Range<usize> {
        let words: usize = self.words[..place].iter().map(String::len).sum();
        let gaps: usize = self.gaps[..=place].iter().map(|gap| gap.len()).sum();
        words + gaps..words + gaps + self.words[place].len()
    }

    /// The text with the changes made so far.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (gap, word) in self.gaps.iter().zip(&self.words) {
            text.push_str(gap);
            text.push_str(word);
        }
        text.push_str(self.gaps[self.words.len()]);
        text
    }

    /// The text with `replacement` in place of one word.
    pub fn text_with(&self, place: usize, replacement: &str) -> String {
        let mut text = self.text();
        text.replace_range(self.range(place), replacement);
        text
    }

    /// The text without one word, and what stands in its place.
    pub fn masked(&self, place: usize, ranking: Ranking) -> (String, &'static str) {
        match ranking {
            Ranking::Unk => (self.text_with(place, UNKNOWN), UNKNOWN),
            Ranking::Delete => {
                let mut text = self.text();
                let mut range = self.range(place);
                if text[..range.start].ends_with(' ') {
                    range.start -= 1;
                } else if text[range.end..].starts_with(' ') {
                    range.end += 1;
                }
                text.replace_range(range, "");
                (text, "")
            }
        }
    }

    pub fn replace(&mut self, place: usize, replacement: String) {
        self.words[place] = replacement;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protected;
    use crate::words::content_words;

    #[test]
    fn places_follow_the_changes() {
        let text = "Judge: caf\u{e9}, yes";
        let mut draft = Draft::new(text, &content_words(text, &Protected::new(["yes"])));
        assert_eq!((draft.len(), draft.text().as_str()), (2, text));
        draft.replace(0, "Do appraise".to_owned());
        assert_eq!(draft.text(), "Do appraise: caf\u{e9}, yes");
        assert_eq!(&draft.text()[draft.range(1)], "caf\u{e9}");
        assert_eq!(draft.text_with(1, ""), "Do appraise: , yes");
    }

    #[test]
    fn a_deleted_word_takes_a_space_with_it() {
        let text = "lions (tigers) bears";
        let draft = Draft::new(text, &content_words(text, &Protected::default()));
        let deleted: Vec<String> = (0..3).map(|place| draft.masked(place, Ranking::Delete).0).collect();
        assert_eq!(deleted, ["(tigers) bears", "lions () bears", "lions (tigers)"]);
        assert_eq!(draft.masked(1, Ranking::Unk).0, "lions ([UNK]) bears");
    }
}
