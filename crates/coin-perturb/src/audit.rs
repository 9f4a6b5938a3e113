//! Measures of a perturbation: words changed, edit distance, similarity, and whether the label words are intact.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::Protected;
use crate::levenshtein::levenshtein;

/// One line of the audit file: one instruction under one attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// `words_changed` divided by the number of words of the clean instruction, rounded to six decimals. Above 1 if more words were added
    /// than there were. 0 if neither text has a word, 1 if only the perturbed text has one.
    pub share_changed: f64,
    /// Levenshtein distance in graphemes, see [`edit_distance`].
    pub edit_distance: usize,
    /// See [`similarity`]; rounded to six decimals.
    pub similarity: f64,
    /// Tokens of the perturbed instruction minus those of the clean one; absent unless
    /// [`count_tokens`](AuditRecord::count_tokens) was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_change: Option<i64>,
    /// True if every protected piece occurs as often as before, see [`Protected::intact`].
    pub labels_intact: bool,
    /// True if the attack did not change the instruction. Written only if true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
}

impl AuditRecord {
    /// The record of the perturbation of `clean` into `perturbed`.
    pub fn new(
        attack: &str,
        task: &str,
        index: usize,
        clean: &str,
        perturbed: &str,
        protected: &Protected,
    ) -> AuditRecord {
        let words_changed = words_changed(clean, perturbed);
        let words = clean.unicode_words().count();
        AuditRecord {
            attack: attack.to_owned(),
            task: task.to_owned(),
            index,
            clean: clean.to_owned(),
            perturbed: perturbed.to_owned(),
            words_changed,
            share_changed: if words == 0 {
                f64::from(u8::from(words_changed > 0))
            } else {
                rounded(words_changed as f64 / words as f64)
            },
            edit_distance: edit_distance(clean, perturbed),
            similarity: rounded(similarity(clean, perturbed)),
            token_change: None,
            labels_intact: protected.intact(clean, perturbed),
            unchanged: clean == perturbed,
        }
    }

    /// Sets [`token_change`](AuditRecord::token_change). `tokens` counts the tokens of a text.
    pub fn count_tokens(&mut self, tokens: impl Fn(&str) -> usize) {
        self.token_change = Some(tokens(&self.perturbed) as i64 - tokens(&self.clean) as i64);
    }
}

/// Rounds to six decimals, which JSON preserves exactly.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// Returns the smallest number of words to replace, insert or delete that turns one text's words into the other's (Unicode
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

/// Returns the Levenshtein distance of two texts in graphemes: insertions, deletions and substitutions; a swap counts 2.
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

/// Returns the cosine of the two texts' word counts (Unicode word segmentation, lower case), from 0 (no common words) to 1 (the same
/// words equally often). 1 if neither text has a word, 0 if only one has. Defined by this project: it needs no model and does not know
/// synonyms.
///
/// ```
/// // (1, 1, 0) and (1, 0, 1)
/// assert!((coin_perturb::audit::similarity("Decide now!", "now: settle") - 0.5).abs() < 1e-12);
/// ```
pub fn similarity(clean: &str, perturbed: &str) -> f64 {
    let (clean, perturbed) = (clean.to_lowercase(), perturbed.to_lowercase());
    let mut counts: HashMap<&str, (f64, f64)> = HashMap::new();
    for word in clean.unicode_words() {
        counts.entry(word).or_default().0 += 1.0;
    }
    for word in perturbed.unicode_words() {
        counts.entry(word).or_default().1 += 1.0;
    }
    if counts.is_empty() {
        return 1.0;
    }
    // Counts are whole numbers, so the sums do not depend on the order of the map.
    let sum = |product: fn((f64, f64)) -> f64| counts.values().copied().map(product).sum::<f64>();
    let (product, before, after) = (sum(|(a, b)| a * b), sum(|(a, _)| a * a), sum(|(_, b)| b * b));
    if product == 0.0 { 0.0 } else { product / (before * after).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_in_graphemes() {
        assert_eq!(edit_distance("a\r\nb", "ab"), 1);
    }

    #[test]
    fn a_record() {
        let protected = Protected::new(["good", "bad"]);
        let record = AuditRecord::new("deepwordbug", "t", 4, "Say good or bad.", "Sya good or bd.", &protected);
        assert_eq!((record.words_changed, record.edit_distance, record.labels_intact), (2, 3, false));
        // Two of four words are left.
        assert_eq!((record.share_changed, record.similarity, record.token_change), (0.5, 0.5, None));
    }

    #[test]
    fn shares_and_similarities_by_hand() {
        let record = |clean, perturbed| AuditRecord::new("x", "t", 0, clean, perturbed, &Protected::default());
        let shares =
            [("a b c", "a b d"), ("a", "a b c"), ("", "a"), ("", "!")].map(|(a, b)| record(a, b).share_changed);
        assert_eq!(shares, [0.333333, 2.0, 1.0, 0.0]);
        // (2, 1) and (1, 1): 3 / sqrt(5 * 2).
        assert_eq!(record("Go go home", "go home").similarity, 0.948683);
        assert_eq!(record("a", "b").similarity, 0.0);
        assert_eq!(record("a", "").similarity, 0.0);
        assert_eq!(record("!", "?").similarity, 1.0);
    }

    #[test]
    fn an_unchanged_instruction_is_marked() {
        let record = |perturbed| AuditRecord::new("x", "t", 0, "a b", perturbed, &Protected::default());
        assert!(record("a b").unchanged && !record("a b ").unchanged);
        let json = |record: &AuditRecord| serde_json::to_string(record).unwrap();
        assert!(json(&record("a b")).ends_with("\"unchanged\":true}") && !json(&record("a c")).contains("unchanged"));
        assert_eq!(serde_json::from_str::<AuditRecord>(&json(&record("a c"))).unwrap(), record("a c"));
    }

    #[test]
    fn tokens_are_the_callers() {
        let mut record = AuditRecord::new("x", "t", 0, "a bb ccc", "a b", &Protected::default());
        record.count_tokens(|text| text.split(' ').count());
        assert_eq!(record.token_change, Some(-1));
    }
}
