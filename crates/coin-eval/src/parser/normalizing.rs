//! A parser that finds a label word anywhere in an answer, ignoring case and punctuation. Defined by this project.
//!
//! 1. Thoughts are removed ([`thought`]). The rest is lower-cased and split into words: runs of letters and digits. Characters
//!    between words, including `_` and `-`, are ignored, so `Not equivalent`, `not-equivalent` and `not_equivalent` are the same.
//! 2. The verbalizer's words are split in the same way. At each position, starting with the first, the parser looks for the
//!    longest word of the verbalizer that occurs there (of equally long ones, the first listed).
//! 3. The first position with a match names the class, unless the match is negated. A label word after `not`, `no`, `isn't` and
//!    similar words (also `not a`, `not very`) is skipped, since it states what the answer is not. The exception is a label that
//!    includes the negation, such as `not equivalent`.
//!
//! Without a match the prediction is -1. The released parser finds no class in `The answer is acceptable`; this one reads
//! `acceptable`. If an answer names two labels, the first counts, since the words do not show which one is meant.

use std::collections::BTreeMap;

use coin_data::Task;

use super::thought;

/// Words that negate the next one. `n't` is split at the apostrophe, so `t` counts as a negation.
const NEGATIONS: [&str; 5] = ["not", "no", "never", "neither", "t"];

/// Words that may occur between a negation and the negated word.
const BETWEEN: [&str; 8] = ["a", "an", "the", "quite", "very", "really", "fully", "entirely"];

/// Returns the class that `text` names, or `None` if it does not contain a word of the task's verbalizer.
///
/// ```
/// use coin_eval::parser::normalizing::parse;
/// let task = coin_data::Task::named("mrpc")?;
/// assert_eq!(parse(&task, "The sentences are Not Equivalent."), Some(0));
/// assert_eq!(parse(&task, "they're equivalent"), Some(1));
/// assert_eq!(parse(&task, "I cannot tell"), None);
/// let task = coin_data::Task::named("cola")?;
/// assert_eq!(parse(&task, "This is not acceptable, it is unacceptable"), Some(0));
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn parse(task: &Task, text: &str) -> Option<usize> {
    parse_answer(task, &thought::read(text, false).answer)
}

/// As [`parse`], for a text without thoughts.
pub(super) fn parse_answer(task: &Task, answer: &str) -> Option<usize> {
    first_match(task, &words(answer)).map(|(class, _)| class)
}

/// Returns the reason why answers to a task cannot be read: a label word without a letter or digit, or label words of two classes
/// that are equal after splitting.
pub(super) fn fault(task: &Task) -> Option<String> {
    let mut classes: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for entry in &task.verbalizer {
        let words = words(&entry.word);
        if words.is_empty() {
            return Some(format!("the label word `{}` contains no letter or digit", entry.word));
        }
        if *classes.entry(words).or_insert(entry.class) != entry.class {
            return Some(format!("without punctuation, the label word `{}` belongs to two classes", entry.word));
        }
    }
    None
}

/// Returns true if every text that begins with `text` parses to the same outcome as `text` itself: it contains a label word,
/// followed by enough words that no longer label can still match at its position.
///
/// An answer without a match is never decided, since a label may still follow.
pub fn decided(task: &Task, text: &str) -> bool {
    // Ignore a last character whose bytes are still incomplete.
    decided_answer(task, &thought::settled(text.trim_end_matches(char::REPLACEMENT_CHARACTER), false))
}

/// As [`decided`], for the settled part of an answer.
pub(super) fn decided_answer(task: &Task, answer: &str) -> bool {
    // Ignore a last word that may still continue.
    let mut seen = words(answer);
    if answer.chars().next_back().is_some_and(char::is_alphanumeric) {
        seen.pop();
    }
    // A tail that may become `</s>` or `<pad>`, which are removed, is not a reason to stop.
    let longest = task.verbalizer.iter().map(|entry| words(&entry.word).len()).max().unwrap_or(0);
    first_match(task, &seen).is_some_and(|(_, place)| seen.len() >= place + longest)
}

