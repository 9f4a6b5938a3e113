//! Properties of every attack on random instructions.

use std::collections::BTreeSet;

use coin_core::stream::keyed;
use coin_perturb::audit::{edit_distance, words_changed};
use coin_perturb::{ATTACK_NAMES, Attack, Budget, Change, Protected, attack_named, attack_within};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

const LABELS: [&str; 6] = ["not_equivalent", "equivalent", "positive", "neutral", "0", "very good"];

/// Words, label words in several forms, placeholders, the marker, punctuation, and text that is hard to cut.
const PIECES: [&str; 63] = [
    "Determine",
    "decide",
    "whether",
    "the",
    "given",
    "sentence",
    "SENTENCES",
    "following",
    "and",
    "or",
    "is",
    "answer",
    "Respond with",
    "by responding with",
    "review",
    "Please",
    "same meaning",
    "these two questions",
    "A",
    "don't",
    "'equivalent'",
    "Not_Equivalent",
    "\"not equivalent\"",
    "NOT-EQUIVALENT",
    "Positive",
    "neutral",
    "0",
    "Very good",
    "{premise}",
    "{a b}",
    "### Response:",
    "\n\n",
    ". ",
    "? ",
    ": ",
    ", ",
    "e\u{301}te\u{301}",
    "文の意味",
    "ÅNGSTRÖM",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{0915}\u{094d}\u{0937}",
    "\u{130}stanbul",
    "\u{fb01}ne",
    "determine",
    "identify",
    "grammatically correct",
    // Arabic, with and without vowel signs; Hebrew, with points, with a mark of text direction.
    "الجملة",
    "مَرْحَبًا",
    "المعنى؟",
    "המשפט",
    "שָׁלוֹם",
    "מש\u{200f}פט",
    // Chinese, Japanese, Korean in syllables and in letters, Thai, Hindi, Tamil.
    "判断句子",
    "日本語のテキスト",
    "カ\u{3099}",
    "한국어",
    "\u{1112}\u{1161}\u{11ab}",
    "ประโยคนี้",
    "น้ำ",
    "नमस्ते",
    // A flag, and a face with a tone.
    "\u{1f1ea}\u{1f1fa}",
    "\u{1f44d}\u{1f3fd}",
    "  ",
];

fn attacks() -> Vec<Box<dyn Attack>> {
    ATTACK_NAMES.iter().map(|name| attack_named(name).unwrap()).collect()
}

fn instruction() -> impl Strategy<Value = String> {
    prop::collection::vec((prop::sample::select(&PIECES[..]), prop::bool::weighted(0.9)), 0..24).prop_map(|pieces| {
        pieces.iter().map(|(piece, space)| format!("{piece}{}", if *space { " " } else { "" })).collect()
    })
}

