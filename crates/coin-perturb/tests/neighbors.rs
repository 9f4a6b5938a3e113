//! Sources of neighbors: parsing arbitrary text does not panic, and results equal a reference.

use std::collections::BTreeMap;

use coin_core::stream::keyed;
use coin_perturb::{Lexicon, Neighbors, WordVectors};
use coin_testkit::test_data;
use proptest::prelude::*;
use rand::Rng;

#[test]
fn cosines_agree_with_a_reference() {
    let mut rng = keyed(11, &["vectors"]);
    let rows: Vec<[f64; 5]> =
        (0..200).map(|_| std::array::from_fn(|_| rng.random_range(-100..=100) as f64 / 64.0)).collect();
    let text: String = rows
        .iter()
        .enumerate()
        .map(|(index, row)| format!("w{index} {}\n", row.map(|value| value.to_string()).join(" ")))
        .collect();
    let vectors = WordVectors::parse(&text).unwrap().with_limits(10, 0.3);
    let cosine = |a: &[f64; 5], b: &[f64; 5]| {
        let dot = |x: &[f64; 5], y: &[f64; 5]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for (index, row) in rows.iter().enumerate() {
        let mut expected: Vec<(f64, usize)> = (0..rows.len())
            .filter(|other| *other != index)
            .map(|other| (cosine(row, &rows[other]), other))
            .filter(|(cosine, _)| *cosine >= 0.3)
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        expected.truncate(10);
        let found = vectors.neighbors(&format!("W{index}"));
        assert_eq!(found.len(), expected.len());
        for (found, (cosine, _)) in found.iter().zip(expected) {
            // The rounding of five products and two lengths in f32. Ranks may differ only for cosines closer than this.
            assert!((f64::from(found.cosine.unwrap()) - cosine).abs() < 1e-6, "w{index}, {}", found.word);
        }
    }
}

#[test]
fn published_neighbor_lists_are_read() {
    let Some(path) = test_data("published_neighbor_lists_are_read", "perturb/counterfitted_neighbors.json") else {
        return;
    };
    let lists = Lexicon::read_json(&path).unwrap();
    let value: BTreeMap<String, Vec<String>> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(lists.len(), value.len());
    for (head, words) in value {
        let found: Vec<String> = lists.neighbors(&head).into_iter().map(|neighbor| neighbor.word).collect();
        assert_eq!(found, words, "{head}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "([a-c0-9.\\- é\t]{0,12}\n?){0,6}", any in any::<String>()) {
        for text in [text, any] {
            if let Ok(vectors) = WordVectors::parse(&text) {
                prop_assert!(!vectors.is_empty() && vectors.dimensions() > 0);
                for word in text.split_ascii_whitespace() {
                    prop_assert!(vectors.neighbors(word).iter().all(|neighbor| neighbor.cosine.is_some_and(|cosine| cosine >= 0.6)));
                }
            }
            let _ = Lexicon::parse(&text);
        }
    }
}
