//! Searches by hand, with small attacks and scorers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;

use coin_core::stream::keyed;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::attack::Change;
use crate::{ATTACK_NAMES, FrozenSet, Instructions, LabelWords, attack_named};

const CLEAN: &str = "Judge lions tigers yes.";

/// Replaces a word by its entries, in their order.
struct Replace {
    entries: &'static [(&'static str, &'static [&'static str])],
    most_changes: usize,
}

impl Attack for Replace {
    fn name(&self) -> &'static str {
        "replace"
    }

    fn origin(&self) -> &'static str {
        "test::replace"
    }

    fn level(&self) -> Level {
        Level::Word
    }

    fn perturb(&self, instruction: &str, _: &Protected, _: &mut ChaCha8Rng) -> String {
        instruction.to_owned()
    }

    fn word_candidates(&self, instruction: &str, word: std::ops::Range<usize>, _: &mut ChaCha8Rng) -> Vec<String> {
        let found = self.entries.iter().find(|(head, _)| *head == &instruction[word.clone()]);
        found.map_or(Vec::new(), |(_, words)| words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn allows(&self, change: &Change) -> bool {
        let mut after = change.before.to_owned();
        after.replace_range(change.word.clone(), change.replacement);
        assert_eq!(after, change.after);
        words_changed(change.clean, change.after) <= self.most_changes
    }
}

/// Appends one of a few letters to every word, or to the whole instruction.
struct Append {
    name: &'static str,
    level: Level,
}

impl Attack for Append {
    fn name(&self) -> &'static str {
        self.name
    }

    fn origin(&self) -> &'static str {
        "test::append"
    }

    fn level(&self) -> Level {
        self.level
    }

    fn perturb(&self, instruction: &str, _: &Protected, rng: &mut ChaCha8Rng) -> String {
        format!("{instruction} {}", char::from(rng.random_range(b'a'..=b'f')))
    }

    fn word_candidates(&self, instruction: &str, word: std::ops::Range<usize>, rng: &mut ChaCha8Rng) -> Vec<String> {
        let word = &instruction[word];
        (0..6).map(|_| format!("{word}{}", char::from(rng.random_range(b'a'..=b'f')))).collect()
    }
}

const REPLACE: Replace = Replace {
    entries: &[
        ("Judge", &["judge1", "judge2"]),
        ("lions", &["lions1", "lions2"]),
        ("tigers", &["tigers1", "tigers2"]),
        ("yes", &["no"]),
    ],
    most_changes: 9,
};

/// The sum of the worths of the words in the text, with the texts and batch sizes of all calls.
#[derive(Default)]
struct Worth {
    texts: Vec<String>,
    batches: Vec<usize>,
}

impl Worth {
    fn of(text: &str) -> f64 {
        let worth = |word: &str| match word {
            "lions" => 4.0,
            "lions1" => 3.0,
            "lions2" | "Judge" => 1.0,
            "tigers" | "tigers1" => 2.0,
            "tigers2" => 5.0,
            "judge1" | "judge2" => 0.5,
            _ => 0.0,
        };
        text.split([' ', '.']).map(worth).sum()
    }
}

impl Scorer for Worth {
    type Error = String;

    fn scores(&mut self, instructions: &[String]) -> Result<Vec<f64>, String> {
        self.batches.push(instructions.len());
        self.texts.extend_from_slice(instructions);
        Ok(instructions.iter().map(|text| Worth::of(text)).collect())
    }
}

/// A number that looks random, with many ties.
fn noise(text: &str) -> f64 {
    f64::from(keyed(3, &[text]).random_range(0..8_u8))
}

fn noisy(texts: &[String]) -> Result<Vec<f64>, String> {
    Ok(texts.iter().map(|text| noise(text)).collect())
}

fn run(search: &Search, attack: &dyn Attack, instruction: &str, scorer: &mut Worth) -> (Outcome, Vec<SearchRecord>) {
    let protected = Protected::new(["yes", "no"]);
    let subject = Subject { task: "t", index: 0, instruction, protected: &protected };
    let mut records = Vec::new();
    let mut log = |record: &SearchRecord| {
        records.push(record.clone());
        Ok(())
    };
    let outcome = search.run(attack, &subject, 1, scorer, &mut log).unwrap();
    (outcome, records)
}

