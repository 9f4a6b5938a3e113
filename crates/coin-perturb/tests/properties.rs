//! What every attack promises, checked on random instructions.

use std::collections::BTreeSet;

use coin_data::stream::keyed;
use coin_perturb::{ATTACK_NAMES, Attack, Protected, attack_named};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

const LABELS: [&str; 6] = ["not_equivalent", "equivalent", "positive", "neutral", "0", "very good"];

/// Words, label words in several forms, placeholders, the marker, punctuation, and text that is hard to cut.
const PIECES: [&str; 44] = [
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

/// The graphemes of more than one character, which no edit may cut; in lower case, since a sentence's first letter may
/// change its case.
fn clusters(text: &str) -> BTreeSet<String> {
    let graphemes = text.graphemes(true).filter(|grapheme| grapheme.chars().count() > 1 && *grapheme != "\r\n");
    graphemes.map(str::to_lowercase).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

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
        // A word that stands alone in front of the marker, so that something may change.
        let body = text.split("### Response:").next().unwrap_or_default();
        let perturbed = attack_named("semantic").unwrap().perturb(&text, &protected, &mut keyed(seed, &[]));
        if body.split_whitespace().any(|word| word == "sentence") {
            prop_assert_ne!(perturbed, text);
        }
    }
}
