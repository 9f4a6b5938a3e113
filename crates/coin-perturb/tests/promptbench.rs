//! The constraints of this crate on published results of PromptBench's searches: prompts attacked on four models, which satisfied
//! PromptBench's constraints (a neural tagger and a neural sentence encoder).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use coin_core::stream::keyed;
use coin_perturb::audit::edit_distance;
use coin_perturb::constraint::{Constraint, Metric, PartOfSpeech, Scope, SentenceSimilarity, StopWords};
use coin_perturb::{Attack, Change, DeepWordBug, Lexicon, SurfaceEncoder, TextBugger, TextFooler, attack_named};
use coin_testkit::test_data;
use unicode_segmentation::UnicodeSegmentation;

/// Clean and attacked prompts of one attack; `None` without the test data.
fn pairs(test: &str, attack: &str) -> Option<Vec<(String, String)>> {
    let folder = test_data(test, "promptbench/adv_prompts")?;
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    let mut pairs = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).unwrap();
        let (mut heading, mut clean) = ("", "");
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("## ") {
                heading = name.trim();
            } else if let Some(prompt) = line.strip_prefix("Original prompt: ") {
                clean = prompt.trim();
            } else if let Some(attacked) = line.strip_prefix("Attacked prompt: ")
                && heading == attack
            {
                pairs.extend(from_python(attacked.trim()).map(|attacked| (clean.to_owned(), attacked)));
            }
        }
    }
    assert!(pairs.len() > 500, "{attack}: {} pairs", pairs.len());
    Some(pairs)
}

/// The text of Python's `b'..'`.
fn from_python(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('b')?;
    let mut bytes = inner.get(1..inner.len() - 1)?.bytes();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match bytes.next()? {
            b'x' => {
                let digits = [bytes.next()?, bytes.next()?];
                text.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            b'n' => text.push(b'\n'),
            other => text.push(other),
        }
    }
    String::from_utf8(text).ok()
}

/// Every word that differs between two texts with the same number of words, each as a separate change of the clean text.
fn each_change(clean: &str, attacked: &str, mut look: impl FnMut(&Change)) {
    let before: Vec<(usize, &str)> = clean.unicode_word_indices().collect();
    let after: Vec<&str> = attacked.unicode_words().collect();
    if before.len() != after.len() {
        return;
    }
    for ((start, word), replacement) in before.into_iter().zip(after) {
        if word.to_lowercase() != replacement.to_lowercase() {
            let end = start + word.len();
            let text = format!("{}{replacement}{}", &clean[..start], &clean[end..]);
            look(&Change { clean, before: clean, word: start..end, replacement, after: &text });
        }
    }
}