#[test]
fn a_greedy_search_by_hand() {
    let (outcome, records) = run(&Search::default(), &REPLACE, CLEAN, &mut Worth::default());
    // Without lions 3 of 7 are left, without tigers 5, without the verb 6: so they are tried in this order. No form of
    // tigers is worth less than 2, and the two forms of the verb are equal.
    let expected = Outcome {
        clean_score: 7.0,
        final_score: 3.5,
        perturbed: "judge1 lions2 tigers yes.".to_owned(),
        queries: 10,
        words_changed: 2,
        stopped: Stopped::Exhausted,
    };
    assert_eq!(outcome, expected);
    let line = |record: &SearchRecord| {
        let (word, replacement) = (record.word.as_deref().unwrap_or("-"), record.replacement.as_deref().unwrap_or("-"));
        format!("{:?} {word} {replacement} {} {}", record.step, record.score, record.accepted)
    };
    assert_eq!(
        records.iter().map(line).collect::<Vec<_>>(),
        [
            "Clean - - 7 false",
            "Ranking Judge [UNK] 6 false",
            "Ranking lions [UNK] 3 false",
            "Ranking tigers [UNK] 5 false",
            "Candidate lions lions1 6 false",
            "Candidate lions lions2 4 true",
            "Candidate tigers tigers1 4 false",
            "Candidate tigers tigers2 7 false",
            "Candidate Judge judge1 3.5 true",
            "Candidate Judge judge2 3.5 false",
        ]
    );
    assert_eq!(records[2].candidate, "Judge [UNK] tigers yes.");
    assert_eq!(records[9].candidate, "judge2 lions2 tigers yes.");
    assert!(records.iter().all(|record| !record.cached && (record.attack.as_str(), record.index) == ("replace", 0)));
}

#[test]
fn a_search_stops_below_the_target() {
    let stopped = |target| {
        let (outcome, _) =
            run(&Search { target: Some(target), ..Search::default() }, &REPLACE, CLEAN, &mut Worth::default());
        (outcome.stopped, outcome.final_score, outcome.queries)
    };
    assert_eq!(stopped(7.5), (Stopped::Target, 7.0, 1));
    assert_eq!(stopped(7.0), (Stopped::Target, 4.0, 6));
    assert_eq!(stopped(4.5), (Stopped::Target, 4.0, 6));
    assert_eq!(stopped(4.0), (Stopped::Target, 3.5, 10));
    assert_eq!(stopped(3.5), (Stopped::Exhausted, 3.5, 10));
}

#[test]
fn the_budget_is_kept_exactly() {
    for budget in 1..=12 {
        for batch_size in [1, 3, 32] {
            let search = Search { query_budget: Some(budget), batch_size, ..Search::default() };
            let mut scorer = Worth::default();
            let (outcome, records) = run(&search, &REPLACE, CLEAN, &mut scorer);
            assert_eq!(scorer.texts.len(), budget.min(10));
            assert_eq!((outcome.queries, records.len()), (budget.min(10), budget.min(10)));
            assert_eq!(outcome.stopped == Stopped::Budget, budget < 10, "{budget}");
            // The score after the clean text, three for the ranking, and the candidates in their order.
            let scores = [7.0, 7.0, 7.0, 7.0, 6.0, 4.0, 4.0, 4.0, 3.5, 3.5];
            assert_eq!(outcome.final_score, scores[budget.min(10) - 1], "{budget}");
            assert_eq!(Worth::of(&outcome.perturbed), outcome.final_score);
        }
    }
}

#[test]
fn no_text_is_scored_twice() {
    const TWICE: Replace = Replace {
        entries: &[("lions", &["lions1", "lions1", "[UNK]", "lions"]), ("tigers", &["cats"])],
        most_changes: 9,
    };
    let mut scorer = Worth::default();
    let (outcome, records) = run(&Search::default(), &TWICE, "lions tigers", &mut scorer);
    assert_eq!(scorer.texts, ["lions tigers", "[UNK] tigers", "lions [UNK]", "lions1 tigers", "[UNK] cats"]);
    assert_eq!((outcome.queries, outcome.perturbed.as_str()), (5, "[UNK] cats"));
    let cached: Vec<&str> =
        records.iter().filter(|record| record.cached).map(|record| record.candidate.as_str()).collect();
    assert_eq!(cached, ["lions1 tigers", "[UNK] tigers"]);
}