/// The graphemes of more than one character, which edits must not split; in lower case, since the first letter of a sentence may
/// change its case.
fn clusters(text: &str) -> BTreeSet<String> {
    let graphemes = text.graphemes(true).filter(|grapheme| grapheme.chars().count() > 1 && *grapheme != "\r\n");
    graphemes.map(str::to_lowercase).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn protected_pieces_survive_and_seeds_repeat(text in instruction(), seed in any::<u64>()) {
        let protected = Protected::new(LABELS);
        for attack in attacks() {
            let perturb = || attack.perturb(&text, &protected, &mut keyed(seed, &[attack.name()]));
            let perturbed = perturb();
            prop_assert_eq!(&perturbed, &perturb(), "{}", attack.name());
            prop_assert!(protected.intact(&text, &perturbed), "{}: {:?} -> {:?}", attack.name(), text, perturbed);
            let (before, after) = (clusters(&text), clusters(&perturbed));
            let new: Vec<_> = after.difference(&before).collect();
            prop_assert!(new.is_empty(), "{}: {:?} -> {:?}: {:?}", attack.name(), text, perturbed, new);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frozen_perturbations_obey(text in instruction(), seed in any::<u64>()) {
        let protected = Protected::new(LABELS);
        for attack in attacks() {
            let perturbed = attack.perturb(&text, &protected, &mut keyed(seed, &[]));
            // Only the bounds that depend on the whole text, so that the last change shows them.
            if attack.name() == "deepwordbug" {
                prop_assert!(edit_distance(&text, &perturbed) <= 30, "{:?} -> {:?}", text, perturbed);
            }
            if ["textbugger", "bertattack"].contains(&attack.name()) && perturbed != text {
                let (word, replacement) = text.unicode_word_indices().zip(perturbed.unicode_words()).find(|((_, a), b)| a != b).unwrap();
                let range = word.0..word.0 + word.1.len();
                let change = Change { clean: &text, before: &text, word: range, replacement, after: &perturbed };
                prop_assert!(attack.allows(&change), "{}: {:?} -> {:?}", attack.name(), text, perturbed);
            }
        }
    }

    #[test]
    fn other_scripts_survive(text in instruction(), seed in any::<u64>()) {
        let protected = Protected::new(LABELS);
        let foreign = |text: &str| -> Vec<String> {
            let mut words: Vec<String> =
                text.unicode_words().filter(|word| !word.is_ascii()).map(str::to_lowercase).collect();
            words.sort_unstable();
            words
        };
        for name in ["textfooler", "bertattack", "semantic", "checklist", "stresstest"] {
            let perturbed = attack_named(name).unwrap().perturb(&text, &protected, &mut keyed(seed, &[]));
            prop_assert_eq!(foreign(&text), foreign(&perturbed), "{}: {:?} -> {:?}", name, text, perturbed);
        }
        for name in ["deepwordbug", "textbugger"] {
            let perturbed = attack_named(name).unwrap().perturb(&text, &protected, &mut keyed(seed, &[]));
            prop_assert_eq!(text.matches('\u{200f}').count(), perturbed.matches('\u{200f}').count(), "{}: {:?}", name, perturbed);
        }
    }

    #[test]
    fn candidates_are_sound(text in instruction(), seed in any::<u64>(), at in any::<prop::sample::Index>(), length in 0..12_usize) {
        let words: Vec<(usize, &str)> = text.unicode_word_indices().collect();
        let protected = Protected::new(LABELS);
        for attack in attacks() {
            // A range that splits characters or exceeds the text yields an empty list and does not panic.
            let start = at.index(text.len() + 1);
            let cut = attack.word_candidates(&text, start..start + length, &mut keyed(seed, &[]));
            prop_assert!(text.get(start..start + length).is_some() || cut.is_empty(), "{}", attack.name());
            if words.is_empty() {
                continue;
            }
            let (start, word) = words[at.index(words.len())];
            let range = start..start + word.len();
            let candidates = attack.word_candidates(&text, range.clone(), &mut keyed(seed, &[]));
            prop_assert_eq!(&candidates, &attack.word_candidates(&text, range.clone(), &mut keyed(seed, &[])));
            let distinct: BTreeSet<&String> = candidates.iter().collect();
            prop_assert_eq!(distinct.len(), candidates.len(), "{}: {:?}", attack.name(), candidates);
            for replacement in &candidates {
                prop_assert!(replacement != word && !replacement.is_empty(), "{}: {:?}", attack.name(), word);
                let after = format!("{}{replacement}{}", &text[..start], &text[range.end..]);
                let change = Change { clean: &text, before: &text, word: range.clone(), replacement, after: &after };
                // This checks only that the call does not panic.
                let _ = attack.allows(&change) && protected.intact(&text, &after);
                let new: Vec<_> = clusters(replacement).difference(&clusters(word)).cloned().collect();
                prop_assert!(new.is_empty(), "{}: {:?} -> {:?}: {:?}", attack.name(), word, replacement, new);
            }
        }
    }

    #[test]
    fn budgets_are_kept(text in instruction(), seed in any::<u64>(), words in 1usize..5, characters in 1usize..30) {
        let protected = Protected::new(LABELS);
        for name in ["deepwordbug", "textbugger", "textfooler", "bertattack"] {
            let perturb = |budget| {
                let attack = attack_within(name, budget).unwrap();
                attack.perturb(&text, &protected, &mut keyed(seed, &[name]))
            };
            let few = perturb(Budget::Words(words));
            // A space within a word makes two words.
            let bound = if name == "textbugger" { 2 * words } else { words };
            // At the boundary of two scripts, an edit can move the boundary of the adjacent word.
            prop_assert!(!text.is_ascii() || words_changed(&text, &few) <= bound, "{}: {:?} -> {:?}", name, text, few);
            let short = perturb(Budget::Characters(characters));
            prop_assert!(edit_distance(&text, &short) <= characters, "{}: {:?} -> {:?}", name, text, short);
        }
    }

    #[test]
    fn any_text_is_taken(text in any::<String>(), label in any::<String>(), seed in any::<u64>()) {
        let protected = Protected::new([label]);
        for attack in attacks() {
            let perturbed = attack.perturb(&text, &protected, &mut keyed(seed, &[]));
            // A random label may be a word that `stresstest` appends, such as `is`.
            if attack.name() != "stresstest" {
                prop_assert!(protected.intact(&text, &perturbed), "{}: {:?} -> {:?}", attack.name(), text, perturbed);
            }
        }
    }

    #[test]
    fn label_words_alone_keep_their_text(
        words in prop::collection::vec(prop::sample::select(&LABELS[..]), 0..6),
        end in prop::sample::select(&["", ".", ": ", " ?"][..]),
        seed in any::<u64>(),
    ) {
        let protected = Protected::new(LABELS);
        let core = words.join(", ");
        let text = format!("{core}{end}");
        for attack in attacks() {
            let perturbed = attack.perturb(&text, &protected, &mut keyed(seed, &[]));
            if ["checklist", "stresstest"].contains(&attack.name()) {
                prop_assert!(perturbed.len() > text.len() && perturbed.starts_with(&core), "{}: {:?}", attack.name(), perturbed);
            } else {
                prop_assert_eq!(&perturbed, &text, "{}", attack.name());
            }
        }
    }

    #[test]
    fn a_paraphrase_differs(text in instruction(), seed in any::<u64>()) {
        let protected = Protected::new(LABELS);
        // A separate word before the marker, so that there is a word to change.
        let body = text.split("### Response:").next().unwrap_or_default();
        let perturbed = attack_named("semantic").unwrap().perturb(&text, &protected, &mut keyed(seed, &[]));
        if body.split_whitespace().any(|word| word == "sentence") {
            prop_assert_ne!(perturbed, text);
        }
    }
}
