//! The released program's parser.
//!
//! The continuation is lower-cased, `<pad>` and `</s>` are removed, a fixed set of punctuation and white space is
//! stripped at both ends, and the first word of the task's verbalizer that is a prefix of the rest names the
//! class. No match is prediction -1, written `None` here.
//!
//! # Stopping early
//! [`decided`] tells when no further text can change the outcome, so that generation may stop. It reasons about
//! what of the cleaned text is certain, given any continuation of the text so far:
//!
//! - a tail that may be the beginning of `<pad>` or `</s>` may still vanish, so it is left out;
//! - what is left, stripped at its start, is `t`; the cleaned full text either begins with `t`, or, if nothing but
//!   strippable characters follows, is `t` stripped at its end, `r`;
//! - so a word that is a prefix of `r` matches for certain; a word may still match if it is a prefix of `t`
//!   or `t` is a prefix of it (a trailing `_` that would be stripped now is inner in `not_equivalent`);
//! - before anything but strippable characters is seen, `t` is empty and every word may match.
//!
//! The outcome is decided once every word that may come first leads to the same class.

use coin_data::Task;

/// What is stripped at both ends: the released program's list.
const STRIPPED: &str = ",._\"'-+=!?()&^%$#@:\\|{}[]<>/`\t\n\r\u{b}\u{c}\u{200b} ";

/// What is removed anywhere, in this order.
const REMOVED: [&str; 2] = ["<pad>", "</s>"];

fn is_stripped(c: char) -> bool {
    STRIPPED.contains(c)
}

/// The class that `text` stands for, or `None` if it begins with no word of the task's verbalizer.
///
/// ```
/// let task = coin_data::Task::named("cola")?;
/// assert_eq!(coin_eval::scorer::released::parse(&task, " 'Acceptable'.</s>"), Some(1));
/// assert_eq!(coin_eval::scorer::released::parse(&task, "unacceptable"), Some(0));
/// assert_eq!(coin_eval::scorer::released::parse(&task, "It is acceptable"), None);
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn parse(task: &Task, text: &str) -> Option<usize> {
    let mut cleaned = text.to_lowercase();
    for piece in REMOVED {
        cleaned = cleaned.replace(piece, "");
    }
    let cleaned = cleaned.trim_matches(is_stripped);
    task.verbalizer.iter().find(|entry| cleaned.starts_with(&entry.word)).map(|entry| entry.class)
}

/// Whether every text that begins with `text` parses to the same outcome as `text` itself.
///
/// False is always safe; true is only returned when it is certain. A replacement character at the end (a character
/// whose bytes are not complete yet) counts as not seen.
///
/// ```
/// let task = coin_data::Task::named("mrpc")?;
/// assert!(coin_eval::scorer::released::decided(&task, "not_equivalent"));
/// assert!(!coin_eval::scorer::released::decided(&task, "not_"));
/// assert!(coin_eval::scorer::released::decided(&task, "note"));
/// # Ok::<(), coin_data::DataError>(())
/// ```
pub fn decided(task: &Task, text: &str) -> bool {
    let mut certain = text.trim_end_matches(char::REPLACEMENT_CHARACTER).to_lowercase();
    for piece in REMOVED {
        certain = certain.replace(piece, "");
        certain.truncate(certain.len() - unfinished(&certain, piece));
    }
    let start = certain.trim_start_matches(is_stripped);
    let inner = start.trim_end_matches(is_stripped);

    // Which outcomes are left: classes of the words that may match, in order, up to one that must.
    let mut outcome = None;
    for entry in &task.verbalizer {
        let must = inner.starts_with(&entry.word);
        let may = must || start.starts_with(&entry.word) || entry.word.starts_with(start);
        if may {
            if outcome.is_some_and(|class| class != entry.class) {
                return false;
            }
            outcome = Some(entry.class);
        }
        if must {
            return true;
        }
    }
    // No word must match: with one that may, both its class and "no match" are open.
    outcome.is_none()
}

/// Length of the longest end of `text` that is a proper beginning of `piece`.
fn unfinished(text: &str, piece: &str) -> usize {
    (1..piece.len()).rev().find(|&length| text.ends_with(&piece[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn an_earlier_word_that_may_still_come_keeps_it_open() {
        let mut task = task("cola");
        task.verbalizer[0].word = "acceptable to none".to_owned();
        assert!(!decided(&task, "acceptable"));
        assert!(decided(&task, "acceptable to me"));
        task.verbalizer[0].class = 1;
        assert!(decided(&task, "acceptable"), "both lead to class 1");
    }

    #[test]
    fn a_word_that_ends_in_a_stripped_character_matches_only_within() {
        let mut task = task("cola");
        task.verbalizer[0].word = "yes.".to_owned();
        assert_eq!((parse(&task, "yes."), parse(&task, "yes. no")), (None, Some(0)));
        assert!(!decided(&task, "yes."));
        assert!(decided(&task, "yes. n"));
    }

    #[rustfmt::skip]
    const PIECES: &[&str] = &[
        "<pad>", "</s>", "<p", "ad>", "</", "s>", "<", "un", "accept", "able", "acceptable", "not", "_", "equi", "valent", "equivalent", "entail",
        "ment", "neutral", "contra", "diction", "pos", "itive", "neg", "ative", "0", "1", " ", "'", "\"", ".", "\n", "\u{200b}", "x", "Σ", "İ", "N", "E",
    ];

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![9 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_decided_prefix_parses_like_the_whole(pieces in prop::collection::vec(piece(), 0..9)) {
            let full: String = pieces.concat();
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
