//! An instruction whose words are being replaced.

use std::ops::Range;

use crate::{Protected, words};

/// An instruction with the positions of its content words, which stay correct while words are replaced.
#[derive(Debug)]
pub(crate) struct Draft {
    text: String,
    /// Byte ranges of the content words in `text`, ascending.
    words: Ranges,
}

impl Draft {
    /// A draft of `instruction` with its content words ([`words::content_words`]).
    pub fn new(instruction: &str, protected: &Protected) -> Draft {
        let words = words::content_words(instruction, protected).iter().map(words::Word::range).collect();
        Draft { text: instruction.to_owned(), words: Ranges::new(words) }
    }

    /// Number of content words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The text with the replacements made so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Same as [`Draft::text`], by value.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The current form of the content word at `index`.
    pub fn word(&self, index: usize) -> &str {
        &self.text[self.range(index)]
    }

    /// The byte range of a word in [`Draft::text`].
    pub fn range(&self, index: usize) -> Range<usize> {
        self.words.range(index)
    }

    /// The text with `replacement` in place of a word.
    pub fn text_with(&self, index: usize, replacement: &str) -> String {
        let word = self.range(index);
        [&self.text[..word.start], replacement, &self.text[word.end..]].concat()
    }

    /// Replaces a word.
    pub fn replace(&mut self, index: usize, replacement: &str) {
        self.text.replace_range(self.range(index), replacement);
        self.words.resize(index, replacement.len());
    }
}

/// Ranges of a text whose lengths change. Finding and resizing take logarithmic time.
#[derive(Debug)]
struct Ranges {
    /// The ranges before any change.
    initial: Vec<Range<usize>>,
    /// The lengths now.
    lengths: Vec<usize>,
    /// Growth of the ranges, as a binary indexed tree.
    growth: Vec<isize>,
}

impl Ranges {
    fn new(ranges: Vec<Range<usize>>) -> Ranges {
        let growth = vec![0; ranges.len() + 1];
        Ranges { lengths: ranges.iter().map(Range::len).collect(), initial: ranges, growth }
    }

    fn len(&self) -> usize {
        self.lengths.len()
    }

    fn range(&self, index: usize) -> Range<usize> {
        let (mut node, mut growth) = (index, 0);
        while node > 0 {
            growth += self.growth[node];
            node &= node - 1;
        }
        let start = self.initial[index].start.saturating_add_signed(growth);
        start..start + self.lengths[index]
    }

    fn resize(&mut self, index: usize, length: usize) {
        let growth = length as isize - self.lengths[index] as isize;
        self.lengths[index] = length;
        let mut node = index + 1;
        while node < self.growth.len() {
            self.growth[node] += growth;
            node += node & node.wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_the_changes() {
        let text = "Judge: caf\u{e9}, yes";
        let mut draft = Draft::new(text, &Protected::new(["yes"]));
        assert_eq!((draft.len(), draft.text()), (2, text));
        draft.replace(0, "Do appraise");
        assert_eq!(draft.text(), "Do appraise: caf\u{e9}, yes");
        assert_eq!(draft.word(1), "caf\u{e9}");
        assert_eq!(draft.text_with(1, ""), "Do appraise: , yes");
    }
}
