//! Builds pairs from invented instances and templates, and from the real training rows with FLAN's templates.

use std::collections::{BTreeMap, BTreeSet};

use coin_data::glue::{self, Split};
use coin_data::pairs::{
    BuildReport, Negatives, PairBuilder, Reword, Reworded, RewordedSide, Variation, interleave, read, write_jsonl,
};
use coin_data::{Component, Exclusion, Instance, Pair, Task, Template, TemplateSet};
use coin_testkit::test_data;
use proptest::prelude::*;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

fn task(name: &str) -> Task {
    Task::named(name).unwrap()
}

/// Three usable templates, the first of them twice, and three unusable ones.
fn templates() -> TemplateSet {
    let list = [
        ("Is this well formed?\n{sentence}\n{options_}", "{answer}"),
        ("{sentence}\nWould you let that sentence stand?", "{answer}"),
        ("Is this well formed?\n{sentence}\n{options_}", "{answer}"),
        ("Write something {answer}.", "{sentence}"),
        ("{sentence} So it is {answer}?", "{answer}"),
        ("Pick one.\n{options_}", "{answer}"),
        ("Judge the grammar of: {sentence}", "{answer}"),
    ];
    let nli = [
        ("{premise} Does it follow that {hypothesis}", "{answer}"),
        ("Given: {premise} Claim: {hypothesis}", "{answer}"),
        ("{hypothesis} Is that so, if {premise}", "{answer}"),
    ];
    let set = |list: &[(&str, &str)]| list.iter().map(|&(prompt, target)| Template::new(prompt, target)).collect();
    TemplateSet::new([("cola", set(&list)), ("mnli", set(&nli))])
}

/// `n` instances of cola, of which every fourth is unacceptable.
fn cola(n: usize) -> Vec<Instance> {
    let instance = |row: usize| {
        let sentence = format!("Sentence number {row}.");
        Instance::new("cola", row, [("sentence", sentence)], usize::from(!row.is_multiple_of(4)))
    };
    (0..n).map(instance).collect()
}

/// `n` instances of mnli with alternating classes.
fn mnli(n: usize) -> Vec<Instance> {
    let instance = |row: usize| {
        let fields = [("premise", format!("Premise {row}.")), ("hypothesis", format!("Hypothesis {row}."))];
        Instance::new("mnli", row, fields, row % 3)
    };
    (0..n).map(instance).collect()
}

fn build(name: &str, instances: &[Instance], pairs: usize, seed: u64) -> Result<(Vec<Pair>, BuildReport), String> {
    PairBuilder::new(&templates(), seed).build(&task(name), instances, pairs).map_err(|error| error.to_string())
}

/// Checks every couple and returns the rows used, by sentence or premise.
///
/// The expected pairs follow from the keywords: both texts must be renderings of usable templates, and the originals of
/// both pairs must use the same template.
fn check(pairs: &[Pair], set: &TemplateSet, name: &str) -> BTreeMap<String, usize> {
    let task = task(name);
    let usable: Vec<&Template> =
        set.for_task(&task).unwrap().iter().filter(|template| template.exclusion().is_none()).collect();
    let mut used = BTreeMap::new();
    for couple in pairs.chunks(2) {
        let mut shared: Option<BTreeSet<usize>> = None;
        for pair in couple {
            assert_eq!(pair.task.as_deref(), Some(name));
            assert_ne!(pair.original_instruction, pair.paraphrased_instruction);
            let label = task.labels.iter().position(|word| *word == pair.targets).unwrap();
            let instance = Instance::new(name, 0, pair.keywords.clone(), label);
            let renderings: Vec<String> =
                usable.iter().map(|template| template.fill(&task, &instance).unwrap().0).collect();
            assert!(renderings.contains(&pair.paraphrased_instruction));
            let of_text = |(at, text): (usize, &String)| (*text == pair.original_instruction).then_some(at);
            let originals: BTreeSet<usize> = renderings.iter().enumerate().filter_map(of_text).collect();
            shared = Some(shared.map_or(originals.clone(), |before| &before & &originals));
            let mut keywords = pair.keywords.clone();
            assert_eq!(keywords.remove("answer").as_ref(), Some(&pair.targets));
            *used.entry(format!("{keywords:?}")).or_default() += 1;
        }
        assert!(shared.is_some_and(|templates| !templates.is_empty()), "no shared original template");
        assert_ne!(couple[0].targets, couple[1].targets);
        assert_ne!(couple[0].original_instruction, couple[1].original_instruction);
    }
    used
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn couples_are_hard_negatives(rows in 5usize..40, couples in 0usize..40, seed: u64, three_classes: bool) {
        let (name, instances) = if three_classes { ("mnli", mnli(rows)) } else { ("cola", cola(rows)) };
        let (pairs, report) = build(name, &instances, 2 * couples, seed).unwrap();
        prop_assert_eq!((pairs.len(), report.pairs), (2 * couples, 2 * couples));
        prop_assert_eq!(check(&pairs, &templates(), name).len(), report.rows_used);
        // A smaller number of pairs gives a prefix, and the same call gives the same pairs.
        let (half, _) = build(name, &instances, couples / 2 * 2, seed).unwrap();
        prop_assert_eq!(&half[..], &pairs[..couples / 2 * 2]);
    }
}

