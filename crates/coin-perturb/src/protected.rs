//! Text that attacks must not change: label words, `{placeholders}` and the response marker.

use std::ops::Range;

/// The marker that introduces the answer.
pub(crate) const MARKER: &str = "### Response:";

/// True for the separators between the parts of a multi-word label, which all count as equal.
fn is_separator(character: char) -> bool {
    matches!(character, '_' | '-' | '\u{2010}' | '\u{2011}') || character.is_whitespace()
}

/// The label words of a task, which no perturbation may change. `{placeholders}` and the marker `### Response:` are always protected.
///
/// A label word is found in any case, quoted or not, and with any separator between its parts: `not_equivalent` protects
/// `not_equivalent`, `Not equivalent` and `NOT-EQUIVALENT`. Only whole words are found: `entailment` does not protect
/// `entailments`. A label that begins or ends with a symbol, such as `+`, needs no word boundary on that side.
///
/// ```
/// let protected = coin_perturb::Protected::new(["not_equivalent"]);
/// let text = "Say 'Not equivalent' if {sentence1} differs.";
/// assert_eq!(protected.pieces(text), ["Not equivalent", "{sentence1}"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// Label words in lower case with `_` as separator, the longest first.
    labels: Vec<Vec<char>>,
}

impl Protected {
    /// Protects `label_words` in addition to placeholders and the marker. Empty words are ignored.
    pub fn new<S: AsRef<str>>(label_words: impl IntoIterator<Item = S>) -> Self {
        let mut labels = Vec::new();
        for word in label_words {
            let parts = word.as_ref().split(is_separator).filter(|part| !part.is_empty());
            let label: Vec<char> = parts.collect::<Vec<_>>().join("_").chars().flat_map(char::to_lowercase).collect();
            if !label.is_empty() {
                labels.push(label);
            }
        }
        labels.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        labels.dedup();
        Protected { labels }
    }