#[test]
fn words_are_ranked_as_the_settings_say() {
    let masked = |ranking| {
        let (_, records) = run(&Search { ranking, ..Search::default() }, &REPLACE, CLEAN, &mut Worth::default());
        records[2].candidate.clone()
    };
    assert_eq!(masked(None), "Judge [UNK] tigers yes.");
    assert_eq!(masked(Some(Ranking::Delete)), "Judge tigers yes.");
    let ranking = |name: &str| Search::default().ranking_for(attack_named(name).unwrap().as_ref());
    assert_eq!(
        ["deepwordbug", "textfooler", "checklist", "semantic"].map(ranking),
        [Some(Ranking::Unk), Some(Ranking::Delete), None, None]
    );
}

#[test]
fn an_attack_may_refuse_a_change() {
    let once = Replace { most_changes: 1, ..REPLACE };
    let (outcome, records) = run(&Search::default(), &once, CLEAN, &mut Worth::default());
    assert_eq!(outcome.perturbed, "Judge lions2 tigers yes.");
    // Rejected changes are not scored.
    assert_eq!((outcome.queries, records.len()), (6, 6));
}

#[test]
fn what_is_protected_never_changes() {
    const LABELS: Replace =
        Replace { entries: &[("yes", &["maybe"]), ("lions", &["no", "No", "lions2"])], most_changes: 9 };
    let (outcome, records) = run(&Search::default(), &LABELS, "lions yes", &mut Worth::default());
    // `no` would be a second label word, and worth less than lions2.
    assert_eq!(outcome.perturbed, "lions2 yes");
    assert!(records.iter().all(|record| record.candidate.ends_with(" yes")));
}

#[test]
fn nothing_to_change() {
    for instruction in ["", "yes, no: Yes", "the of and?", "文"] {
        let (outcome, _) = run(&Search::default(), &REPLACE, instruction, &mut Worth::default());
        assert_eq!((outcome.perturbed.as_str(), outcome.words_changed), (instruction, 0));
        assert_eq!(outcome.stopped, Stopped::Exhausted);
    }
    let search = Search { query_budget: Some(1), ..Search::default() };
    let (outcome, _) = run(&search, &REPLACE, "yes, no", &mut Worth::default());
    assert_eq!((outcome.queries, outcome.stopped), (1, Stopped::Exhausted));
}

#[test]
fn brute_force_takes_the_best_even_if_it_does_not_hurt() {
    struct Fixed;
    impl Attack for Fixed {
        fn name(&self) -> &'static str {
            "fixed"
        }
        fn origin(&self) -> &'static str {
            "test::fixed"
        }
        fn level(&self) -> Level {
            Level::Semantic
        }
        fn perturb(&self, instruction: &str, _: &Protected, _: &mut ChaCha8Rng) -> String {
            instruction.to_owned()
        }
        fn candidates(&self, _: &str, _: &Protected, count: usize, _: &mut ChaCha8Rng) -> Vec<String> {
            let all = ["tigers2", "tigers", "tigers1", "lions"].map(str::to_owned);
            all.into_iter().take(count).collect()
        }
    }
    let with = |search: Search| {
        let (outcome, _) = run(&search, &Fixed, "Judge", &mut Worth::default());
        (outcome.perturbed, outcome.final_score, outcome.queries, outcome.stopped)
    };
    let default = Search::default();
    assert_eq!(with(default.clone()), ("tigers".to_owned(), 2.0, 5, Stopped::Exhausted));
    let one = Search { candidates: 1, ..default.clone() };
    assert_eq!(with(one), ("tigers2".to_owned(), 5.0, 2, Stopped::Exhausted));
    let two = Search { query_budget: Some(2), ..default.clone() };
    assert_eq!(with(two), ("tigers2".to_owned(), 5.0, 2, Stopped::Budget));
    let none = Search { query_budget: Some(1), ..default.clone() };
    assert_eq!(with(none), ("Judge".to_owned(), 1.0, 1, Stopped::Budget));
    let reached = Search { target: Some(1.0), ..default };
    assert_eq!(with(reached), ("tigers".to_owned(), 2.0, 5, Stopped::Exhausted));
}

#[test]
fn fifty_strings_and_three_tautologies_are_tried() {
    let tried = |name: &str| {
        let (outcome, records) =
            run(&Search::default(), attack_named(name).unwrap().as_ref(), CLEAN, &mut Worth::default());
        assert_eq!(outcome.queries, records.len());
        let texts: BTreeSet<String> = records.into_iter().skip(1).map(|record| record.candidate).collect();
        texts.len()
    };
    assert_eq!((tried("checklist"), tried("stresstest")), (50, 3));
}

