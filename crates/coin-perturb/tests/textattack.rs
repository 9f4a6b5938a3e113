//! Word changes in the published sample outputs of TextAttack are among the candidates of this crate.
//!
//! The available neighbor lists contain at most eight words of a ranking of fifty, so changes to lower-ranked words cannot be found;
//! they are listed below. The output of the WordNet attack is not used, since this crate does not use WordNet.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use coin_core::stream::keyed;
use coin_perturb::constraint::{Constraints, StopWords};
use coin_perturb::{Attack, Change, DeepWordBug, Lexicon, TextFooler};
use coin_testkit::test_data;
use unicode_segmentation::UnicodeSegmentation;

/// A text, a byte range of it, and the text at this range in the published output.
type Published = (String, std::ops::Range<usize>, String);

/// The changes that an output marks as `[[word]]` in two successive texts.
fn bracketed(output: &str) -> Vec<Published> {
    let mut texts = output.lines().filter(|line| line.contains("[[") && !line.contains("-->"));
    let mut changes = Vec::new();
    while let (Some(before), Some(after)) = (texts.next(), texts.next()) {
        let words = |text: &str| -> Vec<String> {
            text.split("[[").skip(1).filter_map(|rest| Some(rest.split_once("]]")?.0.to_owned())).collect()
        };
        let clean = before.replace("[[", "").replace("]]", "");
        let mut begin = 0;
        for (index, (word, replacement)) in words(before).into_iter().zip(words(after)).enumerate() {
            // The marks of earlier words, four bytes each, are not in the clean text.
            begin = before[begin + 4 * index..].find("[[").map_or(begin, |found| begin + found);
            changes.push((clean.clone(), begin..begin + word.len(), replacement));
            begin += word.len();
        }
    }
    changes
}

/// The changes in TextAttack's augmented table: each text is followed by two augmentations with the same number of words.
fn augmented(table: &str) -> Vec<Published> {
    let texts: Vec<&str> =
        table.lines().skip(1).filter_map(|line| Some(line.strip_prefix('"')?.split_once('"')?.0)).collect();
    let mut changes = Vec::new();
    for group in texts.chunks(3) {
        for augmentation in &group[1..] {
            let after: Vec<&str> = augmentation.unicode_words().collect();
            for ((start, word), replacement) in group[0].unicode_word_indices().zip(after) {
                if word != replacement {
                    changes.push((group[0].to_owned(), start..start + word.len(), replacement.to_owned()));
                }
            }
        }
    }
    changes
}

#[test]
fn changes_by_embedding_are_among_the_candidates() {
    let Some(folder) = test_data("changes_by_embedding_are_among_the_candidates", "perturb") else { return };
    let lists = Lexicon::read_json(&folder.join("counterfitted_neighbors.json")).unwrap();
    // Stop words are the only constraint that the recipes of these outputs share with this crate; they allow any part of speech.
    let attack = TextFooler {
        constraints: Constraints::default().with(StopWords),
        ..TextFooler::with_neighbors(Arc::new(lists))
    };
    let samples = folder.join("textattack_sample_outputs");
    let mut changes = bracketed(&fs::read_to_string(samples.join("kuleshov_cnn_sst_2.txt")).unwrap());
    changes.extend(augmented(&fs::read_to_string(samples.join("augment_test.csv.txt")).unwrap()));
    let (mut hits, mut misses) = (BTreeSet::new(), BTreeSet::new());
    for (text, word, replacement) in &changes {
        let name = format!("{} -> {replacement}", &text[word.clone()]);
        let candidates = attack.word_candidates(text, word.clone(), &mut keyed(0, &[]));
        let after = format!("{}{replacement}{}", &text[..word.start], &text[word.end..]);
        let change = Change { clean: text, before: text, word: word.clone(), replacement, after: &after };
        if candidates.contains(replacement) && attack.allows(&change) {
            hits.insert(name)
        } else {
            misses.insert(name)
        };
    }
    eprintln!("{} hits: {hits:?}\n{} misses: {misses:?}", hits.len(), misses.len());
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        hits,
        named(&[
            "Mass -> Masse",
            "arrest -> apprehending",
            "charming -> loveable",
            "insect -> beetle",
            "life -> lives",
            "second -> seconds",
            "shared -> exchanging",
            "years -> yr",
        ])
    );
    assert_eq!(
        misses,
        named(&[
            "Constitution -> Constitutions", // not among the words of its list, as all but the next
            "In -> Among",                   // a stop word of ours, and without a list
            "President -> Chairwoman",
            "billing -> invoice",
            "desperate -> desperation",
            "house -> habitation",
            "often -> ordinarily",
        ])
    );
}

#[test]
fn deepwordbug_changes_the_words_that_its_output_marks() {
    let Some(folder) = test_data("deepwordbug_changes_the_words_that_its_output_marks", "perturb") else { return };
    let output = folder.join("textattack_sample_outputs/run_attack_deepwordbug_lstm_mr_2.txt");
    let changes = bracketed(&fs::read_to_string(output).unwrap());
    let words: Vec<&str> = changes.iter().map(|(text, word, _)| &text[word.clone()]).collect();
    assert_eq!(words, ["life", "manages", "sweetness", "consistently", "clever", "suspenseful"]);
    let attack = DeepWordBug::default();
    for (text, word, replacement) in &changes {
        // The letters are random there, so the output masks the changed words.
        assert_eq!(replacement, "/.*/");
        let length = word.len();
        let candidates = attack.word_candidates(text, word.clone(), &mut keyed(0, &[]));
        // Swaps (of different neighbors), and one change of each other kind per letter, without repetitions.
        assert!((2 * length..4 * length).contains(&candidates.len()), "{candidates:?}");
        for replacement in &candidates {
            let after = format!("{}{replacement}{}", &text[..word.start], &text[word.end..]);
            let change = Change { clean: text, before: text, word: word.clone(), replacement, after: &after };
            assert!(attack.allows(&change), "{replacement}");
        }
    }
}
