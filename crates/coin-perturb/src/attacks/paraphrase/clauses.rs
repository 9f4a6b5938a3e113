//! Reorders the clauses of an instruction.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::verbs;
use crate::Protected;
use crate::words::{self, Word};

/// Applies one of the matching rules, chosen at random; `text` is the instruction without its ending `end`.
/// Returns the new text and its ending.
///
/// 1. `A. Respond with L` -> `Respond with L. A`
/// 2. `Review A and decide B` -> `After reviewing A, decide B`
/// 3. `A by responding with L` -> `A. Respond with L`
pub(super) fn reorder(text: &str, end: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> (String, String) {
    let free = words::free_words(text, &protected.spans(text));
    let mut results = Vec::new();
    results.extend(answer_first(text, end, protected, &free));
    results.extend(after_doing(text, &free).map(|text| (text, end.to_owned())));
    results.extend(split_answer(text, &free).map(|text| (text, end.to_owned())));
    if results.is_empty() {
        return (text.to_owned(), end.to_owned());
    }
    results.swap_remove(rng.random_range(0..results.len()))
}

/// Rule 1. A question keeps its question mark.
fn answer_first(text: &str, end: &str, protected: &Protected, free: &[Word<'_>]) -> Option<(String, String)> {
    let spans = protected.spans(text);
    let inside = |offset: usize| spans.iter().any(|span| span.contains(&offset));
    let cut = [". ", "? ", "! "].iter().filter_map(|sign| text.rfind(sign)).max().filter(|cut| !inside(*cut))?;
    let (first, last) = (&text[..cut], &text[cut + 2..]);
    let verb = free.iter().find(|word| word.start == cut + 2).and_then(|word| verbs::of_base(word.text))?;
    if !verb.answers || first.trim().is_empty() {
        return None;
    }
    let space = &end[end.trim_end().len()..];
    let new_end = if text[cut..].starts_with('?') { format!("?{space}") } else { end.to_owned() };
    Some((format!("{last}. {first}"), new_end))
}

/// Rule 2.
fn after_doing(text: &str, free: &[Word<'_>]) -> Option<String> {
    let verb = verbs::leading(text, free)?;
    let mut pairs = free.windows(2).filter(|pair| pair[0].text.eq_ignore_ascii_case("and"));
    let pair = pairs.find(|pair| verbs::of_base(pair[1].text).is_some())?;
    let object = text[verb.base.len()..pair[0].start].trim_end().trim_end_matches(',');
    // One clause without a period or question mark in it.
    if object.contains(['.', '?', '!', ':', ';']) || object.trim().is_empty() {
        return None;
    }
    Some(format!("After {}{object}, {}", verb.gerund, &text[pair[1].start..]))
}

/// Rule 3.
fn split_answer(text: &str, free: &[Word<'_>]) -> Option<String> {
    let mut pairs = free.windows(2).rev().filter(|pair| pair[0].text.eq_ignore_ascii_case("by"));
    let (pair, verb) = pairs.find_map(|pair| {
        let verb = verbs::of_gerund(pair[1].text).filter(|verb| verb.answers)?;
        Some((pair, verb))
    })?;
    let before = text[..pair[0].start].trim_end().trim_end_matches(',');
    if before.is_empty() {
        return None;
    }
    Some(format!("{before}. {}{}", words::capitalize(verb.base), &text[pair[1].range().end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(text: &str) -> Vec<Word<'_>> {
        words::free_words(text, &[])
    }

    #[test]
    fn the_answer_comes_first() {
        let first = |text: &str, end: &str| answer_first(text, end, &Protected::default(), &free(text));
        assert_eq!(
            first("Is it so? Answer with 'a' or 'b'", ": "),
            Some(("Answer with 'a' or 'b'. Is it so".to_owned(), "? ".to_owned()))
        );
        assert_eq!(first("Judge it. Say 'a'", ":"), Some(("Say 'a'. Judge it".to_owned(), ":".to_owned())));
        assert_eq!(first("Judge it. It is hard", ":"), None);
    }

    #[test]
    fn reviewing_before_deciding() {
        let text = "Review the text below and decide if it is good. Say so";
        assert_eq!(
            after_doing(text, &free(text)).as_deref(),
            Some("After reviewing the text below, decide if it is good. Say so")
        );
        let text = "Review the text. Stop and decide";
        assert_eq!(after_doing(text, &free(text)), None);
    }

    #[test]
    fn an_answer_of_its_own() {
        let text = "Decide if it is good by answering with 'a' or 'b'";
        assert_eq!(split_answer(text, &free(text)).as_deref(), Some("Decide if it is good. Answer with 'a' or 'b'"));
    }
}