/// Returns the class of the first match and its position, in words.
fn first_match(task: &Task, text: &[String]) -> Option<(usize, usize)> {
    let labels: Vec<(Vec<String>, usize)> =
        task.verbalizer.iter().map(|entry| (words(&entry.word), entry.class)).collect();
    for place in 0..text.len() {
        let here = labels.iter().filter(|(label, _)| !label.is_empty() && text[place..].starts_with(label));
        let longest = here.fold(None, |best: Option<&(Vec<String>, usize)>, label| match best {
            Some(best) if best.0.len() >= label.0.len() => Some(best),
            _ => Some(label),
        });
        let Some((_, class)) = longest else { continue };
        let before = text[..place].iter().rev().find(|word| !BETWEEN.contains(&word.as_str()));
        if before.is_none_or(|word| !NEGATIONS.contains(&word.as_str())) {
            return Some((*class, place));
        }
    }
    None
}

/// Returns the runs of letters and digits of `text` in lower case, without special tokens.
fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace("<pad>", " ").replace("</s>", " ");
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn task(name: &str) -> Task {
        Task::named(name).unwrap()
    }

    #[test]
    fn labels_are_found_where_they_stand() {
        for (name, text, expected) in [
            ("cola", "Answer: Acceptable.", Some(1)),
            ("cola", "unacceptable", Some(0)),
            ("cola", "not acceptable", None),
            ("cola", "It isn't acceptable", None),
            ("cola", "acceptably", None),
            ("mrpc", "NOT-EQUIVALENT", Some(0)),
            ("mrpc", "not quite equivalent", None),
            ("sst2", "**Positive**", Some(1)),
            ("sst2", "10", None),
            ("sst2", "label 1", Some(1)),
            ("rte", "there is no entailment", None),
            ("rte", "the label is not_entailment</s>", Some(1)),
            ("mnli", "neutral or contradiction", Some(1)),
            ("mnli", "", None),
        ] {
            assert_eq!(parse(&task(name), text), expected, "{name}: {text:?}");
        }
    }

    #[test]
    fn an_answer_is_decided_once_no_longer_label_can_stand_there() {
        for (name, text, expected) in [
            ("cola", "acceptable", false),
            ("cola", "acceptable.", true),
            ("mrpc", "equivalent ", false),
            ("mrpc", "equivalent in ", true),
            ("mrpc", "not_", false),
            ("mrpc", "not_equivalent\n", true),
            ("cola", "This sentence is ", false),
        ] {
            assert_eq!(decided(&task(name), text), expected, "{name}: {text:?}");
        }
    }

    #[test]
    fn thoughts_are_not_read_and_nothing_is_decided_inside_them() {
        let task = task("cola");
        for text in
            ["<think>It looks unacceptable at first.</think>acceptable", "It looks unacceptable.</think>acceptable"]
        {
            assert_eq!(parse(&task, text), Some(1), "{text}");
        }
        assert_eq!(parse(&task, "<think>It looks unacceptable"), None);
        assert!(!decided(&task, "<think>It looks unacceptable at first. "));
        assert!(decided(&task, "<think>unacceptable</think>It is acceptable. "));
    }

    #[test]
    fn a_task_whose_words_cannot_be_told_apart_is_at_fault() {
        let with = |word: &str| {
            let mut task = task("cola");
            task.verbalizer[0].word = word.to_owned();
            fault(&task)
        };
        assert!(with("+").unwrap().contains("`+` contains no letter"));
        assert!(with("acceptable!").unwrap().contains("`acceptable` belongs to two classes"));
        assert_eq!(with("not acceptable"), None);
        let mut nested = task("cola");
        (nested.verbalizer[0].word, nested.verbalizer[1].word) = ("no".to_owned(), "not sure".to_owned());
        let parsed = ["No.", "I am not sure", "nothing"].map(|text| parse(&nested, text));
        assert_eq!(parsed, [Some(0), Some(1), None]);
    }

    #[rustfmt::skip]
    const PIECES: &[&str] = &[
        "<pad>", "</s>", "<p", "ad>", "</", "s>", "<think>", "<thi", "nk>", "un", "accept", "able", "acceptable", "not", "_", "equivalent", "entailment", "neutral",
        "positive", "0", "1", " ", "'", ".", "-", "t", "n't ", "x", "İ", "Σ", "is ", "no ",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_decided_prefix_parses_like_the_whole(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..9), end in prop::bool::ANY) {
            let mut full: String = pieces.concat();
            // An end without a beginning cannot be seen in advance.
            if end && full.contains("<think>") {
                full.push_str("</think>acceptable");
            }
            for task in Task::glue() {
                let outcome = parse(&task, &full);
                for (cut, _) in full.char_indices() {
                    if decided(&task, &full[..cut]) {
                        prop_assert_eq!(parse(&task, &full[..cut]), outcome, "{}: {:?} of {:?}", task.name, &full[..cut], full);
                    }
                }
            }
        }
    }
}
