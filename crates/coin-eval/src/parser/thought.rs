//! Thoughts that a model writes before its answer, such as `<think>It looks odd.</think>acceptable`.
//!
//! A thought may name labels that are not the answer, so it is removed before an answer is read:
//!
//! - from a tag that begins a thought to the tag of the same kind that ends it, or to the end of the text if none does;
//! - if the first tag of a text is an end, everything before it. Chat templates often put the beginning into the prompt, so that
//!   the continuation holds only the end.
//!
//! An answer that consists only of an unfinished thought does not name a class. The reason is recorded as
//! [`Unparsable::UnfinishedThought`](super::Unparsable).
//!
//! # Stopping early
//! `settled` returns the part of the answer that no further text can change. If a parser's outcome is certain on this part, it is
//! certain for the whole answer. One case cannot be anticipated: an end without a beginning. [`begun`] detects a prompt that ends
//! with the beginning. A model that thinks without any beginning needs full decoding.

use std::borrow::Cow;

/// Beginnings and ends in lower case. The case of ASCII letters does not matter.
const TAGS: [(&str, &str); 16] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reason>", "</reason>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<analysis>", "</analysis>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),
    ("<|think|>", "<|/think|>"),
    ("[think]", "[/think]"),
    ("\u{25c1}think\u{25b7}", "\u{25c1}/think\u{25b7}"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|start_thinking|>", "<|end_thinking|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
];

/// First characters of tags.
const FIRST: [char; 3] = ['<', '[', '\u{25c1}'];

/// The text of an answer whose only content is an unfinished thought that a server returns separately.
pub(crate) const UNFINISHED: &str = TAGS[0].0;

/// A text without its thoughts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<'t> {
    /// The text outside of thoughts.
    pub answer: Cow<'t, str>,
    /// True if the last thought has no end.
    pub unfinished: bool,
}

/// A tag in a text.
struct Tag {
    start: usize,
    end: usize,
    /// Index into [`TAGS`].
    kind: usize,
    begins: bool,
}

/// Removes the thoughts from `text`. Set `begun` if the prompt began a thought, so that the text starts inside it.
///
/// ```
/// use coin_eval::parser::thought::read;
/// assert_eq!(read("<think>It looks unacceptable.</think>acceptable", false).answer, "acceptable");
/// assert_eq!(read("It looks unacceptable.</think>acceptable", false).answer, "acceptable");
/// let cut_off = read("<think>It looks unacceptable", false);
/// assert!(cut_off.answer.is_empty() && cut_off.unfinished);
/// assert!(read("It looks unacceptable", true).unfinished);
/// assert_eq!(read("acceptable", false).answer, "acceptable");
/// ```
pub fn read(text: &str, begun: bool) -> Reading<'_> {
    // The kind of the open thought. It is unknown if the prompt began the thought.
    let mut open: Option<Option<usize>> = begun.then_some(None);
    let (mut kept, mut from, mut at, mut first) = (Vec::new(), 0, 0, true);
    while let Some(tag) = next_tag(text, at) {
        at = tag.end;
        match open {
            Some(kind) if !tag.begins && kind.is_none_or(|kind| kind == tag.kind) => (open, from) = (None, tag.end),
            Some(_) => {}
            None if tag.begins => {
                kept.push(&text[from..tag.start]);
                open = Some(Some(tag.kind));
            }
            None if first => from = tag.end,
            None => {}
        }
        first = false;
    }
    if open.is_none() {
        kept.push(&text[from..]);
    }
    let answer = match kept[..] {
        [] => Cow::Borrowed(""),
        [only] => Cow::Borrowed(only),
        _ => Cow::Owned(kept.concat()),
    };
    Reading { answer, unfinished: open.is_some() }
}

/// Returns the beginning of the answer that is the same for every text beginning with `text`: without thoughts, and without a
/// tail that may become the beginning of a thought.
pub(crate) fn settled(text: &str, begun: bool) -> Cow<'_, str> {
    let Reading { answer, unfinished } = read(text, begun);
    let length = if unfinished { answer.len() } else { answer.len() - unfinished_tag(&answer) };
    match answer {
        Cow::Borrowed(answer) => Cow::Borrowed(&answer[..length]),
        Cow::Owned(mut answer) => {
            answer.truncate(length);
            Cow::Owned(answer)
        }
    }
}

