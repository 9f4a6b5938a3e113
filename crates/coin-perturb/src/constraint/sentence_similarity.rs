//! Similarity of sentences (Jin et al., 2020; Li et al., 2019; Li et al., 2020; TextAttack, PromptBench).
//!
//! The cosine is that of the vectors of the two texts. Angular similarity is `1 - arccos(cosine) / pi`.

use std::f32::consts::PI;
use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use super::{Constraint, Follower, OfWords, Replacement};
use crate::language::cosine;
use crate::{Change, SentenceEncoder, cut_points};

/// The similarity of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The cosine, from -1 to 1.
    Cosine,
    /// One minus the angle divided by pi, from 0 to 1.
    Angular,
}

/// The texts to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This number of words around the changed one, before and after the change. A text with fewer words is allowed.
    Window(usize),
    /// The clean instruction and the whole text after the change.
    Whole {
        /// A clean instruction with fewer words is allowed.
        min_words: usize,
    },
}

/// Requires a minimum similarity.
///
/// The bound depends on the encoder. PromptBench's 0.840845 (angular, TextFooler), 0.8 (angular, TextBugger) and 0.8 (cosine,
/// BertAttack) are for the Universal Sentence Encoder, a neural encoder. `docs/perturbations.md` describes the bounds for
/// [`SurfaceEncoder`](crate::SurfaceEncoder) and how they were chosen.
#[derive(Debug, Clone)]
pub struct SentenceSimilarity {
    /// Minimum similarity.
    pub at_least: f32,
    /// The similarity measure.
    pub metric: Metric,
    /// The texts to compare.
    pub scope: Scope,
    /// The encoder of the vectors.
    pub encoder: Arc<dyn SentenceEncoder>,
}

impl SentenceSimilarity {
    /// The similarity after `change`; `None` for a text with too few words.
    pub fn similarity(&self, change: &Change) -> Option<f32> {
        let (first, second) = match self.scope {
            Scope::Whole { min_words } => {
                if change.clean.unicode_words().count() < min_words {
                    return None;
                }
                (change.clean, change.after)
            }
            Scope::Window(words) => {
                let window = window(change, words)?;
                // Both texts differ only in the word, so the window ends equally far from the end in both.
                let end = change.after.len().checked_sub(change.before.len().checked_sub(window.end)?)?;
                (change.before.get(window.clone())?, change.after.get(window.start..end)?)
            }
        };
        Some(self.of(&self.encoder.encode(first), &self.encoder.encode(second)))
    }

    /// The similarity of two vectors.
    fn of(&self, first: &[f32], second: &[f32]) -> f32 {
        let cosine = cosine(first, second);
        match self.metric {
            Metric::Cosine => cosine,
            Metric::Angular => 1.0 - cosine.acos() / PI,
        }
    }
}

/// A change with only the text up to `cuts` cuts before and after the word.
fn with_part<T>(change: &Replacement, cuts: usize, test: impl FnOnce(&Change) -> T) -> T {
    let Replacement { before, word, with, .. } = change;
    let (begin, end) = (cut_points::before(before, word.start, cuts), cut_points::after(before, word.end, cuts));
    let after = [&before[begin..word.start], with, &before[word.end..end]].concat();
    let part = &before[begin..end];
    let word = word.start - begin..word.end - begin;
    test(&Change { clean: part, before: part, word, replacement: with, after: &after })
}

/// A window of words. A part of the text with that many words on each side has the same window.
struct InWindow<'a> {
    rule: &'a SentenceSimilarity,
    words: usize,
}

impl Follower for InWindow<'_> {
    fn allows(&mut self, change: &Replacement) -> bool {
        with_part(change, self.words + 1, |change| self.rule.allows(change))
    }
}

/// The whole text, with an encoder whose vectors are sums over the parts.
struct OfSums<'a> {
    rule: &'a SentenceSimilarity,
    clean: Vec<f32>,
    now: Vec<f32>,
}