#[test]
fn rows_of_an_answer_are_used_up_before_they_return() {
    // 12 rows, 3 of them unacceptable: in 6 couples each of these occurs exactly twice, and 6 of the others occur once.
    let (pairs, report) = build("cola", &cola(12), 12, 5).unwrap();
    let used = check(&pairs, &templates(), "cola");
    let counts = |target: &str| {
        let mut rows = BTreeMap::new();
        for pair in pairs.iter().filter(|pair| pair.targets == target) {
            *rows.entry(&pair.keywords["sentence"]).or_insert(0) += 1;
        }
        rows.into_values().collect::<Vec<_>>()
    };
    assert_eq!(counts("unacceptable"), [2, 2, 2]);
    assert_eq!(counts("acceptable"), [1; 6]);
    assert_eq!((used.len(), report.rows_used, report.rows), (9, 9, 12));
}

#[test]
fn the_report_counts_what_was_left_out() {
    let (_, report) = build("cola", &cola(8), 4, 0).unwrap();
    let exclusions = [(3, Exclusion::OtherTarget), (4, Exclusion::AnswerInPrompt), (5, Exclusion::NoField)];
    assert_eq!(report.exclusions, exclusions);
    assert_eq!((report.templates_used, report.templates_repeated, report.templates_excluded), (4, 1, 3));
}

#[test]
fn every_usable_template_is_drawn_and_both_orders_of_answers_occur() {
    let (pairs, _) = build("cola", &cola(40), 80, 3).unwrap();
    let start = |text: &str| text.split("Sentence").next().unwrap().to_owned();
    let originals: BTreeSet<String> = pairs.iter().map(|pair| start(&pair.original_instruction)).collect();
    let positives: BTreeSet<String> = pairs.iter().map(|pair| start(&pair.paraphrased_instruction)).collect();
    assert_eq!((originals.len(), positives.len()), (3, 3));
    let first: BTreeSet<&str> = pairs.chunks(2).map(|couple| &*couple[0].targets).collect();
    assert_eq!(first.len(), 2);
    let classes: BTreeSet<String> = build("mnli", &mnli(30), 60, 3)
        .unwrap()
        .0
        .chunks(2)
        .map(|couple| format!("{} {}", couple[0].targets, couple[1].targets))
        .collect();
    assert_eq!(classes.len(), 6, "every ordered pair of three answers");
}

#[test]
fn the_order_of_tasks_does_not_matter() {
    let set = templates();
    let builder = PairBuilder::new(&set, 11);
    let cola_pairs = || builder.build(&task("cola"), &cola(20), 10).unwrap().0;
    let mnli_pairs = || builder.build(&task("mnli"), &mnli(20), 14).unwrap().0;
    let (first, second) = (cola_pairs(), mnli_pairs());
    let (second_again, first_again) = (mnli_pairs(), cola_pairs());
    let mixed = interleave(vec![first, second], 11).unwrap();
    assert_eq!(mixed, interleave(vec![second_again, first_again], 11).unwrap());
    assert_ne!(mixed, interleave(vec![cola_pairs(), mnli_pairs()], 12).unwrap());
}

#[test]
fn a_text_with_two_labels_is_no_hard_negative_of_itself() {
    let row = |row, sentence, label| Instance::new("cola", row, [("sentence", sentence)], label);
    let rows = [row(0, "Same.", 1), row(1, "Same.", 0), row(2, "Other.", 0), row(3, "More.", 1)];
    let (pairs, report) = build("cola", &rows, 20, 1).unwrap();
    check(&pairs, &templates(), "cola");
    assert!(report.contradictions > 0);
    let text = build("cola", &rows[..2], 2, 1).unwrap_err();
    assert!(text.contains("every row with another answer has the same text as 2 of the rows"), "{text}");
}