    /// Returns the byte ranges of `text` that must not change: ascending, without overlap, at character boundaries.
    pub fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        self.label_spans(text, &mut spans);
        placeholder_spans(text, &mut spans);
        spans.extend(text.match_indices(MARKER).map(|(start, found)| start..start + found.len()));
        merge(spans)
    }

    /// Returns the protected pieces of `text`, in the order of the text.
    pub fn pieces<'a>(&self, text: &'a str) -> Vec<&'a str> {
        self.spans(text).into_iter().map(|span| &text[span]).collect()
    }

    /// True if `perturbed` contains the protected pieces of `clean` unchanged and equally often, in any order.
    pub fn intact(&self, clean: &str, perturbed: &str) -> bool {
        let (mut before, mut after) = (self.pieces(clean), self.pieces(perturbed));
        before.sort_unstable();
        after.sort_unstable();
        before == after
    }

    /// Same as [`intact`](Protected::intact) for the replacement of the word at `word` of `before` by `with`, computed from the
    /// surroundings of the word only; `None` if they do not suffice.
    pub(crate) fn keeps(&self, before: &str, word: Range<usize>, with: &str) -> Option<bool> {
        let old = &before[word.clone()];
        // A brace may open or close a placeholder anywhere.
        if with.contains(['{', '}']) || old.contains(['{', '}']) {
            return None;
        }
        let near_marker = |inner: &str| {
            let begin = before.floor_char_boundary(word.start.saturating_sub(MARKER.len() - 1));
            let end = before.ceil_char_boundary((word.end + MARKER.len() - 1).min(before.len()));
            [&before[begin..word.start], inner, &before[word.end..end]].concat().contains(MARKER)
        };
        if near_marker(old) || near_marker(with) {
            return None;
        }
        if self.labels.is_empty() {
            return Some(true);
        }
        let around = self.around(before, &word);
        let (found, new) = (self.near(before, &around, &word, old)?, self.near(before, &around, &word, with)?);
        // Label words that begin before the word or right after it are unchanged, so the rest of the text is read as before.
        let alike = found.before == new.before && found.behind == new.behind;
        (alike && !found.inside).then_some(!new.inside)
    }

    /// A range of `text` around `word` that contains every label word that could overlap it, and one character before.
    fn around(&self, text: &str, word: &Range<usize>) -> Range<usize> {
        // The maximum of characters and of separators in a label word, and one more of each to see its end.
        let longest = self.labels.iter().map(Vec::len).max().unwrap_or(0) + 2;
        let joints = |label: &Vec<char>| label.iter().filter(|character| **character == '_').count();
        let joints = self.labels.iter().map(joints).max().unwrap_or(0) + 2;
        let far = |mut characters: &mut dyn Iterator<Item = (usize, char)>| {
            let (mut letters, mut runs, mut in_run) = (longest, joints, false);
            Iterator::find(&mut characters, |(_, character)| {
                let separates = is_separator(*character);
                if separates && !in_run {
                    runs -= 1;
                } else if !separates {
                    letters -= 1;
                }
                in_run = separates;
                letters == 0 || runs == 0
            })
        };
        let begin = far(&mut text[..word.start].char_indices().rev()).map_or(0, |(at, _)| at);
        let end = far(&mut text[word.end..].char_indices()).map_or(text.len(), |(at, _)| word.end + at);
        begin..end
    }

    /// The label words near `word` inside `around`, with `inner` in place of the word; `None` if one crosses an end of the word.
    fn near(&self, text: &str, around: &Range<usize>, word: &Range<usize>, inner: &str) -> Option<Near> {
        let local = [&text[around.start..word.start], inner, &text[word.end..around.end]].concat();
        let (start, end) = (word.start - around.start, word.start - around.start + inner.len());
        let folded = folded(&local);
        let mut near = Near::default();
        // If the text begins earlier, the character before the first one here is unknown.
        for at in usize::from(around.start > 0)..folded.len() {
            let from = folded[at].0;
            if from > end {
                break;
            }
            let Some(stop) = self.label_at(&folded, at) else { continue };
            let stop = folded.get(stop).map_or(local.len(), |next| next.0);
            if from == end {
                near.behind = Some(stop - end);
            } else if from >= start {
                near.inside = true;
            } else {
                near.before.push((from, stop));
            }
            if (from < start && stop > start) || (from < end && stop > end) {
                return None;
            }
        }
        Some(near)
    }

    fn label_spans(&self, text: &str, spans: &mut Vec<Range<usize>>) {
        if self.labels.is_empty() {
            return;
        }
        let folded = folded(text);
        let mut at = 0;
        while at < folded.len() {
            let end = self.label_at(&folded, at);
            match end {
                Some(end) => {
                    let stop = folded.get(end).map_or(text.len(), |next| next.0);
                    spans.push(folded[at].0..stop);
                    at = end;
                }
                None => at += 1,
            }
        }
    }

    /// The end, in `folded`, of the longest label word that begins at `at`.
    fn label_at(&self, folded: &[(usize, char)], at: usize) -> Option<usize> {
        let previous = at.checked_sub(1).map(|previous| folded[previous]);
        if previous.is_some_and(|previous| previous.0 == folded[at].0) {
            return None;
        }
        let in_word = previous.is_some_and(|previous| previous.1.is_alphanumeric());
        self.labels.iter().find_map(|label| {
            if in_word && label[0].is_alphanumeric() {
                return None;
            }
            let mut position = at;
            for &expected in label {
                if expected == '_' {
                    let run = folded[position..].iter().take_while(|(_, found)| is_separator(*found)).count();
                    if run == 0 {
                        return None;
                    }
                    position += run;
                } else if folded.get(position).is_some_and(|(_, found)| *found == expected) {
                    position += 1;
                } else {
                    return None;
                }
            }
            let last_in_word = label[label.len() - 1].is_alphanumeric();
            let ends_word = folded
                .get(position)
                .is_none_or(|next| next.0 != folded[position - 1].0 && !(last_in_word && next.1.is_alphanumeric()));
            ends_word.then_some(position)
        })
    }
}

