//! Our constraints on what PromptBench's searches published: prompts attacked for four models, as they passed its own
//! constraints (a neural tagger and a neural sentence encoder).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use coin_perturb::constraint::{Constraint, Metric, PartOfSpeech, Scope, SentenceSimilarity};
use coin_perturb::{Change, SurfaceEncoder};
use unicode_segmentation::UnicodeSegmentation;

/// Clean and attacked prompts of one attack; `None` without the test data.
fn pairs(test: &str, attack: &str) -> Option<Vec<(String, String)>> {
    let folder = std::env::var_os("COIN_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let folder = folder.join("promptbench/adv_prompts");
    let Ok(files) = fs::read_dir(&folder) else {
        eprintln!("skipped: {test}: no test data at {}", folder.display());
        return None;
    };
    let mut pairs = Vec::new();
    for file in files {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
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

/// Every word that differs between two texts of as many words, as a change of the clean text by it alone.
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

fn similarity(metric: Metric, scope: Scope) -> SentenceSimilarity {
    SentenceSimilarity { at_least: 0.0, metric, scope, encoder: Arc::new(SurfaceEncoder) }
}

/// The value below which `share` of the sorted `values` lie.
fn quantile(values: &[f32], share: f64) -> f32 {
    values[((values.len() - 1) as f64 * share).round() as usize]
}

fn quantiles(name: &str, values: &mut [f32]) {
    values.sort_by(f32::total_cmp);
    let at: Vec<String> = [0.0, 0.01, 0.05, 0.25, 0.5, 0.95, 1.0]
        .iter()
        .map(|share| format!("{share}: {:.4}", quantile(values, *share)))
        .collect();
    eprintln!("{name}: {} values, {}", values.len(), at.join(", "));
}

#[test]
fn measured_similarities() {
    let Some(textfooler) = pairs("measured_similarities", "textfooler") else { return };
    let constraint = similarity(Metric::Angular, Scope::Window(15));
    let mut values = Vec::new();
    for (clean, attacked) in &textfooler {
        each_change(clean, attacked, |change| values.extend(constraint.similarity(change)));
    }
    quantiles("textfooler", &mut values);
    for (attack, metric) in [("textbugger", Metric::Angular), ("bertattack", Metric::Cosine)] {
        let constraint = similarity(metric, Scope::Whole);
        let mut values: Vec<f32> = pairs("", attack)
            .unwrap()
            .iter()
            .filter_map(|(clean, attacked)| {
                let change = Change { clean, before: clean, word: 0..0, replacement: "", after: attacked };
                constraint.similarity(&change)
            })
            .collect();
        quantiles(attack, &mut values);
    }
    // unrelated
    let mut other = Vec::new();
    for (metric, name) in [(Metric::Angular, "unrelated angular"), (Metric::Cosine, "unrelated cosine")] {
        let constraint = similarity(metric, Scope::Whole);
        for (index, (clean, _)) in textfooler.iter().enumerate() {
            let after = &textfooler[(index + 6 * 7) % textfooler.len()].0;
            let change = Change { clean, before: clean, word: 0..0, replacement: "", after };
            other.extend(constraint.similarity(&change));
        }
        quantiles(name, &mut other);
        other.clear();
    }
}

#[test]
fn published_words_keep_their_class() {
    let Some(textfooler) = pairs("published_words_keep_their_class", "textfooler") else { return };
    let constraint = PartOfSpeech { verb_noun_swap: true };
    let (mut allowed, mut all, mut refused) = (0, 0, std::collections::BTreeMap::new());
    for (clean, attacked) in &textfooler {
        each_change(clean, attacked, |change| {
            all += 1;
            if constraint.allows(change) {
                allowed += 1;
            } else {
                *refused
                    .entry((change.before[change.word.clone()].to_lowercase(), change.replacement.to_lowercase()))
                    .or_insert(0) += 1;
            }
        });
    }
    eprintln!("part of speech: {allowed} of {all} published changes allowed");
    for (k, v) in refused {
        eprintln!("{k:?} {v}");
    }
}
