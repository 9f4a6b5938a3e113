//! Another framing of a request: a task, a role, a courtesy.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::verbs;
use crate::{Protected, words};

/// Put before an imperative, whose first letter becomes lower case.
const BEFORE_IMPERATIVE: [&str; 10] = [
    "Please ",
    "Kindly ",
    "Your task is to ",
    "Your job is to ",
    "You should ",
    "We would like you to ",
    "I want you to ",
    "What you have to do is ",
    "As a careful reader, ",
    "In the role of a language expert, ",
];

/// Sentences put before any instruction.
pub(super) const OPENINGS: [&str; 7] = [
    "You are an attentive reader. ",
    "You are an expert in language. ",
    "Please take your time with this. ",
    "Here is something to work on. ",
    "Kindly help with the following. ",
    "Read what comes next with care. ",
    "We need your view. ",
];

/// Framings that can be removed, which leaves an imperative.
const REMOVABLE: [&str; 8] = [
    "please ",
    "kindly ",
    "your task is to ",
    "your job is to ",
    "you should ",
    "you are asked to ",
    "we would like you to ",
    "i want you to ",
];

/// Changes the framing of `text`: an imperative gets a framing or an opening sentence, a framed text may lose its framing, any other text
/// gets an opening sentence.
pub(super) fn frame(text: &str, protected: &Protected, rng: &mut ChaCha8Rng) -> String {
    let free = words::free_words(text, &protected.spans(text));
    if verbs::leading(text, &free).is_some() && rng.random_bool(0.75) {
        let frame = BEFORE_IMPERATIVE.choose(rng).copied().unwrap_or(BEFORE_IMPERATIVE[0]);
        return format!("{frame}{}", words::decapitalize(text));
    }
    let removable = REMOVABLE.iter().find(|frame| {
        text.get(..frame.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(frame))
            && free.iter().any(|word| word.start == frame.len())
    });
    if let Some(frame) = removable
        && rng.random_bool(0.5)
    {
        return words::capitalize(&text[frame.len()..]);
    }
    let opening = OPENINGS.choose(rng).copied().unwrap_or(OPENINGS[0]);
    format!("{opening}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use coin_core::stream::keyed;
    use std::collections::BTreeSet;

    fn frames(text: &str) -> BTreeSet<String> {
        (0..300).map(|seed| frame(text, &Protected::default(), &mut keyed(seed, &[]))).collect()
    }

    #[test]
    fn imperatives_get_every_frame() {
        let found = frames("Decide it");
        assert_eq!(found.len(), BEFORE_IMPERATIVE.len() + OPENINGS.len());
        assert!(found.contains("Your task is to decide it") && found.contains("We need your view. Decide it"));
    }

    #[test]
    fn a_frame_is_taken_away() {
        assert!(frames("Your task is to decide it").contains("Decide it"));
        assert!(frames("Is it so").iter().all(|text| text.ends_with(". Is it so")));
    }
}