/// The quantile `share` of `values`.
fn quantile(values: &mut [f32], share: f64) -> f32 {
    values.sort_by(f32::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// Prints and returns the 5 % quantile of `values`.
fn fifth_percentile(name: &str, values: &mut [f32]) -> f32 {
    let [fifth, median] = [0.05, 0.5].map(|share| quantile(values, share));
    eprintln!("{name}: {} values, 5 % below {fifth:.3}, half below {median:.3}", values.len());
    fifth
}

fn similarity(metric: Metric, scope: Scope) -> SentenceSimilarity {
    SentenceSimilarity { at_least: 0.0, metric, scope, encoder: Arc::new(SurfaceEncoder) }
}

fn of_whole_texts(metric: Metric, clean: &str, after: &str) -> Option<f32> {
    let change = Change { clean, before: clean, word: 0..0, replacement: "", after };
    similarity(metric, Scope::Whole { min_words: 10 }).similarity(&change)
}

#[test]
fn bounds_on_similarity_are_where_five_in_a_hundred_lie_below() {
    let test = "bounds_on_similarity_are_where_five_in_a_hundred_lie_below";
    let Some(textfooler) = pairs(test, "textfooler") else { return };
    // A default is the percentile rounded to two digits.
    let is_default = |attack: &dyn Attack, percentile: f32| {
        let (_, constraints) = attack.settings().into_iter().find(|(name, _)| *name == "constraints").unwrap();
        let bound = format!("sentence_similarity(at_least={:.2},", percentile);
        assert!(constraints.contains(&bound), "{}: {bound} in {constraints}", attack.name());
    };
    let constraint = similarity(Metric::Angular, Scope::Window(15));
    let mut values = Vec::new();
    for (clean, attacked) in &textfooler {
        each_change(clean, attacked, |change| values.extend(constraint.similarity(change)));
    }
    is_default(&TextFooler::default(), fifth_percentile("textfooler", &mut values));
    for (attack, metric) in [("textbugger", Metric::Angular), ("bertattack", Metric::Cosine)] {
        let Some(pairs) = pairs(test, attack) else { return };
        let whole = |(clean, attacked): &(String, String)| of_whole_texts(metric, clean, attacked);
        let mut values: Vec<f32> = pairs.iter().filter_map(whole).collect();
        let bound = fifth_percentile(attack, &mut values);
        is_default(attack_named(attack).unwrap().as_ref(), bound);
        // Prompts of different tasks lie below, although many have similar wordings.
        let (first, second) = (&pairs[..pairs.len() / 2], &pairs[pairs.len() / 2..]);
        let mut values: Vec<f32> = Vec::new();
        for (index, (clean, _)) in first.iter().enumerate() {
            let other = &second[index * 7 % second.len()].0;
            values.extend(
                Some(other).filter(|other| *other != clean).and_then(|other| of_whole_texts(metric, clean, other)),
            );
        }
        let others = quantile(&mut values, 0.95);
        eprintln!("{attack}: {} pairs of other prompts, 95 % below {others:.3}", values.len());
        assert!(others < bound, "{others} {bound}");
    }
}

#[test]
fn published_words_keep_their_class() {
    let Some(textfooler) = pairs("published_words_keep_their_class", "textfooler") else { return };
    let constraints = [PartOfSpeech { verb_noun_swap: true }, PartOfSpeech { verb_noun_swap: false }];
    let (mut allowed, mut all) = ([0, 0], 0);
    let (mut words, mut replacements) = (Vec::new(), Vec::new());
    for (clean, attacked) in &textfooler {
        each_change(clean, attacked, |change| {
            // Words that are stop words here do not reach the tagger.
            if StopWords.allows(change) {
                all += 1;
                words.push(change.before[change.word.clone()].to_owned());
                replacements.push(change.replacement.to_owned());
                for (count, constraint) in allowed.iter_mut().zip(constraints) {
                    *count += usize::from(constraint.allows(change));
                }
            }
        });
    }
    eprintln!("part of speech: of {all} changes {} allowed, {} without verb/noun swaps", allowed[0], allowed[1]);
    // The same words, each with the replacement of another word.
    let shuffled = constraints.map(|constraint| {
        let others = replacements.iter().cycle().skip(all / 2);
        let passes = |(word, replacement): &(&String, &String)| {
            let change = Change { clean: word, before: word, word: 0..word.len(), replacement, after: replacement };
            constraint.allows(&change)
        };
        words.iter().zip(others).filter(passes).count()
    });
    eprintln!("part of speech: of as many random pairs {} allowed, {} without", shuffled[0], shuffled[1]);
    assert!(shuffled[0] < allowed[0] && shuffled[1] * 10 < allowed[1] * 9, "{shuffled:?}");
    // A neural tagger accepted all of them; this crate's rules reject few.
    assert!(allowed[0] as f64 > 0.97 * all as f64 && allowed[1] < allowed[0]);
}

#[test]
fn published_replacements_in_the_neighbor_lists() {
    let Some(textfooler) = pairs("published_replacements_in_the_neighbor_lists", "textfooler") else { return };
    let Some(lists) = test_data("published_replacements_in_the_neighbor_lists", "perturb/counterfitted_neighbors.json")
    else {
        return;
    };
    let attack = TextFooler::with_neighbors(Arc::new(Lexicon::read_json(&lists).unwrap()));
    let (mut all, mut listed, mut found, mut allowed) = (0, 0, 0, 0);
    for (clean, attacked) in &textfooler {
        each_change(clean, attacked, |change| {
            if !StopWords.allows(change) {
                return;
            }
            all += 1;
            let candidates = attack.word_candidates(change.before, change.word.clone(), &mut keyed(0, &[]));
            listed += usize::from(!candidates.is_empty());
            if candidates.iter().any(|word| word.eq_ignore_ascii_case(change.replacement)) {
                found += 1;
                allowed += usize::from(attack.allows(change));
            }
        });
    }
    eprintln!("of {all} changes, {listed} of words with a list, {found} among its words, {allowed} of these allowed");
    // The search chose one of fifty words; the lists contain at most eight.
    assert!(found * 100 > all * 20, "{found} of {all}");
    assert!(allowed * 100 > found * 90, "{allowed} of {found}");
}

/// True if `published` equals `candidate` or differs from it in one letter, which both drew at random.
fn but_for_a_letter(candidate: &str, published: &str) -> bool {
    let differing = candidate.chars().zip(published.chars()).filter(|(a, b)| a != b);
    let differing: Vec<char> = differing.map(|(_, b)| b).collect();
    candidate.chars().count() == published.chars().count()
        && differing.len() <= 1
        && differing.iter().all(char::is_ascii_alphabetic)
}

#[test]
fn published_misspellings_are_among_the_candidates() {
    let Some(pairs) = pairs("published_misspellings_are_among_the_candidates", "deepwordbug") else { return };
    let attack = DeepWordBug::default();
    let (mut all, mut misses) = (0, BTreeMap::new());
    for (clean, attacked) in &pairs {
        each_change(clean, attacked, |change| {
            all += 1;
            let candidates = attack.word_candidates(change.before, change.word.clone(), &mut keyed(0, &[]));
            // Deletions and swaps draw no letters, so only words that are not shorter may differ in a letter.
            let word = &change.before[change.word.clone()];
            let drawn =
                |candidate: &&String| candidate.len() >= word.len() && but_for_a_letter(candidate, change.replacement);
            if !candidates.iter().any(|candidate| candidate == change.replacement || drawn(&candidate)) {
                *misses.entry(format!("{word} -> {}", change.replacement)).or_insert(0) += 1;
            }
        });
    }
    let missed: usize = misses.values().sum();
    eprintln!("deepwordbug: {} of {all} changes among the candidates, misses {misses:?}", all - missed);
    assert!(missed * 100 <= all * 2, "{misses:?}");
}

#[test]
fn published_bugs_are_among_the_candidates() {
    let Some(pairs) = pairs("published_bugs_are_among_the_candidates", "textbugger") else { return };
    let Some(lists) = test_data("published_bugs_are_among_the_candidates", "perturb/counterfitted_neighbors.json")
    else {
        return;
    };
    let attack = TextBugger::with_neighbors(Arc::new(Lexicon::read_json(&lists).unwrap()));
    let (mut homoglyphs, mut letters, mut near) = ([0, 0, 0], [0, 0], [0, 0]);
    for (clean, attacked) in &pairs {
        each_change(clean, attacked, |change| {
            let candidates = attack.word_candidates(change.before, change.word.clone(), &mut keyed(0, &[]));
            let found = candidates.iter().any(|candidate| candidate == change.replacement);
            let word = &change.before[change.word.clone()];
            if !change.replacement.is_ascii() {
                // Another homoglyph of the same letter is counted separately.
                let mask = |text: &str| text.replace(|character: char| !character.is_ascii(), "?");
                let same_place = candidates.iter().any(|candidate| mask(candidate) == mask(change.replacement));
                homoglyphs[0] += 1;
                homoglyphs[1] += usize::from(found);
                homoglyphs[2] += usize::from(same_place);
            } else if edit_distance(word, change.replacement) <= 2 {
                letters[0] += 1;
                letters[1] += usize::from(found);
            } else {
                near[0] += 1;
                near[1] += usize::from(found);
            }
        });
    }
    eprintln!(
        "textbugger: of {} homoglyphs {} among the candidates, {} with this or another look-alike at the place; {} of {} edits of letters; {} of {} near words",
        homoglyphs[0], homoglyphs[1], homoglyphs[2], letters[1], letters[0], near[1], near[0]
    );
    assert!(homoglyphs[2] * 100 >= homoglyphs[0] * 98 && homoglyphs[1] * 2 > homoglyphs[0], "{homoglyphs:?}");
    assert!(letters[1] * 100 >= letters[0] * 94, "{letters:?}");
    // The five nearest words, which complete lists of eight contain.
    assert!(near[1] * 100 >= near[0] * 70, "{near:?}");
}
