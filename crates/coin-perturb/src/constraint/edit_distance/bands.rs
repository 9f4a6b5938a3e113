//! The edit distance after one more change, from rows of the table that are stored for every word.
//!
//! Row `f(i)` contains the distances from the text before word `i` to every prefix of the clean text, row `b(i)` those from the text
//! after it to every suffix. With another word there, the distance is `min over j of f'(j) + b(j)`, where `f'` is `f(i)` extended by
//! the new word. Only values within the bound matter. They lie within the bound of the diagonal, so a row has `2 bound + 1` values.

use std::collections::HashMap;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::constraint::{Follower, Replacement};

/// The greatest bound for which rows are stored.
pub(super) const WIDEST: usize = 100;

/// The distance between a text in which words are being replaced and its original.
pub(super) struct Bands {
    bound: usize,
    numbers: Numbers,
    clean: Vec<u32>,
    /// `clean` in reverse order.
    backward: Vec<u32>,
    /// The positions of the words in `clean`.
    places: Vec<Range<usize>>,
    /// The current words.
    words: Vec<Vec<u32>>,
    /// Rows of the words from the first on, as far as they are valid for the current text.
    before: Vec<Row>,
    /// Rows of the words from the last on.
    behind: Vec<Row>,
}

/// Distances from a text to prefixes of the clean text: value `k` is the distance to its first `length - bound + k` graphemes. Values
/// greater than the bound are stored as the bound plus one.
#[derive(Clone)]
struct Row {
    values: Vec<u8>,
    /// Number of graphemes of the text.
    length: usize,
}

impl Row {
    /// The row of the empty text.
    fn new(bound: usize, clean: &[u32]) -> Row {
        let value = |k: usize| k.checked_sub(bound).filter(|at| *at <= clean.len()).unwrap_or(bound + 1) as u8;
        Row { values: (0..2 * bound + 1).map(value).collect(), length: 0 }
    }

    /// Extends the text by `more`.
    fn extend<'a>(&mut self, clean: &[u32], more: impl Iterator<Item = &'a u32>) {
        let width = self.values.len();
        let (bound, beyond) = (width / 2, (width / 2 + 1) as u8);
        for grapheme in more {
            self.length += 1;
            for k in 0..width {
                let at = (self.length + k).checked_sub(bound).filter(|at| *at <= clean.len());
                let deleted = self.values.get(k + 1).map_or(beyond, |value| value + 1);
                self.values[k] = match at {
                    None => beyond,
                    Some(0) => deleted.min(beyond),
                    Some(at) => {
                        let substituted = self.values[k] + u8::from(clean[at - 1] != *grapheme);
                        let inserted = if k > 0 { self.values[k - 1] + 1 } else { beyond };
                        substituted.min(deleted).min(inserted).min(beyond)
                    }
                };
            }
        }
    }
}

/// A number for every grapheme.
#[derive(Default)]
struct Numbers(HashMap<String, u32>);

impl Numbers {
    fn of(&mut self, text: &str) -> Vec<u32> {
        text.graphemes(true).map(|grapheme| self.one(grapheme)).collect()
    }

    fn one(&mut self, grapheme: &str) -> u32 {
        match grapheme.as_bytes() {
            [byte] => u32::from(*byte),
            _ => match self.0.get(grapheme) {
                Some(number) => *number,
                None => {
                    let number = 256 + self.0.len() as u32;
                    self.0.insert(grapheme.to_owned(), number);
                    number
                }
            },
        }
    }
}

impl Bands {
    /// `None` if a word does not begin and end between graphemes.
    pub(super) fn new(clean: &str, words: &[Range<usize>], bound: usize) -> Option<Bands> {
        let mut numbers = Numbers::default();
        let mut graphemes = Vec::with_capacity(clean.len());
        let mut places = Vec::with_capacity(words.len());
        let mut ends = words.iter().flat_map(|word| [word.start, word.end]).peekable();
        let mut found = Vec::with_capacity(2 * words.len());
        for (at, grapheme) in clean.grapheme_indices(true) {
            while ends.next_if_eq(&at).is_some() {
                found.push(graphemes.len());
            }
            graphemes.push(numbers.one(grapheme));
        }
        while ends.next_if_eq(&clean.len()).is_some() {
            found.push(graphemes.len());
        }
        if ends.next().is_some() {
            return None;
        }
        places.extend(found.as_chunks::<2>().0.iter().map(|[start, end]| *start..*end));
        let words = places.iter().map(|place: &Range<usize>| graphemes[place.clone()].to_vec()).collect();
        let backward = graphemes.iter().rev().copied().collect();
        Some(Bands { bound, numbers, clean: graphemes, backward, places, words, before: vec![], behind: vec![] })
    }

