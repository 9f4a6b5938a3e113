//! The released program's parser.
//!
//! Thoughts are removed ([`thought`]). The rest is lower-cased, `<pad>` and `</s>` are removed, and a fixed set of punctuation and
//! white space is stripped at both ends. The longest word of the task's verbalizer that is a prefix of the result names the
//! class. Without a match the prediction is -1, represented by `None` here.
//!
//! # Words that are prefixes of other words
//! The released program tries the words in the order of the verbalizer. In GLUE tasks no word is a prefix
//! of another, so the order makes no difference. In other tasks it does: with `no` before `not sure`, the answer `not sure`
//! would be read as `no`, and the second class could never be predicted. So the longest word wins, regardless of the order.
//!
//! A label word may match part of a longer word: `nothing` begins with `no` and is read as `no`, as in the released program.
//! That program cuts answers off after seven tokens, sometimes in the middle of a word, so requiring whole words would change
//! its results. [`normalizing`](super::normalizing) compares whole words.
//!
//! # Stopping early
//! [`decided`] returns true when no further text can change the outcome, so that generation may stop. It considers
//! which part of the cleaned text is certain for every continuation of the text so far:
//!
//! - a tail that may be the beginning of `<pad>` or `</s>` may still be removed, so it is ignored;
//! - let `t` be the rest, stripped at its start, and `r` be `t` stripped at its end. The cleaned full text either begins
//!   with `t`, or equals `r` if only strippable characters follow;
//! - so a word that is a prefix of `r` certainly matches. A word may still match if it is a prefix of `t` or `t` is a prefix
//!   of it (a trailing `_` would be stripped now, but is inside the word in `not_equivalent`);
//! - as long as the text has only strippable characters, `t` is empty and every word may match.
//!
//! The outcome is decided once a word certainly matches and every longer word that may still match is of the same class, or
//! once no word can match.

use std::collections::BTreeMap;

use coin_data::Task;

use super::thought;

/// Characters stripped at both ends: the released program's list.
const STRIPPED: &str = ",._\"'-+=!?()&^%$#@:\\|{}[]<>/`\t\n\r\u{b}\u{c}\u{200b} ";

/// Strings removed everywhere, in this order.
const REMOVED: [&str; 2] = ["<pad>", "</s>"];

fn is_stripped(c: char) -> bool {
    STRIPPED.contains(c)
}

/// Returns the class that `text` names, or `None` if it does not begin with a word of the task's verbalizer.
///
/// ```
/// let task = coin_data::Task::named("cola")?;
/// assert_eq!(coin_eval::parser::released::parse(&task, " 'Acceptable'.</s>"), Some(1));
/// assert_eq!(coin_eval::parser::released::parse(&task, "unacceptable"), Some(0));
/// assert_eq!(coin_eval::parser::released::parse(&task, "It is acceptable"), None);
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn parse(task: &Task, text: &str) -> Option<usize> {
    parse_answer(task, &thought::read(text, false).answer)
}

/// As [`parse`], for a text without thoughts.
pub(super) fn parse_answer(task: &Task, answer: &str) -> Option<usize> {
    let mut cleaned = answer.to_lowercase();
    for piece in REMOVED {
        cleaned = cleaned.replace(piece, "");
    }
    let cleaned = cleaned.trim_matches(is_stripped);
    let matching = words(task).filter(|(word, _)| cleaned.starts_with(word));
    matching.max_by_key(|(word, _)| word.len()).map(|(_, class)| class)
}

/// Returns the verbalizer's words with their classes. The words are stripped like answers.
fn words(task: &Task) -> impl Iterator<Item = (&str, usize)> {
    task.verbalizer.iter().map(|entry| (entry.word.trim_matches(is_stripped), entry.class))
}

/// Returns the reason why answers to a task cannot be read: a word that is empty after stripping, or words of two classes that
/// are equal after stripping.
pub(super) fn fault(task: &Task) -> Option<String> {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for ((word, class), entry) in words(task).zip(&task.verbalizer) {
        if word.is_empty() {
            return Some(format!("the label word `{}` is empty after stripping", entry.word));
        }
        if *classes.entry(word).or_insert(class) != class {
            return Some(format!("after stripping, the label word `{}` belongs to two classes", entry.word));
        }
    }
    None
}

