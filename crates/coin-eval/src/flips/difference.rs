//! The word-level difference of two texts.
//!
//! Texts are cut into words and the white space between them; a longest common subsequence (by the plain table: instructions
//! have tens of words) is kept, the rest is deleted or inserted. White space alone between two changes joins them, so that a
//! rewritten sentence reads as one change and not as one for each word.

/// A stretch of the difference, with the white space that is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// In both texts.
    Same(&'a str),
    /// In the first text only.
    Deleted(&'a str),
    /// In the second text only.
    Inserted(&'a str),
}

/// The difference from `before` to `after`, deletions ahead of insertions at the same place. The texts of `Same` and `Deleted` are
/// `before` in order, those of `Same` and `Inserted` are `after`.
///
/// ```
/// use coin_eval::flips::{Part, difference};
/// let parts = difference("Is this good English?", "Is this gooud English?");
/// assert_eq!(parts, [Part::Same("Is this "), Part::Deleted("good"), Part::Inserted("gooud"), Part::Same(" English?")]);
/// ```
pub fn difference<'a>(before: &'a str, after: &'a str) -> Vec<Part<'a>> {
    let (first, second) = (pieces(before), pieces(after));
    // longest[i][j]: length of the longest common subsequence of first[i..] and second[j..].
    let mut longest = vec![vec![0usize; second.len() + 1]; first.len() + 1];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            longest[i][j] = match first[i] == second[j] {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let mut parts = Stretches::default();
    let (mut i, mut j, mut from, mut to) = (0, 0, 0, 0);
    while i < first.len() || j < second.len() {
        let (next_from, next_to) =
            (from + first.get(i).map_or(0, |p| p.len()), to + second.get(j).map_or(0, |p| p.len()));
        if i < first.len() && j < second.len() && first[i] == second[j] {
            parts.same(from..next_from, to..next_to, first[i].trim().is_empty());
            (from, to, i, j) = (next_from, next_to, i + 1, j + 1);
        } else if j == second.len() || (i < first.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            parts.changed(from..next_from, to..to);
            (from, i) = (next_from, i + 1);
        } else {
            parts.changed(from..from, to..next_to);
            (to, j) = (next_to, j + 1);
        }
    }
    parts.into_parts(before, after)
}

type Range = std::ops::Range<usize>;

/// Byte ranges of both texts, by turns the same and changed.
#[derive(Default)]
struct Stretches {
    closed: Vec<(bool, Range, Range)>,
    /// White space after a change: part of it if another change follows.
    gap: Option<(Range, Range)>,
}

impl Stretches {
    fn same(&mut self, before: Range, after: Range, white: bool) {
        if white && self.gap.is_none() && self.closed.last().is_some_and(|(same, ..)| !same) {
            self.gap = Some((before, after));
            return;
        }
        if let Some((before, after)) = self.gap.take() {
            self.push(true, before, after);
        }
        self.push(true, before, after);
    }

    fn changed(&mut self, before: Range, after: Range) {
        if let Some((before, after)) = self.gap.take() {
            self.push(false, before, after);
        }
        self.push(false, before, after);
    }

    /// Lengthens the last stretch or begins another.
    fn push(&mut self, same: bool, before: Range, after: Range) {
        match self.closed.last_mut() {
            Some((last, old, new)) if *last == same => (old.end, new.end) = (before.end, after.end),
            _ => self.closed.push((same, before, after)),
        }
    }

    fn into_parts<'a>(mut self, before: &'a str, after: &'a str) -> Vec<Part<'a>> {
        if let Some((before, after)) = self.gap.take() {
            self.push(true, before, after);
        }
        let parts = self.closed.into_iter().flat_map(|(same, old, new)| match same {
            true => [Some(Part::Same(&before[old])), None],
            false => {
                let deleted = (!old.is_empty()).then(|| Part::Deleted(&before[old]));
                [deleted, (!new.is_empty()).then(|| Part::Inserted(&after[new]))]
            }
        });
        parts.flatten().collect()
    }
}

/// Words and the white space between them, in order and complete.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let white = first.is_whitespace();
        let end = rest.find(|c: char| c.is_whitespace() != white).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_compared_whole() {
        use Part::{Deleted, Inserted, Same};
        assert_eq!(difference("a b c", "a c"), [Same("a "), Deleted("b "), Same("c")]);
        assert_eq!(difference("a c", "a b c"), [Same("a "), Inserted("b "), Same("c")]);
        assert_eq!(difference("one two", "two"), [Deleted("one "), Same("two")]);
        assert_eq!(difference("same", "same"), [Same("same")]);
        assert_eq!(difference("", "new"), [Inserted("new")]);
        assert_eq!(difference("Judge it:", "Tell it:"), [Deleted("Judge"), Inserted("Tell"), Same(" it:")]);
        let rewritten = difference("Is it good English?", "Tell me whether the English?");
        assert_eq!(rewritten, [Deleted("Is it good "), Inserted("Tell me whether the "), Same("English?")]);
        assert!(difference("", "").is_empty());
    }

    proptest! {
        #[test]
        fn both_texts_can_be_put_together_again(before in "[ab\u{e9} ]{0,24}", after in "[ab\u{e9} ]{0,24}") {
            let parts = difference(&before, &after);
            let join = |wanted: fn(&Part) -> bool| -> String {
                let text = |part: &Part| match part {
                    Part::Same(text) | Part::Deleted(text) | Part::Inserted(text) => (*text).to_owned(),
                };
                parts.iter().filter(|part| wanted(part)).map(text).collect()
            };
            prop_assert_eq!(join(|part| !matches!(part, Part::Inserted(_))), before.as_str());
            prop_assert_eq!(join(|part| !matches!(part, Part::Deleted(_))), after.as_str());
        }
    }
}
