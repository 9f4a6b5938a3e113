//! Reads instruction data in its four formats, from small invented files and the real ones, and builds couples from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use coin_data::induction::{self, Part};
use coin_data::instructions::{self, Example, InstructionTask};
use coin_data::pairs::from_worded;
use coin_data::{Pair, Worded, t0};
use coin_testkit::test_data;

/// A folder with `files`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn example(input: &str, output: &str) -> Example {
    Example { input: input.to_owned(), output: output.to_owned() }
}

fn read(name: &str, text: &str) -> Result<Vec<InstructionTask>, String> {
    let dir = folder(&[(name, text)]);
    let name = |error: coin_data::DataError| error.to_string().replace(&format!("{}/", dir.path().display()), "");
    instructions::read(dir.path().join(name_of(&dir))).map_err(name)
}

fn name_of(dir: &tempfile::TempDir) -> std::ffi::OsString {
    std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().file_name()
}

#[test]
fn entries_of_one_instruction_are_one_task() {
    let alpaca = r#"[{"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "Greet.", "output": "Hi."},
        {"instruction": "Add.", "input": "2 2", "output": "4", "text": "unused"}]"#;
    let tasks = read("alpaca.json", alpaca).unwrap();
    assert_eq!((&*tasks[0].name, &*tasks[1].name, tasks.len()), ("instruction-0", "instruction-1", 2));
    assert_eq!(tasks[0].examples, [example("1 2", "3"), example("2 2", "4")]);
    assert_eq!((&*tasks[0].prompt(0, 1), &*tasks[1].prompt(0, 0)), ("Add.\n\n2 2", "Greet."));

    let seeds = "{\"id\": \"s0\", \"name\": \"sum\", \"instruction\": \"Add.\", \"instances\": [{\"input\": \"1 2\", \"output\": \"3\"}]}\n\n\
                 {\"id\": \"s1\", \"instruction\": \"Greet.\", \"instances\": [{\"input\": \"\", \"output\": \"Hi.\"}, {\"output\": \"Ho.\"}]}\n";
    let tasks = read("seed.jsonl", seeds).unwrap();
    assert_eq!((&*tasks[0].name, &*tasks[1].name), ("sum", "s1"));
    assert_eq!(tasks[1].examples, [example("", "Hi."), example("", "Ho.")]);
}

#[test]
fn entries_of_another_form_are_named() {
    let message = |name: &str, text: &str| read(name, text).unwrap_err();
    assert_eq!(
        message("a.json", "[{\"instruction\": \"x\"}]"),
        "a.json: entry 0: expected `output` or `instances`, found neither"
    );
    assert_eq!(
        message("a.jsonl", "\n{\"instruction\": \"x\", \"output\": \"y\", \"instances\": []}"),
        "a.jsonl:2: entry 0: expected `output` or `instances`, found both"
    );
    assert!(message("a.json", "[\n{}]").starts_with("a.json:2: not a list of instructions: missing field"));
    assert!(message("a.jsonl", "{}").starts_with("a.jsonl:1: not an instruction: missing field"));
    assert_eq!(message("a.json", ""), "a.json contains no instruction");
    assert_eq!(message("a.json", "[]"), "a.json contains no instruction");
}

const ANNOTATIONS: &str = r#"{"annotations": ["Negate.", "Say the opposite.", "Negate. "]}"#;

#[test]
fn induction_tasks_have_their_wordings_and_examples() {
    let examples = r#"{"metadata": {"num_examples": 3}, "examples": {
        "10": {"input": "c", "output": "not c"}, "2": {"input": "b", "output": "not b", "x": 1}, "1": {"input": "a", "output": "not a"}}}"#;
    let other = r#"{"examples": {"1": {"cause": "It rained.", "effect": "She got wet."},
        "2": {"items": ["owl", "bat"], "concept": "fly at night", "all_common_concepts": []}}}"#;
    let dir = folder(&[
        ("annotations/negate.json", ANNOTATIONS),
        ("annotations/mixed.json", ANNOTATIONS),
        ("raw/induce/negate.json", examples),
        ("raw/induce/mixed.json", other),
    ]);
    let tasks = induction::read(dir.path(), Part::Induce).unwrap();
    assert_eq!((&*tasks[0].name, &*tasks[1].name), ("mixed", "negate"));
    assert_eq!(tasks[1].wordings, ["Negate.", "Say the opposite."]);
    assert_eq!(tasks[1].examples.iter().map(|one| &*one.input).collect::<String>(), "abc");
    assert_eq!(tasks[0].examples[0].output, "It rained.");
    let either = ["Sentence 1: It rained. Sentence 2: She got wet.", "Sentence 1: She got wet. Sentence 2: It rained."];
    assert!(either.contains(&&*tasks[0].examples[0].input));
    assert_eq!(tasks[0].examples[1], example("owl, bat", "fly at night"));
    let text = induction::read(dir.path(), Part::Execute).unwrap_err().to_string();
    assert!(text.contains("raw/execute/mixed.json: "), "{text}");

    let message = |examples: &str| {
        let dir = folder(&[("annotations/a.json", ANNOTATIONS), ("raw/induce/a.json", examples)]);
        induction::read(dir.path(), Part::Induce).unwrap_err().to_string()
    };
    let text = message(r#"{"examples": {"7": {"input": "x"}}}"#);
    assert!(
        text.ends_with(
            "raw/induce/a.json: example `7`: expected input and output, cause and effect, or items and concept"
        ),
        "{text}"
    );
    assert!(message("{\"examples\": {}}").ends_with("raw/induce/a.json contains no example"));
    assert!(message("{\n\"examples\": 1}").contains("raw/induce/a.json:2: invalid type"));
}