/// Returns true if `prompt` ends with the beginning of a thought, so that the continuation starts inside it.
///
/// ```
/// use coin_eval::parser::thought::begun;
/// assert!(begun("Is this good English?<|assistant|><think>\n"));
/// assert!(!begun("Put your thoughts between <think> and </think>."));
/// ```
pub fn begun(prompt: &str) -> bool {
    let prompt = prompt.trim_end();
    TAGS.iter().any(|(begin, _)| ends_with(prompt, begin))
}

/// Returns the first tag at or after `at`.
fn next_tag(text: &str, at: usize) -> Option<Tag> {
    let mut places = text[at..].match_indices(FIRST).map(|(place, _)| at + place);
    places.find_map(|start| {
        let here = |tag: &str| {
            let end = start + tag.len();
            text.as_bytes()
                .get(start..end)
                .is_some_and(|found| found.eq_ignore_ascii_case(tag.as_bytes()))
                .then_some(end)
        };
        TAGS.iter().enumerate().find_map(|(kind, (begin, end))| {
            let begins = here(begin).map(|end| Tag { start, end, kind, begins: true });
            begins.or_else(|| here(end).map(|end| Tag { start, end, kind, begins: false }))
        })
    })
}

/// Length of the longest suffix of `text` that is a proper prefix of a tag that begins a thought.
fn unfinished_tag(text: &str) -> usize {
    let of = |(begin, _): &(&str, &str)| {
        let lengths = begin.char_indices().map(|(length, _)| length).skip(1);
        lengths.filter(|length| ends_with(text, &begin[..*length])).max().unwrap_or(0)
    };
    TAGS.iter().map(of).max().unwrap_or(0)
}

fn ends_with(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start.is_some_and(|start| text.as_bytes()[start..].eq_ignore_ascii_case(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_thought_is_taken_out() {
        for (begin, end) in TAGS {
            for (begin, end) in [(begin.to_owned(), end.to_owned()), (begin.to_uppercase(), end.to_uppercase())] {
                let answer = |text: String| read(&text, false).answer.into_owned();
                assert_eq!(answer(format!("{begin}no{end}yes")), "yes");
                assert_eq!(answer(format!("no{end}yes")), "yes", "a lone end");
                assert_eq!(answer(format!("{begin}no")), "");
                assert!(begun(&format!("Judge this.\n{begin}\n")));
                assert_eq!(read(&format!("no{end}yes"), true).answer, "yes");
            }
        }
    }

    #[test]
    fn text_outside_of_thoughts_is_the_answer() {
        for (text, answer, unfinished) in [
            ("", "", false),
            ("yes", "yes", false),
            ("a < b [sic] </s>", "a < b [sic] </s>", false),
            ("I think yes", "I think yes", false),
            ("yes <think>or no", "yes ", true),
            ("yes <think>or no</think>!", "yes !", false),
            ("<think>a</think><think>b</think>yes", "yes", false),
            // Another tag inside a thought is part of it.
            ("<think>a</reasoning>no</think>yes", "yes", false),
            ("<think><reasoning>a</think>yes", "yes", false),
            // A second end has no effect.
            ("<think>a</think>yes</think>no", "yes</think>no", false),
            ("a</think>yes</think>no", "yes</think>no", false),
            ("<think>a</thinking>yes", "", true),
            ("<analysis>no</analysis>yes", "yes", false),
            ("<scratchpad>no</scratchpad>yes", "yes", false),
            ("<|think|>no<|/think|>yes", "yes", false),
        ] {
            let found = read(text, false);
            assert_eq!((found.answer.as_ref(), found.unfinished), (answer, unfinished), "{text}");
        }
    }

    #[test]
    fn what_is_settled_does_not_hold_a_tag_that_may_still_come() {
        for (text, expected) in [
            ("yes", "yes"),
            ("yes <", "yes "),
            ("yes <THI", "yes "),
            ("yes [th", "yes "),
            ("yes \u{25c1}", "yes "),
            ("yes <tea", "yes <tea"),
            ("yes </th", "yes </th"),
            ("<think>no", ""),
            ("<think>no</think>yes", "yes"),
        ] {
            assert_eq!(settled(text, false), expected, "{text}");
        }
        assert_eq!((settled("no", true), settled("no</think>yes", true)), ("".into(), "yes".into()));
    }
}