impl OfSums<'_> {
    /// The vector after the change.
    fn after(&self, change: &Replacement) -> Vec<f32> {
        let encode = |text: &str| self.rule.encoder.encode(text);
        let [old, new] = with_part(change, 1, |change| [encode(change.before), encode(change.after)]);
        self.now.iter().zip(old.iter().zip(&new)).map(|(now, (old, new))| now - old + new).collect()
    }
}

impl Follower for OfSums<'_> {
    fn allows(&mut self, change: &Replacement) -> bool {
        self.rule.of(&self.clean, &self.after(change)) >= self.rule.at_least
    }

    fn made(&mut self, change: &Replacement) {
        self.now = self.after(change);
    }
}

/// The byte range of the `count` words of `before` around the changed one, shifted inward near an end of the text.
fn window(change: &Change, count: usize) -> Option<Range<usize>> {
    let words: Vec<(usize, &str)> = change.before.unicode_word_indices().collect();
    if words.len() < count {
        return None;
    }
    let index = words.iter().position(|(start, word)| start + word.len() > change.word.start)?;
    let first = index.saturating_sub(count / 2).min(words.len() - count);
    let (last_start, last) = words.get(first + count.checked_sub(1)?)?;
    Some(words[first].0.min(change.word.start)..(last_start + last.len()).max(change.word.end))
}

