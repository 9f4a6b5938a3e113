//! The word-level difference of two texts.
//!
//! Texts are split into words and the white space between them. A longest common subsequence is kept, and the rest is deleted or
//! inserted. Two changes separated only by white space are joined, so that a rewritten sentence reads as one change and not as
//! one per word.
//!
//! The subsequence is found with the standard table, whose size is the product of the two lengths; instructions have tens of
//! words. If the table would have more than [`LARGEST`] cells, the common beginning and end of both texts are kept. If the middle
//! is still too long, all of it counts as replaced. The result is correct, but coarser than necessary.

/// Maximum number of cells in a table: two texts of about 1,000 words, 16 MiB.
const LARGEST: usize = 1 << 22;

/// A part of the difference, including its white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// In both texts.
    Same(&'a str),
    /// In the first text only.
    Deleted(&'a str),
    /// In the second text only.
    Inserted(&'a str),
}

impl<'a> Part<'a> {
    /// Returns the text of this part.
    pub fn text(&self) -> &'a str {
        match self {
            Part::Same(text) | Part::Deleted(text) | Part::Inserted(text) => text,
        }
    }
}

/// Computes the difference from `before` to `after`. At the same place, deletions precede insertions. The texts of `Same` and
/// `Deleted` concatenate to `before`, those of `Same` and `Inserted` to `after`.
///
/// ```
/// use coin_eval::flips::{Part, difference};
/// let parts = difference("Is this good English?", "Is this gooud English?");
/// assert_eq!(parts, [Part::Same("Is this "), Part::Deleted("good"), Part::Inserted("gooud"), Part::Same(" English?")]);
/// ```
pub fn difference<'a>(before: &'a str, after: &'a str) -> Vec<Part<'a>> {
    let (first, second) = (pieces(before), pieces(after));
    let alike = |(a, b): &(&&str, &&str)| a == b;
    let fits = |old: &[&str], new: &[&str]| (old.len() + 1).saturating_mul(new.len() + 1) <= LARGEST;
    let head = first.iter().zip(&second).take_while(alike).count();
    let tail = match fits(&first[head..], &second[head..]) {
        true => 0,
        false => first[head..].iter().rev().zip(second[head..].iter().rev()).take_while(alike).count(),
    };
    let (old, new) = (&first[head..first.len() - tail], &second[head..second.len() - tail]);

    let mut parts = Stretches::default();
    first[..head].iter().for_each(|piece| parts.same(piece));
    match fits(old, new) {
        true => align(old, new, &mut parts),
        false => {
            old.iter().for_each(|piece| parts.deleted(piece));
            new.iter().for_each(|piece| parts.inserted(piece));
        }
    }
    first[first.len() - tail..].iter().for_each(|piece| parts.same(piece));
    parts.into_parts(before, after)
}

/// Adds the difference of `first` and `second`, using the table of their common subsequences.
fn align(first: &[&str], second: &[&str], parts: &mut Stretches) {
    // longest[i * width + j]: length of the longest common subsequence of first[i..] and second[j..].
    let width = second.len() + 1;
    let mut longest = vec![0u32; (first.len() + 1) * width];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            longest[i * width + j] = match first[i] == second[j] {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < first.len() || j < second.len() {
        if i < first.len() && j < second.len() && first[i] == second[j] {
            parts.same(first[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == second.len() || (i < first.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            parts.deleted(first[i]);
            i += 1;
        } else {
            parts.inserted(second[j]);
            j += 1;
        }
    }
}

type Range = std::ops::Range<usize>;

/// Byte ranges of both texts, alternating between unchanged and changed.
#[derive(Default)]
struct Stretches {
    /// Number of bytes processed in each text.
    done: (usize, usize),
    closed: Vec<(bool, Range, Range)>,
    /// White space after a change. It becomes part of the change if another change follows.
    gap: Option<(Range, Range)>,
}

impl Stretches {
    fn same(&mut self, piece: &str) {
        let (before, after) = self.advance(piece.len(), piece.len());
        let white = piece.trim().is_empty();
        if white && self.gap.is_none() && self.closed.last().is_some_and(|(same, ..)| !same) {
            self.gap = Some((before, after));
            return;
        }
        if let Some((before, after)) = self.gap.take() {
            self.push(true, before, after);
        }
        self.push(true, before, after);
    }

    fn deleted(&mut self, piece: &str) {
        let (before, after) = self.advance(piece.len(), 0);
        self.changed(before, after);
    }

    fn inserted(&mut self, piece: &str) {
        let (before, after) = self.advance(0, piece.len());
        self.changed(before, after);
    }

    /// Consumes the next `old` and `new` bytes of the two texts and returns their ranges.
    fn advance(&mut self, old: usize, new: usize) -> (Range, Range) {
        let (from, to) = self.done;
        self.done = (from + old, to + new);
        (from..from + old, to..to + new)
    }

    fn changed(&mut self, before: Range, after: Range) {
        if let Some((before, after)) = self.gap.take() {
            self.push(false, before, after);
        }
        self.push(false, before, after);
    }

    /// Extends the last range or begins a new one.
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

/// Splits `text` into words and the white space between them, without losing anything.
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

    #[test]
    fn long_texts_are_compared_within_bounds() {
        let text = |words: std::ops::Range<usize>| words.map(|word| format!("w{word} ")).collect::<String>();
        // The texts have no word in common, so the table would have 1.6e9 cells.
        let (before, after) = (text(0..20_000), text(20_000..40_000));
        let (old, new) = (before.trim_end(), after.trim_end());
        assert_eq!(difference(old, new), [Part::Deleted(old), Part::Inserted(new)]);
        // A single change in texts of the same length is found, because both ends match.
        let changed = before.replacen("w10000 ", "other ", 1);
        let parts = difference(&before, &changed);
        assert_eq!(parts[1..3], [Part::Deleted("w10000"), Part::Inserted("other")]);
        assert_eq!(parts.len(), 4);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_put_together_again(before in "[ab\u{e9} ]{0,24}", after in "[ab\u{e9} ]{0,24}") {
            let parts = difference(&before, &after);
            let join = |wanted: fn(&Part) -> bool| -> String {
                parts.iter().filter(|part| wanted(part)).map(Part::text).collect()
            };
            prop_assert_eq!(join(|part| !matches!(part, Part::Inserted(_))), before.as_str());
            prop_assert_eq!(join(|part| !matches!(part, Part::Deleted(_))), after.as_str());
        }
    }
}