#[test]
fn the_batch_size_changes_nothing() {
    let protected = Protected::new(["yes", "no"]);
    let instruction = "Decide whether the lions of the review like tigers, then answer 'yes' or 'no': ";
    let subject = Subject { task: "t", index: 2, instruction, protected: &protected };
    let appends = [Level::Character, Level::Word, Level::Sentence].map(|level| Append { name: "append", level });
    let mut attacks: Vec<Box<dyn Attack>> = ATTACK_NAMES.iter().map(|name| attack_named(name).unwrap()).collect();
    attacks.extend(appends.map(|attack| Box::new(attack) as Box<dyn Attack>));
    for attack in attacks {
        for query_budget in [None, Some(7), Some(23)] {
            let outcomes: Vec<(Outcome, Vec<SearchRecord>)> = [1, 2, 7, 1000]
                .into_iter()
                .map(|batch_size| {
                    let search = Search { query_budget, batch_size, target: Some(0.5), ..Search::default() };
                    let mut records = Vec::new();
                    let mut log = |record: &SearchRecord| {
                        records.push(record.clone());
                        Ok(())
                    };
                    let mut scorer = |texts: &[String]| {
                        assert!((1..=batch_size).contains(&texts.len()));
                        noisy(texts)
                    };
                    let outcome = search.run(attack.as_ref(), &subject, 5, &mut scorer, &mut log).unwrap();
                    assert_eq!(noise(&outcome.perturbed), outcome.final_score);
                    (outcome, records)
                })
                .collect();
            assert!(outcomes.windows(2).all(|two| two[0] == two[1]), "{}", attack.name());
            assert!(attack.name() != "append" || query_budget.is_some() || outcomes[0].0.perturbed != instruction);
        }
    }
}

#[test]
fn bad_scores_and_settings_are_named() {
    let protected = Protected::default();
    let subject = Subject { task: "cola", index: 3, instruction: "Judge lions", protected: &protected };
    let message = |search: &Search, scores: fn(&[String]) -> Result<Vec<f64>, String>| {
        search.run(&REPLACE, &subject, 0, &mut { scores }, &mut no_log()).unwrap_err().to_string()
    };
    let default = Search::default();
    let place = "replace, task `cola`, instruction 3: scorer: ";
    assert_eq!(message(&default, |_| Err("out of memory".to_owned())), format!("{place}out of memory"));
    assert_eq!(message(&default, |_| Ok(vec![0.5; 2])), format!("{place}2 scores for 1 texts"));
    let nan = |texts: &[String]| {
        Ok(texts.iter().map(|text| if text.contains("[UNK] lions") { f64::NAN } else { 1.0 }).collect())
    };
    assert_eq!(message(&default, nan), format!("{place}the score of `[UNK] lions` is NaN, expected a finite number"));
    let mut full = |_: &SearchRecord| Err(io::Error::other("disk full"));
    let error = default.run(&REPLACE, &subject, 0, &mut noisy, &mut full).unwrap_err();
    assert_eq!(error.to_string(), "cannot write the log of the search: disk full");

    let unasked: fn(&[String]) -> Result<Vec<f64>, String> = |_| unreachable!("settings come first");
    let zero = Search { query_budget: Some(0), ..Search::default() };
    assert_eq!(message(&zero, unasked), "search: query_budget: expected at least 1, found 0");
    let zero = Search { batch_size: 0, ..Search::default() };
    assert_eq!(message(&zero, unasked), "search: batch_size: expected at least 1, found 0");
    let zero = Search { candidates: 0, ..Search::default() };
    assert_eq!(message(&zero, unasked), "search: candidates: expected at least 1, found 0");
    let nan = Search { target: Some(f64::NAN), ..Search::default() };
    assert_eq!(message(&nan, unasked), "search: target: expected a finite number, found NaN");
}

fn two_tasks() -> Instructions {
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Instructions::from([
        ("a".to_owned(), list(&["Judge lions: yes or no?", "Judge tigers: yes or no?", "Judge lions: yes or no?"])),
        ("b".to_owned(), list(&["Compare both reviews."])),
    ])
}

fn appends(names: &[&'static str]) -> Vec<Box<dyn Attack>> {
    let attack = |name: &&'static str| {
        let level = if *name == "end" { Level::Sentence } else { Level::Character };
        Box::new(Append { name, level }) as Box<dyn Attack>
    };
    names.iter().map(attack).collect()
}

