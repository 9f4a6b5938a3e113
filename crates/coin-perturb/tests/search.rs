//! Properties of every search on random instructions.

use std::ops::Range;

use coin_core::stream::keyed;
use coin_perturb::audit::words_changed;
use coin_perturb::search::{Search, SearchRecord, Stopped, Subject};
use coin_perturb::{Attack, Level, Protected};
use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

const PIECES: [&str; 14] = [
    "Determine",
    "sentences",
    "review",
    "the",
    "don't",
    "'equivalent'",
    "Not_Equivalent",
    "{premise}",
    "### Response:",
    "e\u{301}te\u{301}",
    "ÅNGSTRÖM",
    "文の意味",
    ", ",
    "\n\n",
];

/// Doubles words, deletes them or replaces them by label words.
struct Wild;

impl Attack for Wild {
    fn name(&self) -> &'static str {
        "wild"
    }

    fn origin(&self) -> &'static str {
        "test::wild"
    }

    fn level(&self) -> Level {
        Level::Character
    }

    fn perturb(&self, instruction: &str, _: &Protected, _: &mut ChaCha8Rng) -> String {
        instruction.to_owned()
    }

    fn word_candidates(&self, instruction: &str, word: Range<usize>, rng: &mut ChaCha8Rng) -> Vec<String> {
        let word = &instruction[word];
        let number = rng.random_range(0..4_u8);
        vec![format!("{word} {word}"), String::new(), "equivalent".to_owned(), format!("{word}{number}")]
    }
}

fn instruction() -> impl Strategy<Value = String> {
    prop::collection::vec((prop::sample::select(&PIECES[..]), prop::bool::weighted(0.8)), 0..12).prop_map(|pieces| {
        pieces.iter().map(|(piece, space)| format!("{piece}{}", if *space { " " } else { "" })).collect()
    })
}

fn noise(texts: &[String]) -> Result<Vec<f64>, String> {
    Ok(texts.iter().map(|text| f64::from(keyed(0, &[text]).random_range(0..20_u8))).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_keeps_its_promises(
        text in prop_oneof![instruction(), any::<String>()],
        budget in prop::option::of(1..60_usize),
        target in prop::option::of(0.0..20.0_f64),
        seed in any::<u64>(),
    ) {
        let protected = Protected::new(["equivalent", "not_equivalent"]);
        let subject = Subject { task: "t", index: 0, instruction: &text, protected: &protected };
        let search = |batch_size| {
            let mut records: Vec<SearchRecord> = Vec::new();
            let mut log = |record: &SearchRecord| {
                records.push(record.clone());
                Ok(())
            };
            let search = Search { query_budget: budget, target, batch_size, ..Search::default() };
            let outcome = search.run(&Wild, &subject, seed, &mut noise, &mut log).unwrap();
            (outcome, records)
        };
        let (outcome, records) = search(32);
        prop_assert_eq!(&(outcome.clone(), records.clone()), &search(1));
        prop_assert!(protected.intact(&text, &outcome.perturbed), "{:?}", outcome);
        prop_assert!(outcome.queries <= budget.unwrap_or(usize::MAX));
        prop_assert_eq!(outcome.queries, records.iter().filter(|record| !record.cached).count());
        prop_assert!(outcome.final_score <= outcome.clean_score);
        prop_assert_eq!(vec![outcome.final_score], noise(std::slice::from_ref(&outcome.perturbed)).unwrap());
        prop_assert_eq!(outcome.words_changed, words_changed(&text, &outcome.perturbed));
        let reached = target.is_some_and(|target| outcome.final_score < target);
        prop_assert_eq!(outcome.stopped == Stopped::Target, reached);
        prop_assert!(outcome.stopped != Stopped::Budget || Some(outcome.queries) == budget);
        // The text is the clean one with the accepted changes, one after another.
        let last = records.iter().rfind(|record| record.accepted).map_or(&text, |record| &record.candidate);
        prop_assert_eq!(last, &outcome.perturbed);
    }
}
