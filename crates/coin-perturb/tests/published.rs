//! Comparison with the published frozen set: the same share of words changes, by the same amount, and label words are kept.

use coin_data::Task;
use coin_perturb::audit::{edit_distance, words_changed};
use coin_perturb::{CLEAN, FrozenSet, Instructions, LabelWords, attack_named, files, perturb_set};
use coin_testkit::test_data;
use unicode_segmentation::UnicodeSegmentation;

/// The comparison must hold for each of these seeds.
const SEEDS: std::ops::Range<u64> = 0..20;

/// Maximum relative difference from a published figure.
const TOLERANCE: f64 = 0.2;

/// The published set, and the clean instructions of the 48 perturbed ones; `None` without the test data.
fn published(test: &str) -> Option<(FrozenSet, Instructions)> {
    let path = test_data(test, "coin/perturbed_prompts.json")?;
    let set = files::read_frozen(&path).unwrap();
    let mut clean = set.sets()[CLEAN].clone();
    clean.retain(|task, _| set.instructions("deepwordbug", task).is_some());
    assert_eq!(clean.values().map(Vec::len).sum::<usize>(), 48);
    Some((set, clean))
}

fn label_words() -> LabelWords {
    Task::glue().iter().map(|task| (task.name.clone(), task.label_words())).collect()
}

fn ours(clean: &Instructions, attack: &str, seed: u64) -> FrozenSet {
    perturb_set(clean, &[attack_named(attack).unwrap()], &label_words(), seed).unwrap()
}

fn pairs<'a>(set: &'a FrozenSet, attack: &str) -> Vec<(&'a str, &'a str)> {
    let of_task = |(task, perturbed): (&String, &'a Vec<String>)| {
        set.sets()[CLEAN][task]
            .iter()
            .zip(perturbed)
            .map(|(clean, text)| (clean.as_str(), text.as_str()))
            .collect::<Vec<_>>()
    };
    set.sets()[attack].iter().flat_map(of_task).collect()
}

#[derive(Debug, Default)]
struct Figures {
    /// Pairs of clean and perturbed texts with the same number of words; only these are counted.
    pairs: usize,
    /// Share of words that differ from the word at the same position.
    share: f64,
    /// Mean Levenshtein distance between a changed word and the clean word.
    distance: f64,
}

fn figures(pairs: &[(&str, &str)]) -> Figures {
    let (mut counted, mut words, mut changed, mut distance) = (0, 0, 0, 0);
    for (clean, perturbed) in pairs {
        let (before, after): (Vec<&str>, Vec<&str>) =
            (clean.unicode_words().collect(), perturbed.unicode_words().collect());
        if before.len() != after.len() {
            continue;
        }
        counted += 1;
        words += before.len();
        for (before, after) in before.iter().zip(&after).filter(|(before, after)| before != after) {
            changed += 1;
            distance += edit_distance(before, after);
        }
    }
    Figures { pairs: counted, share: changed as f64 / words as f64, distance: distance as f64 / changed as f64 }
}

/// Word edits (replaced, inserted, deleted) divided by the words of the clean texts, over all pairs.
fn word_edits(pairs: &[(&str, &str)]) -> f64 {
    let edits: usize = pairs.iter().map(|(clean, perturbed)| words_changed(clean, perturbed)).sum();
    let words: usize = pairs.iter().map(|(clean, _)| clean.unicode_words().count()).sum();
    edits as f64 / words as f64
}

fn near(ours: f64, published: f64) -> bool {
    (ours / published - 1.0).abs() <= TOLERANCE
}

/// Minimum and maximum of a figure, for the table.
fn range(values: impl Iterator<Item = f64> + Clone) -> String {
    let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    format!("{least:.3} to {most:.3}")
}

fn labels_intact(set: &FrozenSet) -> bool {
    set.audit(&label_words()).iter().all(|record| record.labels_intact)
}

#[test]
fn characters_and_words_change_as_in_the_published_set() {
    let Some((set, clean)) = published("characters_and_words_change_as_in_the_published_set") else { return };
    for attack in ["deepwordbug", "textfooler"] {
        let theirs = figures(&pairs(&set, attack));
        let sets: Vec<FrozenSet> = SEEDS.map(|seed| ours(&clean, attack, seed)).collect();
        let ours: Vec<Figures> = sets.iter().map(|set| figures(&pairs(set, attack))).collect();
        eprintln!(
            "{attack}, words changed: published {:.3} ({} pairs), ours {} ({} pairs)",
            theirs.share,
            theirs.pairs,
            range(ours.iter().map(|figures| figures.share)),
            range(ours.iter().map(|figures| figures.pairs as f64)),
        );
        eprintln!(
            "{attack}, distance of a changed word: published {:.3}, ours {}",
            theirs.distance,
            range(ours.iter().map(|figures| figures.distance)),
        );
        for (seed, (set, ours)) in SEEDS.zip(sets.iter().zip(&ours)) {
            assert!(near(ours.share, theirs.share), "{attack}, seed {seed}: {ours:?}, published {theirs:?}");
            assert!(near(ours.distance, theirs.distance), "{attack}, seed {seed}: {ours:?}, published {theirs:?}");
            assert!(labels_intact(set), "{attack}, seed {seed}");
        }
    }
}

#[test]
fn paraphrases_change_as_many_words_as_the_published_ones() {
    let Some((set, clean)) = published("paraphrases_change_as_many_words_as_the_published_ones") else { return };
    let theirs = pairs(&set, "semantic");
    let (edits, same_length) = (word_edits(&theirs), figures(&theirs));
    let sets: Vec<FrozenSet> = SEEDS.map(|seed| ours(&clean, "semantic", seed)).collect();
    let ours: Vec<f64> = sets.iter().map(|set| word_edits(&pairs(set, "semantic"))).collect();
    let ours_same_length: Vec<Figures> = sets.iter().map(|set| figures(&pairs(set, "semantic"))).collect();
    eprintln!("semantic, word edits: published {edits:.3} (48 pairs), ours {}", range(ours.iter().copied()));
    eprintln!(
        "semantic, words changed: published {:.3} ({} pairs), ours {} ({} pairs)",
        same_length.share,
        same_length.pairs,
        range(ours_same_length.iter().map(|figures| figures.share)),
        range(ours_same_length.iter().map(|figures| figures.pairs as f64)),
    );
    for (seed, (set, ours)) in SEEDS.zip(sets.iter().zip(&ours)) {
        let paraphrases = pairs(set, "semantic");
        assert_eq!(paraphrases.len(), 48);
        assert!(paraphrases.iter().all(|(clean, text)| clean != text), "seed {seed}");
        assert!(labels_intact(set), "seed {seed}");
        assert!(near(*ours, edits), "seed {seed}: {ours:.3}, published {edits:.3}");
    }
}

#[test]
fn the_other_attacks_change_every_instruction() {
    let Some((set, clean)) = published("the_other_attacks_change_every_instruction") else { return };
    eprintln!("checklist, word edits: published {:.3}", word_edits(&pairs(&set, "checklist")));
    for attack in ["checklist", "textbugger", "bertattack"] {
        let sets: Vec<FrozenSet> = SEEDS.map(|seed| ours(&clean, attack, seed)).collect();
        eprintln!("{attack}, word edits: ours {}", range(sets.iter().map(|set| word_edits(&pairs(set, attack)))));
        for (seed, set) in SEEDS.zip(&sets) {
            assert!(pairs(set, attack).iter().all(|(clean, text)| clean != text), "{attack}, seed {seed}");
            assert!(labels_intact(set), "{attack}, seed {seed}");
        }
    }
}
