//! Levenshtein distance to the clean instruction (Gao et al., 2018; TextAttack, PromptBench).

mod bands;

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{Constraint, Follower};
use crate::Change;

/// Limits the Levenshtein distance, in graphemes, between the clean instruction and the instruction after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditDistance {
    /// Greatest distance allowed; 30 in DeepWordBug (PromptBench).
    pub at_most: usize,
}

impl Constraint for EditDistance {
    fn name(&self) -> &'static str {
        "edit_distance"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("at_most", self.at_most.to_string())]
    }

    fn allows(&self, change: &Change) -> bool {
        let (clean, after) = (change.clean, change.after);
        if clean.is_ascii() && after.is_ascii() && !clean.contains('\r') && !after.contains('\r') {
            return within(clean.as_bytes(), after.as_bytes(), self.at_most);
        }
        let clean: Vec<&str> = clean.graphemes(true).collect();
        let after: Vec<&str> = after.graphemes(true).collect();
        within(&clean, &after, self.at_most)
    }

    fn follow<'a>(&'a self, clean: &'a str, words: &[Range<usize>]) -> Option<Box<dyn Follower + 'a>> {
        // The rows for a greater bound would need much memory.
        let bands = (self.at_most <= bands::WIDEST).then(|| bands::Bands::new(clean, words, self.at_most))??;
        Some(Box::new(bands))
    }
}

/// True if the Levenshtein distance of `a` and `b` is at most `bound`. Only cells within `bound` of the diagonal can be on such a path,
/// so the work is proportional to length times bound and not to the square of the length.
fn within<T: PartialEq>(a: &[T], b: &[T], bound: usize) -> bool {
    if a.len().abs_diff(b.len()) > bound {
        return false;
    }
    let begin = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[begin..], &b[begin..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    // The distance is never greater than the sum of both lengths.
    let bound = bound.min(a.len() + b.len());
    let beyond = bound + 1;
    let mut previous: Vec<usize> = (0..=b.len()).map(|column| column.min(beyond)).collect();
    let mut current = vec![beyond; b.len() + 1];
    for (index, item) in a.iter().enumerate() {
        let row = index + 1;
        let (first, last) = (row.saturating_sub(bound).max(1), b.len().min(row + bound));
        // The cells next to the band, which the row below reads.
        current[first - 1] = if first == 1 { row.min(beyond) } else { beyond };
        for column in first..=last {
            let substituted = previous[column - 1] + usize::from(*item != b[column - 1]);
            let deleted = if column < row + bound { previous[column] + 1 } else { beyond };
            current[column] = substituted.min(deleted).min(current[column - 1] + 1).min(beyond);
        }
        std::mem::swap(&mut previous, &mut current);
    }
    previous[b.len()] <= bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::edit_distance;
    use crate::constraint::with_change;
    use coin_core::stream::keyed;
    use rand::Rng;

    #[test]
    fn the_bound_is_the_distance() {
        let allows =
            |at_most| with_change("kitten!", "kitten", "sitting", |change| EditDistance { at_most }.allows(change));
        assert!(allows(3) && allows(usize::MAX) && !allows(2) && !allows(0));
        // e with an acute accent is one grapheme, two characters.
        let accent = |at_most| with_change("te", "e", "e\u{301}", |change| EditDistance { at_most }.allows(change));
        assert!(accent(1) && !accent(0));
    }

    #[test]
    fn the_band_agrees_with_the_whole_table() {
        let mut rng = keyed(5, &["band"]);
        for _ in 0..2000 {
            let mut text = || -> String {
                let length = rng.random_range(0..12);
                (0..length).map(|_| char::from(rng.random_range(b'a'..=b'c'))).collect()
            };
            let (a, b) = (text(), text());
            let distance = edit_distance(&a, &b);
            for bound in 0..12 {
                assert_eq!(within(a.as_bytes(), b.as_bytes(), bound), distance <= bound, "{a} {b} {bound}");
            }
        }
    }
}