#[test]
fn templates_are_grouped_by_their_rows() {
    let file = |start: &str, numbers: std::ops::Range<usize>, answer: fn(usize) -> &'static str| -> String {
        let row = |number| {
            let prompt = format!("{start} word{number} and other{}", number * 7);
            serde_json::json!({"prompt": prompt, "completion": format!(" {}<|endoftext|>", answer(number))}).to_string()
                + "\n"
        };
        numbers.map(row).collect()
    };
    let even = |number: usize| if number.is_multiple_of(2) { "yes" } else { "no" };
    let files = [
        ("set_a_one.jsonl", file("Judge:", 0..20, even)),
        ("set_a_two.jsonl", file("Is it so?", 0..20, even)),
        ("set_a_short.jsonl", file("Is it so?", 0..9, even)),
        ("set_a_moved.jsonl", file("Say:", 1..21, even)),
        ("set_b_one.jsonl", file("Tell:", 100..120, even)),
        ("set_b_two.jsonl", file("Answer:", 100..120, even)),
        ("set_few.jsonl", file("Ask:", 0..3, even)),
        ("lone.jsonl", file("Ask:", 0..20, even)),
        ("empty.jsonl", String::new()),
    ];
    let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let t0 = t0::read(folder(&texts).path()).unwrap();
    let names: Vec<(&str, usize, usize)> =
        t0.datasets.iter().map(|set| (&*set.name, set.wordings(), set.instances())).collect();
    assert_eq!(names, [("set_a", 2, 20), ("set_b", 2, 20)]);
    assert_eq!(t0.datasets[0].target(1, 3), "no");
    let left_out: Vec<(&str, &str)> = t0.left_out.iter().map(|(name, reason)| (&**name, &**reason)).collect();
    assert_eq!(
        left_out,
        [
            ("empty", "0 rows, too few to identify the data set"),
            ("lone", "no other template of its data set"),
            ("set_a_moved", "its rows are not those of the other templates of `set_a`"),
            ("set_a_short", "9 rows, where the other templates of `set_a` have 20"),
            ("set_few", "3 rows, too few to identify the data set"),
        ]
    );
    let text = t0::read(folder(&[("a.jsonl", "{\"prompt\": \"x\", \"completion\": \"y\"}\n[]\n")]).path()).unwrap_err();
    assert!(text.to_string().contains("a.jsonl:2: not a prompt with its completion: "), "{text}");
    let text = t0::read(folder(&[("a.txt", "")]).path()).unwrap_err().to_string();
    assert!(text.ends_with(" contains no file *.jsonl"), "{text}");
}

/// Checks all couples against the texts of the source.
fn check(source: &impl Worded, pairs: &[Pair]) {
    // The place of each text with its target: (wording, instance).
    let mut places: BTreeMap<(String, &str), BTreeSet<(usize, usize)>> = BTreeMap::new();
    for wording in 0..source.wordings() {
        for instance in 0..source.instances() {
            let text = (source.prompt(wording, instance).into_owned(), source.target(wording, instance));
            places.entry(text).or_default().insert((wording, instance));
        }
    }
    for couple in pairs.chunks(2) {
        let mut originals = Vec::new();
        for pair in couple {
            let place = |text: &str| &places[&(text.to_owned(), &*pair.targets)];
            let (original, paraphrase) = (place(&pair.original_instruction), place(&pair.paraphrased_instruction));
            assert_ne!(pair.original_instruction, pair.paraphrased_instruction);
            let same = |(wording, instance): &(usize, usize)| {
                paraphrase.iter().any(|(other, same)| same == instance && other != wording)
            };
            assert!(original.iter().any(same), "{pair:?}");
            originals.push(original.iter().map(|(wording, _)| *wording).collect::<BTreeSet<_>>());
        }
        assert!(!originals[0].is_disjoint(&originals[1]), "no shared wording");
        assert_ne!(couple[0].targets, couple[1].targets);
        assert_ne!(couple[0].original_instruction, couple[1].original_instruction);
    }
}