/// Label words around a word, by their positions in the surrounding text.
#[derive(Default)]
struct Near {
    /// Begin and end of those that begin before the word.
    before: Vec<(usize, usize)>,
    /// True if one lies within the word.
    inside: bool,
    /// The length of the label word that begins right after the word.
    behind: Option<usize>,
}

/// The characters of `text` in lower case, each with the offset of its original character.
fn folded(text: &str) -> Vec<(usize, char)> {
    let mut folded = Vec::with_capacity(text.len());
    for (offset, character) in text.char_indices() {
        if character.is_ascii() {
            folded.push((offset, character.to_ascii_lowercase()));
        } else {
            folded.extend(character.to_lowercase().map(|lower| (offset, lower)));
        }
    }
    folded
}

fn placeholder_spans(text: &str, spans: &mut Vec<Range<usize>>) {
    let mut open = None;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open = Some(offset),
            b'}' => {
                if let Some(start) = open.take() {
                    spans.push(start..offset + 1);
                }
            }
            _ => {}
        }
    }
}

fn merge(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_words_in_all_their_forms() {
        let protected = Protected::new(["not_entailment", "entailment"]);
        let text = "entailment, Not-Entailment, \"NOT ENTAILMENT\", not  entailment; entailments, nonentailment.";
        assert_eq!(protected.pieces(text), ["entailment", "Not-Entailment", "NOT ENTAILMENT", "not  entailment"]);
    }

    #[test]
    fn placeholders_and_marker() {
        let protected = Protected::default();
        assert_eq!(protected.pieces("a {b c} {} {{d} e}\n\n### Response:\n"), ["{b c}", "{}", "{d}", "### Response:"]);
    }

    #[test]
    fn intact_counts_pieces_in_any_order() {
        let protected = Protected::new(["yes", "no"]);
        assert!(protected.intact("Yes or no", "no, or Yes"));
        assert!(!protected.intact("Yes or no", "yes or no"));
        assert!(!protected.intact("Yes or no", "Yes or no or no"));
        assert!(!protected.intact("Yes or no", "Yes or n o"));
    }

    #[test]
    fn surroundings_and_whole_text_agree() {
        use rand::Rng;
        let labels = ["yes", "not_equivalent", "a_a", "a", "b a", "+", "x-1", "\u{130}d", "ab"];
        let pieces = ["a", "b", " ", "-", "yes", "not", "equivalent", "x", "1", "+", "\u{130}", "d", "{", "}", "#"];
        let mut rng = coin_core::stream::keyed(3, &["keeps"]);
        let mut told = 0;
        for case in 0..30_000 {
            let protected = Protected::new((0..case % 4).map(|_| labels[rng.random_range(0..labels.len())]));
            let mut text = |most: usize| -> String {
                let count = rng.random_range(0..most);
                (0..count).map(|_| pieces[rng.random_range(0..pieces.len())]).collect()
            };
            let (left, word, right, with) = (text(20), text(3), text(20), text(3));
            let (before, after) = (format!("{left}{word}{right}"), format!("{left}{with}{right}"));
            let place = left.len()..left.len() + word.len();
            // A word that may change does not overlap protected text.
            if protected.spans(&before).iter().any(|span| span.start < place.end && span.end > place.start) {
                continue;
            }
            if let Some(keeps) = protected.keeps(&before, place, &with) {
                told += 1;
                assert_eq!(keeps, protected.intact(&before, &after), "{before:?} {after:?} {protected:?}");
            }
        }
        assert!(told > 10_000, "{told}");
    }

    #[test]
    fn labels_of_symbols_need_no_word_boundary() {
        let protected = Protected::new(["+", "-1"]);
        // A minus sign is a separator like a hyphen, so only the digit of the second label remains.
        assert_eq!(protected.pieces("a+b 1 c11"), ["+", "1"]);
    }

    #[test]
    fn lower_case_of_several_characters() {
        // U+0130 has two characters in lower case; offsets still refer to the text.
        let protected = Protected::new(["\u{130}d"]);
        assert_eq!(protected.spans("a \u{130}D b"), vec![std::ops::Range { start: 2, end: 5 }]);
        assert!(Protected::new(["i"]).spans("\u{130}").is_empty());
    }
}