/// Returns true if every text that begins with `text` parses to the same outcome as `text` itself.
///
/// False is always safe. True is returned only if the outcome is certain. A replacement character at the end (a character
/// whose bytes are still incomplete) is ignored.
///
/// ```
/// let task = coin_data::Task::named("mrpc")?;
/// assert!(coin_eval::parser::released::decided(&task, "not_equivalent"));
/// assert!(!coin_eval::parser::released::decided(&task, "not_"));
/// assert!(coin_eval::parser::released::decided(&task, "note"));
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn decided(task: &Task, text: &str) -> bool {
    decided_answer(task, &thought::settled(text.trim_end_matches(char::REPLACEMENT_CHARACTER), false))
}

/// As [`decided`], for the settled part of an answer.
pub(super) fn decided_answer(task: &Task, answer: &str) -> bool {
    let mut certain = answer.to_lowercase();
    for piece in REMOVED {
        certain = certain.replace(piece, "");
        certain.truncate(certain.len() - unfinished(&certain, piece));
    }
    let start = certain.trim_start_matches(is_stripped);
    let inner = start.trim_end_matches(is_stripped);

    // The longest word that matches with any continuation.
    let sure = words(task).filter(|(word, _)| inner.starts_with(word)).max_by_key(|(word, _)| word.len());
    let open = |word: &str| start.starts_with(word) || word.starts_with(start);
    match sure {
        Some((sure, class)) => {
            words(task).all(|(word, other)| other == class || word.len() <= sure.len() || !open(word))
        }
        None => words(task).all(|(word, _)| !open(word)),
    }
}