    /// The rows at a word; missing rows are computed.
    fn rows(&mut self, index: usize) -> (&Row, &Row) {
        let Bands { bound, clean, backward, places, words, before, behind, .. } = self;
        while before.len() <= index {
            let next = before.len();
            let row = match next.checked_sub(1) {
                None => {
                    let mut row = Row::new(*bound, clean);
                    row.extend(clean, clean[..places[0].start].iter());
                    row
                }
                Some(last) => {
                    let mut row = before[last].clone();
                    row.extend(clean, words[last].iter().chain(&clean[places[last].end..places[next].start]));
                    row
                }
            };
            before.push(row);
        }
        // The last word comes first.
        let count = places.len();
        while behind.len() < count - index {
            let next = count - 1 - behind.len();
            let row = match behind.last() {
                None => {
                    let mut row = Row::new(*bound, backward);
                    row.extend(backward, clean[places[next].end..].iter().rev());
                    row
                }
                Some(row) => {
                    let (mut row, last) = (row.clone(), next + 1);
                    let gap = &clean[places[next].end..places[last].start];
                    row.extend(backward, words[last].iter().rev().chain(gap.iter().rev()));
                    row
                }
            };
            behind.push(row);
        }
        (&before[index], &behind[count - 1 - index])
    }
}

impl Follower for Bands {
    fn allows(&mut self, change: &Replacement) -> bool {
        let (bound, whole) = (self.bound, self.clean.len());
        let with = self.numbers.of(change.with);
        let (before, behind) = self.rows(change.index);
        let (mut before, behind) = (before.clone(), behind.clone());
        before.extend(&self.clean, with.iter());
        // Value `k` is for the first `j` graphemes; the value for the rest of the clean text is in another row.
        (0..before.values.len()).any(|k| {
            let j = (before.length + k).checked_sub(bound).filter(|j| *j <= whole);
            let other = j.and_then(|j| (whole - j + bound).checked_sub(behind.length));
            let rest = other.and_then(|k| behind.values.get(k));
            rest.is_some_and(|rest| usize::from(before.values[k]) + usize::from(*rest) <= bound)
        })
    }

    fn made(&mut self, change: &Replacement) {
        self.words[change.index] = self.numbers.of(change.with);
        self.before.truncate(change.index + 1);
        self.behind.truncate(self.places.len() - change.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::edit_distance;
    use rand::Rng;

    #[test]
    fn the_rows_agree_with_the_distance() {
        let mut rng = coin_core::stream::keyed(6, &["bands"]);
        let letters = ["a", "b", "e\u{301}", "\u{1f1ea}\u{1f1fa}"];
        let mut allowed = 0;
        for case in 0..600 {
            let bound = case % 9;
            let mut word = |least: usize| -> String {
                let length = rng.random_range(least..5);
                (0..length).map(|_| letters[rng.random_range(0..letters.len())]).collect()
            };
            let mut words: Vec<String> = (0..1 + case % 7).map(|_| word(1)).collect();
            let gaps: Vec<String> = (0..=words.len()).map(|_| ["", " ", ", "][word(0).len() % 3].to_owned()).collect();
            let text = |words: &[String]| -> (String, Vec<Range<usize>>) {
                let (mut text, mut ranges) = (gaps[0].clone(), Vec::new());
                for (word, gap) in words.iter().zip(&gaps[1..]) {
                    ranges.push(text.len()..text.len() + word.len());
                    text = text + word + gap;
                }
                (text, ranges)
            };
            let (clean, ranges) = text(&words);
            let Some(mut bands) = Bands::new(&clean, &ranges, bound) else { continue };
            for _ in 0..20 {
                let (with, index) = (word(1), word(1).len() % words.len());
                let (before, ranges) = text(&words);
                let mut next = words.clone();
                next[index] = with.clone();
                let change = Replacement { index, before: &before, word: ranges[index].clone(), with: &with };
                let expected = edit_distance(&clean, &text(&next).0) <= bound;
                assert_eq!(bands.allows(&change), expected, "{clean:?} {next:?} {bound}");
                if expected {
                    bands.made(&change);
                    words = next;
                    allowed += 1;
                }
            }
        }
        assert!(allowed > 1000, "{allowed}");
    }
}