#[test]
fn what_cannot_be_built_is_named() {
    let text = |name: &str, rows: &[Instance], pairs| build(name, rows, pairs, 0).unwrap_err();
    assert_eq!(
        text("cola", &cola(8), 3),
        "task `cola`: 3 pairs requested, expected an even number: pairs come in couples"
    );
    assert_eq!(
        text("cola", &cola(4)[1..], 2),
        "task `cola`: all rows have `acceptable`, expected at least two different answers"
    );
    assert_eq!(text("cola", &[], 2), "task `cola`: no rows, expected at least two different answers");
    assert_eq!(text("cola", &mnli(4), 2), "task `cola`: row 0 is of the task `mnli`");
    assert_eq!(text("qnli", &[], 2), "no templates for the task `qnli`, only for: cola, mnli");
    let bare = [Instance::new("cola", 6, [("text", "A.")], 0), Instance::new("cola", 7, [("text", "B.")], 1)];
    assert!(text("cola", &bare, 2).contains("needs the field `sentence`, which row "));

    let one = TemplateSet::new([("cola", vec![Template::new("{sentence}", "{answer}"); 2])]);
    let error = PairBuilder::new(&one, 0).build(&task("cola"), &cola(8), 2).unwrap_err().to_string();
    assert_eq!(error, "task `cola`: 1 different templates with the target `{answer}`, expected at least 2");
    let alike = ["{premise} {hypothesis}", "{sentence1} {sentence2}"];
    let alike = TemplateSet::new([("mnli", alike.map(|text| Template::new(text, "{answer}")).to_vec())]);
    let error = PairBuilder::new(&alike, 0).build(&task("mnli"), &mnli(8), 2).unwrap_err().to_string();
    assert!(error.contains("0 other texts than that of `{"), "{error}");
}

#[test]
fn several_paraphrases_share_an_original() {
    let set = templates();
    let build = |paraphrases: usize, pairs: usize| {
        PairBuilder::new(&set, 3).with_paraphrases(paraphrases).build(&task("mnli"), &mnli(30), pairs)
    };
    let (pairs, report) = build(2, 24).unwrap();
    assert_eq!((pairs.len(), report.pairs), (24, 24));
    for four in pairs.chunks(4) {
        let [a, b, c, d] = four else { unreachable!() };
        // Anchor and negative, twice, with another paraphrase each time.
        assert_eq!((&a.original_instruction, &a.targets), (&c.original_instruction, &c.targets));
        assert_eq!((&b.original_instruction, &b.targets), (&d.original_instruction, &d.targets));
        assert_ne!(a.targets, b.targets);
        for (one, other) in [(a, c), (b, d)] {
            assert_ne!(one.paraphrased_instruction, other.paraphrased_instruction);
            assert_ne!(one.paraphrased_instruction, one.original_instruction);
        }
    }
    assert!(build(2, 6).unwrap_err().to_string().contains("expected a multiple of 2 x 2"));
    let error = build(3, 6).unwrap_err().to_string();
    assert!(error.contains("3 different templates") && error.contains("at least 4"), "{error}");
    assert!(build(0, 6).is_err());
}

#[test]
fn the_nearest_row_of_another_answer_is_the_hard_negative() {
    let sentence = |row: usize, text: &str, label| Instance::new("cola", row, [("sentence", text)], label);
    let rows = [
        sentence(0, "The old boat sank near the harbor.", 1),
        sentence(1, "Somebody sings.", 0),
        sentence(2, "The old boat sanks near the harbor.", 0),
        sentence(3, "Nobody sings loudly.", 1),
    ];
    let set = templates();
    let builder = PairBuilder::new(&set, 1).with_negatives(Negatives::Nearest);
    let (pairs, _) = builder.build(&task("cola"), &rows, 40).unwrap();
    let nearest = BTreeMap::from([
        ("The old boat sank near the harbor.", "The old boat sanks near the harbor."),
        ("Somebody sings.", "Nobody sings loudly."),
        ("The old boat sanks near the harbor.", "The old boat sank near the harbor."),
        ("Nobody sings loudly.", "Somebody sings."),
    ]);
    for couple in pairs.chunks(2) {
        let [anchor, negative] = [0, 1].map(|at| couple[at].keywords["sentence"].as_str());
        assert_eq!(nearest[anchor], negative);
    }
}