/// Length of the longest suffix of `text` that is a proper prefix of `piece`.
fn unfinished(text: &str, piece: &str) -> usize {
    (1..piece.len()).rev().find(|&length| text.ends_with(&piece[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_data::LabelWord;
    use proptest::prelude::*;

    fn task(name: &str) -> Task {
        Task::named(name).unwrap()
    }

    #[test]
    fn reads_what_the_released_program_reads() {
        for (name, text, expected) in [
            ("cola", "Unacceptable", Some(0)),
            ("cola", " acceptable\n### Input", Some(1)),
            ("sst2", "\u{200b}'POSITIVE'", Some(1)),
            ("sst2", "1.", Some(1)),
            ("sst2", "10", Some(1)),
            ("sst2", "0", Some(0)),
            ("mnli", "<pad><pad> neutral</s>", Some(1)),
            ("mnli", "con</s>tradiction", Some(2)),
            ("mrpc", "not equivalent", None),
            ("mrpc", "not_equivalent", Some(0)),
            ("wnli", "entailment", Some(1)),
            ("rte", "entailment", Some(0)),
            ("rte", "", None),
            ("rte", ";entailment", None),
            ("rte", "the answer is entailment", None),
        ] {
            assert_eq!(parse(&task(name), text), expected, "{name}: {text:?}");
        }
    }

    #[test]
    fn decides_as_soon_as_it_is_certain_and_no_sooner() {
        for (name, text, expected) in [
            ("cola", "", false),
            ("cola", " '", false),
            ("cola", "unaccept", false),
            ("cola", "unacceptable", true),
            ("cola", "acceptable", true),
            ("cola", "x", true),
            ("mrpc", "not_", false),
            ("mrpc", "not", false),
            ("mrpc", "not e", true),
            ("mrpc", "<", false),
            ("mrpc", "equi</", false),
            ("mrpc", "equi</x", true),
            ("mrpc", "equivalent</", true),
            ("mrpc", "equivalen\u{fffd}", false),
            ("sst2", "1", true),
        ] {
            assert_eq!(decided(&task(name), text), expected, "{name}: {text:?}");
        }
    }

    fn with_words(words: &[(&str, usize)]) -> Task {
        let word = |(word, class): &(&str, usize)| LabelWord { word: (*word).to_owned(), class: *class };
        Task { verbalizer: words.iter().map(word).collect(), ..task("cola") }
    }

    #[test]
    fn the_longest_of_words_that_begin_alike_wins() {
        for words in
            [[("no", 0), ("not sure", 1), ("10", 2), ("1", 3)], [("1", 3), ("10", 2), ("not sure", 1), ("no", 0)]]
        {
            let task = with_words(&words);
            for (text, expected) in [
                ("Not sure.", Some(1)),
                ("no", Some(0)),
                ("not", Some(0)),
                ("nothing", Some(0)),
                ("10", Some(2)),
                ("1", Some(3)),
                ("12", Some(3)),
            ] {
                assert_eq!(parse(&task, text), expected, "{text:?}");
            }
            for (text, expected) in [
                ("no", false),
                ("not", false),
                ("not su", false),
                ("not sure", true),
                ("not t", true),
                ("now", true),
                ("1", false),
                ("1.", true),
                ("10", true),
            ] {
                assert_eq!(decided(&task, text), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn a_longer_word_of_the_same_class_keeps_nothing_open() {
        let task = with_words(&[("acceptable", 1), ("acceptable to none", 0), ("acceptable to all", 1)]);
        assert!(!decided(&task, "acceptable"));
        assert!(!decided(&task, "acceptable to "));
        assert!(decided(&task, "acceptable to me"));
        assert!(decided(&task, "acceptable to a"));
        let task = with_words(&[("acceptable", 1), ("acceptable to none", 1)]);
        assert!(decided(&task, "acceptable"), "both lead to class 1");
    }

    #[test]
    fn words_are_stripped_as_answers_are() {
        let task = with_words(&[("(a)", 0), ("yes.", 1)]);
        assert_eq!((parse(&task, "(A)"), parse(&task, "yes."), parse(&task, "yes. no")), (Some(0), Some(1), Some(1)));
        assert_eq!(fault(&task), None);
        assert!(fault(&with_words(&[("+", 0), ("yes", 1)])).unwrap().contains("`+` is empty after stripping"));
        assert!(fault(&with_words(&[("c", 0), ("c+", 1)])).unwrap().contains("`c+` belongs to two classes"));
        assert!(Task::glue().iter().all(|task| fault(task).is_none()));
    }

    #[test]
    fn thoughts_are_not_read_and_nothing_is_decided_inside_them() {
        let task = task("cola");
        for text in [
            "<think>It looks unacceptable at first.</think>acceptable",
            "unacceptable, it seems.</think>\n\nAcceptable",
            "<reasoning>unacceptable</reasoning> acceptable",
        ] {
            assert_eq!(parse(&task, text), Some(1), "{text}");
        }
        for text in ["<", "<thi", "<think>", "<think>It looks", "<think>unacceptable</think>", "[th"] {
            assert!(!decided(&task, text), "{text}");
        }
        assert!(decided(&task, "<think>unacceptable</think>acceptable"));
        assert_eq!(parse(&task, "<think>acceptable"), None);
        assert_eq!(parse(&task, "acceptable <think>or not"), Some(1));
    }

    #[rustfmt::skip]
    const PIECES: &[&str] = &[
        "<pad>", "</s>", "<p", "ad>", "</", "s>", "<", "<think>", "<thi", "nk>", "[THINK]", "un", "accept", "able", "acceptable", "not", "_", "equi", "valent", "equivalent", "entail",
        "ment", "neutral", "contra", "diction", "pos", "itive", "neg", "ative", "0", "1", " ", "'", "\"", ".", "\n", "\u{200b}", "x", "Σ", "İ", "N", "E", "no", "not sure",
    ];

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![9 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_decided_prefix_parses_like_the_whole(pieces in prop::collection::vec(piece(), 0..9), end in prop::bool::ANY) {
            let mut full: String = pieces.concat();
            // An end without a beginning cannot be anticipated.
            if end && full.contains("<think>") {
                full.push_str("</think>acceptable");
            }
            let own = with_words(&[("no", 0), ("not sure", 1), ("1", 0), ("10", 1), ("positive", 1), ("(equi)", 0)]);
            for task in Task::glue().into_iter().chain([own]) {
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