fn searched(clean: &Instructions, names: &[&'static str], labels: &LabelWords, search: &Search) -> SearchedSet {
    let attacks = appends(names);
    let plan = SearchPlan { clean, attacks: &attacks, label_words: labels, seed: 4, search, scorer: "noise" };
    search_set(&plan, |_| Ok(noisy), &mut no_log()).unwrap()
}

#[test]
fn a_whole_set_is_searched() {
    let labels = LabelWords::from([("a".to_owned(), ["yes".to_owned(), "no".to_owned()].into())]);
    let search = Search { query_budget: Some(12), ..Search::default() };
    let clean = two_tasks();
    let found = searched(&clean, &["words", "end"], &labels, &search);
    assert_eq!(found.set.sets()[crate::CLEAN], clean);
    assert_eq!((found.audit.len(), found.searches.len()), (8, 8));
    for (record, searched) in found.audit.iter().zip(&found.searches) {
        let place = (&searched.attack, &searched.task, searched.index);
        assert_eq!((&record.attack, &record.task, record.index), place);
        assert_eq!(record.perturbed, searched.outcome.perturbed);
        assert_eq!(record.words_changed, searched.outcome.words_changed);
        assert!(record.labels_intact && searched.outcome.queries <= 12);
    }
    let recipe = found.recipe.search.as_ref().unwrap();
    assert_eq!((recipe.scorer.as_str(), recipe.query_budget), ("noise", Some(12)));
    assert_eq!(recipe.ranking, [("words".to_owned(), Ranking::Unk)].into());
    assert!(found.recipe.differing_hashes(&found.set).is_empty());
    // The third instruction is the first one: its clean text is scored once.
    let queries: usize = found.searches.iter().map(|searched| searched.outcome.queries).sum();
    assert!(found.scored < queries, "{} {queries}", found.scored);

    // Neither the other task nor the other attack changes what is found, budget included.
    let only_b = Instructions::from([("b".to_owned(), clean["b"].clone())]);
    let alone = searched(&only_b, &["end"], &labels, &search);
    assert_eq!(alone.set.instructions("end", "b"), found.set.instructions("end", "b"));
    assert_eq!(Some(&alone.searches[0]), found.searches.iter().find(|searched| searched.task == "b"));
}

#[test]
fn no_text_of_a_task_is_scored_twice() {
    let (clean, attacks, label_words) = (two_tasks(), appends(&["words", "letters"]), LabelWords::new());
    let search = Search::default();
    let plan = SearchPlan {
        clean: &clean,
        attacks: &attacks,
        label_words: &label_words,
        seed: 4,
        search: &search,
        scorer: "",
    };
    let asked = RefCell::new(Vec::new());
    let scorer_for = |task: &str| {
        let (asked, task) = (&asked, task.to_owned());
        Ok(move |texts: &[String]| {
            asked.borrow_mut().extend(texts.iter().map(|text| (task.clone(), text.clone())));
            noisy(texts)
        })
    };
    let found = search_set(&plan, scorer_for, &mut no_log()).unwrap();
    let asked = asked.into_inner();
    assert_eq!(asked.len(), found.scored);
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());
}

#[test]
fn a_set_is_checked_before_anything_is_scored() {
    let (clean, none) = (two_tasks(), LabelWords::new());
    let message = |clean: &Instructions, names: &[&'static str], search: &Search| {
        let attacks = appends(names);
        let plan = SearchPlan { clean, attacks: &attacks, label_words: &none, seed: 0, search, scorer: "" };
        let absent = |task: &str| Err::<fn(&[String]) -> Result<Vec<f64>, String>, _>(format!("no examples of {task}"));
        search_set(&plan, absent, &mut no_log()).unwrap_err().to_string()
    };
    let search = Search::default();
    assert_eq!(message(&clean, &["end", "end"], &search), "two sets would be called `end`");
    assert_eq!(message(&clean, &["clean"], &search), "two sets would be called `clean`");
    assert_eq!(message(&Instructions::new(), &["end"], &search), "no task, expected at least one");
    let zero = Search { batch_size: 0, ..Search::default() };
    assert_eq!(message(&clean, &["end"], &zero), "search: batch_size: expected at least 1, found 0");
    assert_eq!(message(&clean, &["end"], &search), "task `a`: scorer: no examples of a");
}

#[test]
fn a_searched_set_is_read_back() {
    let found =
        searched(&two_tasks(), &["words"], &LabelWords::new(), &Search { target: Some(0.5), ..Search::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.json");
    crate::files::write(&path, &found.set, &found.audit, &found.recipe).unwrap();
    let read: (FrozenSet, crate::Recipe) = crate::files::verify(&path).unwrap();
    assert_eq!(read, (found.set, found.recipe));
}