#[test]
fn couples_are_hard_negatives_and_few_are_a_prefix_of_many() {
    let inputs: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let examples = inputs.iter().enumerate().map(|(at, input)| example(input, if at < 25 { "small" } else { "large" }));
    let task = InstructionTask {
        name: "size".to_owned(),
        wordings: ["Judge the size.", "How large is it?", "Small or large?"].map(str::to_owned).to_vec(),
        examples: examples.collect(),
    };
    let (pairs, report) = from_worded(&task, 60, 5).unwrap();
    check(&task, &pairs);
    // Thirty anchors make one round of all instances.
    assert_eq!((pairs.len(), report.instances_used, report.wordings_unused, report.passed_over), (60, 30, 0, 0));
    let (few, _) = from_worded(&task, 10, 5).unwrap();
    assert_eq!(few, pairs[..10]);
    assert_ne!(from_worded(&task, 10, 6).unwrap().0, few);
    assert_eq!(pairs[0].keywords["answer"], pairs[0].targets);

    let message = |task: &InstructionTask, pairs| from_worded(task, pairs, 0).unwrap_err().to_string();
    assert_eq!(message(&task, 3), "task `size`: 3 pairs requested, expected an even number: pairs come in couples");
    let one = InstructionTask { wordings: vec!["Judge.".to_owned()], ..task.clone() };
    assert_eq!(
        message(&one, 2),
        "task `size`: none of 1 wordings has two of 30 instances with different targets and a paraphrase each"
    );
    let same = InstructionTask { examples: task.examples[..5].to_vec(), ..task };
    assert!(
        message(&same, 2).starts_with("task `size`: none of 3 wordings has two of 5 instances with different targets")
    );
    // One text with two targets does not form a couple, but each forms one with a third instance.
    let two = InstructionTask { examples: vec![example("1", "small"), example("1", "large")], ..same.clone() };
    assert!(message(&two, 2).starts_with("task `size`: none of 3 wordings"));
    let three = InstructionTask { examples: [&two.examples[..], &[example("2", "small")]].concat(), ..two };
    check(&three, &from_worded(&three, 20, 1).unwrap().0);
}

#[test]
fn real_t0_templates_are_aligned() {
    let Some(dir) = test_data("real_t0_templates_are_aligned", "flan/t0_short") else { return };
    let t0 = t0::read(&dir).unwrap();
    let rows = |name: &str| std::fs::read_to_string(dir.join(name).with_extension("jsonl")).unwrap().lines().count();
    // Files with fewer than 200 rows are not aligned with the others, and one data set has a single template.
    let mut files: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| Path::new(&entry.unwrap().file_name()).file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| rows(name) != 200 || name == "wiki_bio_guess_person")
        .collect();
    files.sort();
    assert_eq!(t0.left_out.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), files);
    let names: Vec<&str> = t0.datasets.iter().map(|set| &*set.name).collect();
    let expected = "ag_news amazon_polarity app_reviews common_gen commonsense_qa cosmos_qa dbpedia_14 gigaword glue_mrpc \
        glue_qqp kilt_tasks_hotpotqa paws_labeled_final qasc quarel quartz ropes rotten_tomatoes samsum sciq social_i_qa trec wiki_qa wiqa";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    let mut without = Vec::new();
    for set in &t0.datasets {
        match from_worded(set, 200, 42) {
            Ok((pairs, _)) => {
                assert_eq!(pairs.len(), 200);
                check(set, &pairs);
            }
            Err(error) => without.push(error.to_string()),
        }
    }
    // The templates of the first have different answer words, the last lacks answers, and the others have a single answer.
    let names = ["app_reviews", "dbpedia_14", "rotten_tomatoes", "trec"];
    assert!(without.iter().map(|text| text.split('`').nth(1).unwrap()).eq(names), "{without:?}");
}

#[test]
fn real_induction_tasks_give_couples() {
    let Some(dir) = test_data("real_induction_tasks_give_couples", "instructions/instruction_induction") else {
        return;
    };
    let tasks = induction::read(&dir, Part::Induce).unwrap();
    assert_eq!(tasks.len(), 24);
    // Counted with Python's json module.
    let examples: usize = tasks.iter().map(|task| task.examples.len()).sum();
    let wordings: usize = tasks.iter().map(|task| task.wordings.len()).sum();
    assert_eq!((examples, wordings), (67662, 186));
    for task in &tasks {
        let (pairs, report) = from_worded(task, 40, 42).unwrap();
        assert_eq!(report.wordings_unused, 0);
        check(task, &pairs);
    }
    assert_eq!(induction::read(&dir, Part::Execute).unwrap().len(), 24);
}

#[test]
fn real_instruction_files_are_read() {
    let name = "real_instruction_files_are_read";
    // Counted with Python's json module.
    for (file, entries, first) in [
        ("instructions/self_instruct_seed_tasks.jsonl", 175, "breakfast_suggestion"),
        ("instructions/user_oriented_instructions.jsonl", 252, "user_oriented_task_0"),
    ] {
        let Some(path) = test_data(name, file) else { return };
        let tasks = instructions::read(&path).unwrap();
        assert_eq!(tasks.iter().map(|task| task.examples.len()).sum::<usize>(), entries);
        assert_eq!(tasks[0].name, first);
    }
}