#[test]
fn other_components_vary_too() {
    let set = templates();
    let systems = ["You are careful.", "Be brief.", "Answer truthfully."].map(str::to_owned).to_vec();
    let builder = PairBuilder::new(&set, 5).with_variation(Variation::System(systems.clone()));
    let (pairs, _) = builder.build(&task("cola"), &cola(20), 12).unwrap();
    for pair in &pairs {
        assert_eq!(pair.component, Some(Component::System));
        let split = |text: &str| {
            let (system, rest) = text.split_once("\n\n").unwrap();
            assert!(systems.iter().any(|known| known == system), "{system}");
            (system.to_owned(), rest.to_owned())
        };
        let (one, other) = (split(&pair.original_instruction), split(&pair.paraphrased_instruction));
        assert!(one.0 != other.0 && one.1 == other.1, "the system text alone differs");
    }
    let line = serde_json::to_string(&pairs[0]).unwrap();
    assert!(line.contains(r#""component":"system""#), "{line}");

    let builder = PairBuilder::new(&set, 5).with_variation(Variation::Demonstrations(2));
    let (pairs, _) = builder.build(&task("cola"), &cola(20), 12).unwrap();
    for pair in &pairs {
        let parts = |text: &str| text.split("\n\n### Response:\n").map(str::to_owned).collect::<Vec<_>>();
        let (one, other) = (parts(&pair.original_instruction), parts(&pair.paraphrased_instruction));
        assert_eq!((one.len(), other.len()), (3, 3), "two examples and the row itself");
        // The answer of the last example is followed by the row in the same words.
        let own = |parts: &[String]| parts[2].split_once("\n\n").unwrap().1.to_owned();
        assert!(own(&one) == own(&other) && one != other);
        let sentence = &pair.keywords["sentence"];
        assert!(own(&one).contains(sentence) && !one[..2].iter().any(|shown| shown.contains(sentence)), "{one:?}");
    }
    let refused = |variation| {
        let builder = PairBuilder::new(&set, 5).with_variation(variation);
        builder.build(&task("cola"), &cola(20), 2).unwrap_err().to_string()
    };
    assert!(refused(Variation::System(vec!["x".to_owned(); 3])).contains("1 different system texts"));
    assert!(refused(Variation::Demonstrations(0)).contains("0 demonstrations"));
    assert!(refused(Variation::Demonstrations(20)).contains("20 rows, expected more"));
}

/// Shouts half of the templates.
#[derive(Debug)]
struct Shout;

impl Reword for Shout {
    fn reword(&self, _: &Task, template: &str, random: &mut ChaCha8Rng) -> Option<Reworded> {
        let upper = |word: &str| if word.contains('{') { word.to_owned() } else { word.to_uppercase() };
        let template = template.split(' ').map(upper).collect::<Vec<_>>().join(" ");
        random.random::<bool>().then(|| Reworded { template, attack: "shout".to_owned() })
    }
}

#[test]
fn reworded_pairs_record_their_wordings() {
    let (rows, set) = (mnli(30), templates());
    let build = |side, seed| {
        let builder = PairBuilder::new(&set, 3).with_rewording(&Shout, side, seed);
        builder.build(&task("mnli"), &rows, 200).unwrap()
    };
    let (plain, _) = PairBuilder::new(&set, 3).build(&task("mnli"), &rows, 200).unwrap();
    assert!(plain.iter().all(|pair| pair.wordings.is_none()));
    let (pairs, report) = build(RewordedSide::Both, 1);
    assert_eq!(build(RewordedSide::Both, 1).0, pairs);
    assert_ne!(build(RewordedSide::Both, 2).0, pairs);
    let mut shouted = [0, 0];
    for (pair, plain) in pairs.iter().zip(&plain) {
        let wordings = pair.wordings.as_ref().expect("every pair records its wordings");
        // The instances, templates and targets are those of the pairs that were not reworded.
        assert_eq!((&pair.targets, &pair.keywords), (&plain.targets, &plain.keywords));
        for (at, (wording, text, clean)) in [
            (&wordings.original, &pair.original_instruction, &plain.original_instruction),
            (&wordings.paraphrase, &pair.paraphrased_instruction, &plain.paraphrased_instruction),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(set.for_task(&task("mnli")).unwrap().iter().any(|one| one.prompt == wording.template));
            assert_eq!(wording.attack.is_some(), text != clean);
            shouted[at] += usize::from(wording.attack.is_some());
            // The values are not reworded.
            assert!(text.contains(&pair.keywords["premise"]));
        }
    }
    assert!(shouted.iter().all(|count| (60..140).contains(count)), "{shouted:?}");
    assert_eq!(report.reworded["shout"], (shouted[0] + shouted[1], 0));
    // A couple shares its original.
    for couple in pairs.chunks(2) {
        assert_eq!(couple[0].wordings.as_ref().unwrap().original, couple[1].wordings.as_ref().unwrap().original);
    }
    let (pairs, _) = build(RewordedSide::Paraphrase, 1);
    assert!(pairs.iter().all(|pair| pair.wordings.as_ref().unwrap().original.attack.is_none()));
    // The record is part of the file.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pairs.jsonl");
    write_jsonl(&file, &pairs).unwrap();
    assert_eq!(read(&file).unwrap(), pairs);
    let builder = PairBuilder::new(&set, 3).with_variation(Variation::Demonstrations(1));
    let error = builder.with_rewording(&Shout, RewordedSide::Both, 1).build(&task("mnli"), &rows, 2).unwrap_err();
    assert!(error.to_string().contains("only pairs that differ in the instruction can be reworded"));
}

#[test]
fn a_report_counts_what_repeats() {
    let sentence = |row: usize, text: &str, label| Instance::new("cola", row, [("sentence", text)], label);
    let rows = [
        sentence(0, "It rains.", 1),
        sentence(1, "It rains.", 1),
        sentence(2, "It rain.", 1),
        sentence(3, "It rains.", 0),
        sentence(4, "It rains.", 0),
    ];
    let (_, report) = build("cola", &rows, 2, 8).unwrap();
    assert_eq!(report.answers, BTreeMap::from([("acceptable".to_owned(), 3), ("unacceptable".to_owned(), 2)]));
    // Rows 0 and 1 have only hard negatives with the same text. Rows 2, 3 and 4 have others.
    assert_eq!((report.duplicates, report.without_negative), (3, 2));
}

#[test]
fn real_rows_fill_the_real_templates() {
    let name = "real_rows_fill_the_real_templates";
    let (Some(dir), Some(path)) = (test_data(name, "glue"), test_data(name, "flan/templates_v1.json")) else { return };
    let set = TemplateSet::read(path).unwrap();
    let mut lists = Vec::new();
    // Usable, repeated and excluded ones of FLAN's ten templates: one of RTE asks for a context and a hypothesis, two each
    // of CoLA and SST-2 ask for a sentence, and one of CoLA occurs twice.
    for (name, counts) in [("cola", (8, 1, 2)), ("sst2", (8, 0, 2)), ("rte", (9, 0, 1))] {
        let task = task(name);
        let rows = glue::read(&dir, name, Split::Train).unwrap();
        for instance in &rows {
            for template in set.for_task(&task).unwrap() {
                let (prompt, target) = template.fill(&task, instance).unwrap();
                assert!(!prompt.contains("{options_}") && !target.contains("{answer}"));
            }
        }
        let (pairs, report) = PairBuilder::new(&set, 42).build(&task, &rows, 2000).unwrap();
        assert_eq!((report.templates_used, report.templates_repeated, report.templates_excluded), counts);
        check(&pairs, &set, name);
        // 1000 draws of each answer, and each answer has more rows.
        assert_eq!(report.rows_used, 2000);
        lists.push(pairs);
    }
    let mixed = interleave(lists, 42).unwrap();
    assert_eq!(mixed.len(), 6000);
    let folder = tempfile::tempdir().unwrap();
    write_jsonl(folder.path().join("pairs.jsonl"), &mixed).unwrap();
    assert_eq!(read(folder.path().join("pairs.jsonl")).unwrap(), mixed);
}

#[test]
fn flan_has_usable_templates_for_every_task() {
    let Some(path) = test_data("flan_has_usable_templates_for_every_task", "flan/templates_v1.json") else { return };
    let set = TemplateSet::read(path).unwrap();
    for task in Task::glue() {
        // All fields that the content of the task needs, with GLUE's names.
        let names =
            ["sentence", "sentence1", "sentence2", "question", "question1", "question2", "premise", "hypothesis"];
        let fields = names.into_iter().filter(|name| task.content.contains(&format!("{{{name}}}")));
        let instance = Instance::new(&*task.name, 0, fields.map(|name| (name, name)), 0);
        let templates = set.for_task(&task).unwrap();
        assert_eq!(templates.len(), 10);
        assert!(templates.iter().filter(|template| template.exclusion().is_none()).count() >= 8, "{}", task.name);
        for template in templates {
            template.fill(&task, &instance).unwrap();
        }
    }
}
