//! Tests of the generators, and of their templates and instructions.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use coin_data::Template;

const TEMPLATES: &str = "../coin-data/templates/demo.json";
const INSTRUCTIONS: [&str; 2] = ["demo.json", "glue.json"];

type Templates = BTreeMap<String, Vec<(String, String)>>;
type Instructions = BTreeMap<String, BTreeMap<String, Vec<String>>>;

fn families() -> Vec<Task> {
    Task::glue().into_iter().filter(|task| task.name == task.instructions).collect()
}

fn templates() -> Templates {
    let path = format!("{}/{TEMPLATES}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn instructions(file: &str) -> Instructions {
    let path = format!("{}/../coin-eval/instructions/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}

/// The quoted words of `text`, such as `'acceptable'`.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words of `text` as one string, without placeholders, case and punctuation.
fn wording(text: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 0 => kept.push(c.to_ascii_lowercase()),
            _ => {}
        }
    }
    words(&kept).join(" ")
}

#[test]
fn fields_match_the_task() {
    for task in Task::glue() {
        for instance in World::new(7).training(&task.name, 60).unwrap() {
            let content = task.content(&instance).unwrap();
            assert_eq!(task.content.matches('{').count(), instance.fields.len(), "{}", task.name);
            assert!(!content.contains("  ") && words(&content).len() <= 34, "{content}");
            for text in instance.fields.values() {
                assert!(text.ends_with(['.', '?']) && text.starts_with(char::is_uppercase), "{text}");
            }
        }
    }
}

#[test]
fn splits_are_disjoint_across_seeds() {
    for task in Task::glue() {
        let training = World::new(1).training(&task.name, 1500).unwrap();
        let training: BTreeSet<_> = training.into_iter().map(|instance| instance.fields).collect();
        for seed in [1, 2] {
            let evaluation = World::new(seed).evaluation(&task.name, 300).unwrap();
            assert!(evaluation.iter().all(|instance| !training.contains(&instance.fields)), "{}", task.name);
        }
    }
}

#[test]
fn classes_are_balanced_and_rows_counted() {
    for task in Task::glue() {
        let classes = task.labels.len();
        for instances in [World::new(3).training(&task.name, 60), World::new(3).evaluation(&task.name, 60)] {
            for (row, instance) in instances.unwrap().iter().enumerate() {
                assert_eq!((instance.row, instance.label), (row, row % classes), "{}", task.name);
            }
        }
    }
}

#[test]
fn draws_depend_only_on_the_seed() {
    for task in Task::glue() {
        let long = World::new(5).training(&task.name, 40).unwrap();
        assert_eq!(World::new(5).training(&task.name, 20).unwrap(), long[..20]);
        assert_ne!(World::new(6).training(&task.name, 20).unwrap(), long[..20]);
    }
}

#[test]
fn unknown_tasks_are_rejected() {
    let message = World::new(1).training("stsb", 1).unwrap_err().to_string();
    assert!(message.contains("unknown task `stsb`"), "{message}");
}

#[test]
fn draws_rarely_repeat() {
    for task in families() {
        let drawn = World::new(11).training(&task.name, 20_000).unwrap();
        let distinct: BTreeSet<_> = drawn.iter().map(|instance| &instance.fields).collect();
        assert!(distinct.len() > 19_800, "{}: {} of 20000 distinct", task.name, distinct.len());
    }
}

#[test]
fn domains_of_mnli_share_no_noun() {
    let world = World::new(2);
    let country: BTreeSet<_> = lexicon::COUNTRY_PLACES.into_iter().collect();
    let hits = |task: &str| {
        let drawn = world.evaluation(task, 400).unwrap();
        drawn.iter().filter(|i| i.fields.values().any(|text| words(text).iter().any(|w| country.contains(w)))).count()
    };
    assert_eq!(hits("mnli_matched"), 0);
    assert!(hits("mnli_mismatched") > 200);
    let half = hits("mnli");
    assert!((100..200).contains(&half), "{half}");
}

/// Accuracy on evaluation instances of naive Bayes on the words of the second field, fitted to 6,000 training instances.
/// With 2,000 instances, a fair coin exceeds 0.54 less than once in a thousand times.
fn single_word_accuracy(task: &Task) -> f64 {
    let world = World::new(13);
    let second = if task.name == "qqp" { "question2" } else { "sentence2" };
    let text = |instance: &Instance| {
        let field = if task.name == "qnli" { "sentence" } else { second };
        instance.fields[field].clone()
    };
    let mut counts: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    for instance in world.training(&task.name, 6000).unwrap() {
        let text = text(&instance);
        for word in words(&text).into_iter().collect::<BTreeSet<_>>() {
            counts.entry(word.to_lowercase()).or_insert([1.0; 2])[instance.label] += 1.0;
        }
    }
    let evaluation = world.evaluation(&task.name, 2000).unwrap();
    let right = evaluation.iter().filter(|instance| {
        let text = text(instance).to_lowercase();
        let present = words(&text).into_iter().collect::<BTreeSet<_>>();
        let odds: f64 = present.iter().filter_map(|word| counts.get(*word)).map(|[zero, one]| (one / zero).ln()).sum();
        usize::from(odds > 0.0) == instance.label
    });
    right.count() as f64 / 2000.0
}

#[test]
fn single_words_do_not_reveal_the_class() {
    for name in ["mrpc", "qqp", "qnli", "rte", "wnli"] {
        let accuracy = single_word_accuracy(&Task::named(name).unwrap());
        assert!(accuracy < 0.6, "{name}: {accuracy}");
    }
}

#[test]
fn sentences_have_the_expected_text() {
    use event::{Event, Form, capital};
    let mut event = Event {
        domain: Domain::Town,
        name: Some("Anna"),
        action: 0,
        synonym: 0,
        number: Some("two"),
        adjective: None,
        object: lexicon::Noun { word: "violin", kind: "instrument" },
        by_kind: false,
        place: Some("park"),
        day: None,
    };
    assert_eq!(event.sentence(Form::Active), "Anna bought the two violins in the park.");
    assert_eq!(event.sentence(Form::Passive), "The two violins were bought by Anna in the park.");
    (event.number, event.by_kind, event.synonym) = (None, true, 1);
    assert_eq!(event.sentence(Form::Fronted), "In the park, Anna purchased the instrument.");
    assert_eq!(event.sentence(Form::Negated), "Anna did not purchase the instrument in the park.");
    event.name = None;
    assert_eq!(event.sentence(Form::Active), "The instrument was purchased in the park.");
    assert_eq!(lexicon::plural("peach") + lexicon::article("old") + &capital("it"), "peachesanIt");
}

#[test]
fn templates_are_complete() {
    let templates = templates();
    assert_eq!(templates.len(), 8);
    for task in families() {
        let of_task = &templates[&task.name];
        assert_eq!(of_task.len(), 10);
        let distinct: BTreeSet<_> = of_task.iter().map(|(prompt, _)| wording(prompt)).collect();
        assert_eq!(distinct.len(), 10, "{}", task.name);
        assert!((2..=3).contains(&of_task.iter().filter(|(prompt, _)| prompt.starts_with(&task.content)).count()));
        let instance = World::new(1).training(&task.name, 1).unwrap().remove(0);
        let labels: BTreeSet<_> = task.labels.iter().cloned().collect();
        for (prompt, target) in of_task {
            assert_eq!(target, "{answer}");
            let (filled, _) = Template::new(prompt, target).fill(&task, &instance).unwrap();
            assert!(filled.contains(&task.content(&instance).unwrap()) && !filled.contains(['{', '}']), "{prompt}");
            assert_eq!(quoted(prompt), labels, "{prompt}");
        }
    }
}

#[test]
fn instructions_are_complete_and_unseen() {
    let seen: BTreeSet<_> = templates().values().flatten().map(|(prompt, _)| wording(prompt)).collect();
    for file in INSTRUCTIONS {
        let instructions = instructions(file);
        // The other levels of a file are generated from the clean level.
        let made = ["deepwordbug", "textfooler", "checklist"];
        let written: Vec<_> = instructions.keys().filter(|level| !made.contains(&level.as_str())).collect();
        assert_eq!(written, ["clean", "semantic"]);
        for task in families() {
            let labels: BTreeSet<_> = task.labels.iter().cloned().collect();
            let mut distinct = BTreeSet::new();
            for form in ["clean", "semantic"] {
                let of_task = &instructions[form][&task.name];
                assert_eq!((instructions[form].len(), of_task.len()), (8, 6), "{file}, {form}, {}", task.name);
                for text in of_task {
                    assert!(text.ends_with(": ") && quoted(text) == labels, "{file}: {text}");
                    assert!((10..=20).contains(&text.split_whitespace().count()), "{file}: {text}");
                    let plain = wording(&text.replace(['{', '}'], ""));
                    assert!(!seen.contains(&plain) && distinct.insert(plain), "{file}: {text}");
                }
            }
        }
    }
}