impl Constraint for SentenceSimilarity {
    fn name(&self) -> &'static str {
        "sentence_similarity"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let metric = match self.metric {
            Metric::Cosine => "cosine",
            Metric::Angular => "angular",
        };
        let scope = match self.scope {
            Scope::Window(words) => format!("window of {words} words"),
            Scope::Whole { min_words } => format!("whole text of {min_words} words or more"),
        };
        vec![
            ("at_least", self.at_least.to_string()),
            ("metric", metric.to_owned()),
            ("scope", scope),
            ("encoder", self.encoder.describe()),
        ]
    }

    fn allows(&self, change: &Change) -> bool {
        self.similarity(change).is_none_or(|similarity| similarity >= self.at_least)
    }

    fn follow<'a>(&'a self, clean: &'a str, _: &[Range<usize>]) -> Option<Box<dyn Follower + 'a>> {
        match self.scope {
            Scope::Window(words) => Some(Box::new(InWindow { rule: self, words })),
            Scope::Whole { min_words }
                if clean.unicode_words().nth(min_words.saturating_sub(1)).is_none() && min_words > 0 =>
            {
                Some(Box::new(OfWords(|_: &str, _: &str| true)))
            }
            Scope::Whole { .. } if self.encoder.is_additive() => {
                let clean = self.encoder.encode(clean);
                Some(Box::new(OfSums { rule: self, now: clean.clone(), clean }))
            }
            Scope::Whole { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SurfaceEncoder;
    use crate::constraint::with_change;

    fn similarity(scope: Scope, metric: Metric, clean: &str, from: &str, to: &str) -> Option<f32> {
        let constraint = SentenceSimilarity { at_least: 0.0, metric, scope, encoder: Arc::new(SurfaceEncoder) };
        with_change(clean, from, to, |change| constraint.similarity(change))
    }

    #[test]
    fn by_hand() {
        // `ab cd` and `ab xy` share three of six counts each: cosine 1/2, an angle of a third of pi.
        let by = |metric| similarity(Scope::Whole { min_words: 2 }, metric, "ab cd", "cd", "xy").unwrap();
        assert!((by(Metric::Cosine) - 0.5).abs() < 1e-6);
        assert!((by(Metric::Angular) - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn the_window_is_what_is_compared() {
        let in_window = |words, from, to| similarity(Scope::Window(words), Metric::Cosine, "ab cd ef gh", from, to);
        // One of two words differs: a half; one of four: three quarters. The same at both ends.
        for word in ["ab", "cd", "gh"] {
            assert!((in_window(2, word, "xy").unwrap() - 0.5).abs() < 1e-6, "{word}");
            assert!((in_window(4, word, "xy").unwrap() - 0.75).abs() < 1e-6, "{word}");
        }
        assert_eq!(in_window(5, "cd", "xy"), None);
        assert!(in_window(0, "cd", "xy").is_none());
        // Two words replace one: `ab x y` and `ab cd` share 3 of 7 and of 6 counts.
        assert!((in_window(2, "cd", "x y").unwrap() - 3.0 / 42_f32.sqrt()).abs() < 1e-6);
    }

    /// Records the lengths of the texts it encodes.
    #[derive(Debug, Default)]
    struct Recorder(std::sync::Mutex<Vec<usize>>);

    impl SentenceEncoder for Recorder {
        fn describe(&self) -> String {
            "recorder".to_owned()
        }

        fn encode(&self, text: &str) -> Vec<f32> {
            self.0.lock().unwrap().push(text.len());
            SurfaceEncoder.encode(text)
        }

        fn is_additive(&self) -> bool {
            true
        }
    }

    #[test]
    fn changes_are_checked_by_their_surroundings_in_every_script() {
        let scripts = [
            "lion",
            "\u{e9}cole",
            "\u{447}\u{438}\u{441}\u{43b}\u{43e}",
            "\u{3b1}\u{3a3}",
            "\u{5d3}\u{5d2}",
            "\u{939}\u{93f}\u{928}",
        ];
        for (script, scope) in scripts
            .into_iter()
            .flat_map(|word| [Scope::Whole { min_words: 0 }, Scope::Window(3)].map(|scope| (word, scope)))
        {
            let encoder = Arc::new(Recorder::default());
            let rule = SentenceSimilarity { at_least: 0.93, metric: Metric::Cosine, scope, encoder: encoder.clone() };
            let clean = (0..100).map(|number| format!("{script}{number}, ")).collect::<String>();
            let words: Vec<Range<usize>> =
                clean.unicode_word_indices().map(|(start, word)| start..start + word.len()).collect();
            let mut follower = rule.follow(&clean, &words).unwrap();
            let (mut now, mut counts) = (clean.clone(), [0, 0]);
            // Backwards, so that earlier words stay where they are.
            for (index, word) in words.iter().cloned().enumerate().rev() {
                let upper = now[word.clone()].to_uppercase();
                let with = if index % 2 == 0 { "xyz" } else { &upper };
                let after = [&now[..word.start], with, &now[word.end..]].concat();
                encoder.0.lock().unwrap().clear();
                let change = Replacement { index, before: &now, word: word.clone(), with };
                let allowed = follower.allows(&change);
                let longest = encoder.0.lock().unwrap().iter().copied().max();
                assert!(longest.is_some_and(|longest| longest < 200), "{script}, {scope:?}: {longest:?}");
                if allowed {
                    follower.made(&change);
                }
                let change = Change { clean: &clean, before: &now, word, replacement: with, after: &after };
                assert_eq!(allowed, rule.allows(&change), "{script}, {scope:?}, word {index}");
                counts[usize::from(allowed)] += 1;
                now = if allowed { after } else { now };
            }
            assert!(counts[0] > 0 && counts[1] > 0, "{script}, {scope:?}: {counts:?}");
        }
    }

    #[test]
    fn short_texts_pass() {
        let whole = |min_words| similarity(Scope::Whole { min_words }, Metric::Cosine, "ab cd", "cd", "xy");
        assert!(whole(2).is_some() && whole(3).is_none());
    }

    #[test]
    fn the_bound_decides() {
        let constraint = |at_least| SentenceSimilarity {
            at_least,
            metric: Metric::Cosine,
            scope: Scope::Whole { min_words: 2 },
            encoder: Arc::new(SurfaceEncoder),
        };
        let allows = |at_least| with_change("ab cd", "cd", "xy", |change| constraint(at_least).allows(change));
        assert!(allows(0.49) && !allows(0.51));
    }
}
