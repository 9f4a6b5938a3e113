//! What a perturbation did: words changed, edit distance, and whether the label words came through.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::Protected;

/// One line of the audit file: one instruction under one attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The attack's short name.
    pub attack: String,
    /// The task.
    pub task: String,
    /// Position in the task's list of instructions, from 0.
    pub index: usize,
    /// The instruction before.
    pub clean: String,
    /// The instruction after.
    pub perturbed: String,
    /// Words changed, see [`words_changed`].
    pub words_changed: usize,
    /// Levenshtein distance in graphemes, see [`edit_distance`].
    pub edit_distance: usize,
    /// Whether all that is protected is there as often as before, see [`Protected::intact`].
    pub labels_intact: bool,
}

impl AuditRecord {
    /// The record of `clean` turned into `perturbed`.
    pub fn new(
        attack: &str,
        task: &str,
        index: usize,
        clean: &str,
        perturbed: &str,
        protected: &Protected,
    ) -> AuditRecord {
        AuditRecord {
            attack: attack.to_owned(),
            task: task.to_owned(),
            index,
            clean: clean.to_owned(),
            perturbed: perturbed.to_owned(),
            words_changed: words_changed(clean, perturbed),
            edit_distance: edit_distance(clean, perturbed),
            labels_intact: protected.intact(clean, perturbed),
        }
    }
}

/// The least number of words to replace, insert or delete that turns one text's words into the other's (Unicode
/// word segmentation; punctuation does not count, case does).
///
/// ```
/// assert_eq!(coin_perturb::audit::words_changed("Decide if it is so.", "Dcide if it is really so:"), 2);
/// ```
pub fn words_changed(clean: &str, perturbed: &str) -> usize {
    let before: Vec<&str> = clean.unicode_words().collect();
    let after: Vec<&str> = perturbed.unicode_words().collect();
    levenshtein(&before, &after)
}

/// The Levenshtein distance of two texts in graphemes: insertions, deletions and substitutions; a swap counts 2.
///
/// ```
/// assert_eq!(coin_perturb::audit::edit_distance("kitten", "sitting"), 3);
/// assert_eq!(coin_perturb::audit::edit_distance("e\u{301}a", "ea"), 1);
/// ```
pub fn edit_distance(clean: &str, perturbed: &str) -> usize {
    if clean.is_ascii() && perturbed.is_ascii() && !clean.contains('\r') && !perturbed.contains('\r') {
        return levenshtein(clean.as_bytes(), perturbed.as_bytes());
    }
    let before: Vec<&str> = clean.graphemes(true).collect();
    let after: Vec<&str> = perturbed.graphemes(true).collect();
    levenshtein(&before, &after)
}

fn levenshtein<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[prefix..], &b[prefix..]);
    let suffix = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - suffix], &b[..b.len() - suffix]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_by_hand() {
        assert_eq!(levenshtein(b"", b"abc"), 3);
        assert_eq!(levenshtein(b"flaw", b"lawn"), 2);
        assert_eq!(levenshtein(b"abcdef", b"abdcef"), 2);
        assert_eq!(edit_distance("a\r\nb", "ab"), 1);
    }

    #[test]
    fn a_record() {
        let protected = Protected::new(["good", "bad"]);
        let record = AuditRecord::new("deepwordbug", "t", 4, "Say good or bad.", "Sya good or bd.", &protected);
        assert_eq!((record.words_changed, record.edit_distance, record.labels_intact), (2, 3, false));
    }
}
