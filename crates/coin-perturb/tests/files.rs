//! Files are read back as written, and the errors of damaged files.

use std::fs;

use coin_perturb::audit::AuditRecord;
use coin_perturb::{ATTACK_NAMES, Instructions, LabelWords, Recipe, attack_named, files, perturb_set};

fn clean() -> Instructions {
    Instructions::from([
        (
            "one".to_owned(),
            vec!["Is the given text good or bad? ".to_owned(), "Judge the caf\u{e9}'s review:".to_owned()],
        ),
        ("two".to_owned(), vec!["Compare both statements.".to_owned()]),
    ])
}

#[test]
fn a_set_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.json");
    let attacks: Vec<_> = ATTACK_NAMES.iter().map(|name| attack_named(name).unwrap()).collect();
    let labels = LabelWords::from([("one".to_owned(), ["good".to_owned(), "bad".to_owned()].into())]);
    let set = perturb_set(&clean(), &attacks, &labels, 5).unwrap();
    let recipe = Recipe::new(&set, &attacks, &labels, 5).of_component(coin_data::Component::System);
    files::write(&path, &set, &set.audit(&labels), &recipe).unwrap();

    assert_eq!(files::read_frozen(&path).unwrap(), set);
    // The full form is also accepted as input.
    assert_eq!(files::read_clean(&path).unwrap(), clean());
    let audit = fs::read_to_string(files::audit_path(&path)).unwrap();
    let records: Vec<AuditRecord> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records, set.audit(&labels));
    let (read_set, read) = files::verify(&path).unwrap();
    assert_eq!((&read_set, &read), (&set, &recipe));
    assert_eq!(read.attacks[0].origin, "promptbench::deepwordbug");
    // Three files and no temporary files.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn both_input_forms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.json");
    fs::write(&path, r#"{"t": ["a", "b"]}"#).unwrap();
    let plain = files::read_clean(&path).unwrap();
    fs::write(&path, r#"{"clean": {"t": ["a", "b"]}}"#).unwrap();
    assert_eq!(files::read_clean(&path).unwrap(), plain);
    assert_eq!(plain["t"], ["a", "b"]);
}

#[test]
fn long_input_is_cut_in_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.json");
    let long = "x".repeat(1_000_000);
    for text in [
        format!(r#"{{"{long}": 3}}"#),
        format!(r#"{{"{long}": [3]}}"#),
        format!(r#"{{"{long}": {{"{long}": 3}}}}"#),
        format!(r#"{{"{long}": 1, "{long}": 2}}"#),
    ] {
        fs::write(&path, text).unwrap();
        let messages = [files::read_clean(&path).unwrap_err(), files::read_frozen(&path).unwrap_err()];
        for message in messages.map(|error| error.to_string()) {
            assert!(message.len() < 1_000, "{}: {}", message.len(), &message[..300]);
        }
    }
}

#[test]
fn bad_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.json");
    let clean_message = |text: &str| {
        fs::write(&path, text).unwrap();
        files::read_clean(&path).unwrap_err().to_string().replace(&path.display().to_string(), "FILE")
    };
    assert!(clean_message("{").starts_with("FILE: invalid JSON: "));
    assert_eq!(clean_message("[]"), "FILE: expected an object, found a list");
    assert_eq!(clean_message("{}"), "FILE: no task, expected at least one");
    assert_eq!(clean_message(r#"{"t": []}"#), "FILE: task `t` has no instruction");
    assert_eq!(clean_message(r#"{"t": "x"}"#), "FILE: task `t`: expected a list of instructions, found text");
    assert_eq!(clean_message(r#"{"t": ["x", 3]}"#), "FILE: task `t`, instruction 1: expected text, found a number");

    let frozen_message = |text: &str| {
        fs::write(&path, text).unwrap();
        files::read_frozen(&path).unwrap_err().to_string().replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(frozen_message(r#"{"x": {"t": ["a"]}}"#), "FILE: expected a set `clean`, found only: x");
    assert_eq!(
        frozen_message(r#"{"clean": {"t": ["a"]}, "x": 1}"#),
        "FILE: `x`: expected an object of tasks, found a number"
    );
    let lengths = r#"{"clean": {"t": ["a"]}, "x": {"t": ["b", "c"]}}"#;
    assert_eq!(frozen_message(lengths), "FILE: attack `x`, task `t`: 2 instructions, but 1 clean ones");

    let absent = folder.path().join("absent.json");
    assert!(files::read_clean(&absent).unwrap_err().to_string().contains("absent.json"));
}

#[test]
fn nothing_is_written_into_an_absent_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join("set.json");
    let set = perturb_set(&clean(), &[], &LabelWords::new(), 0).unwrap();
    let error = files::write(&path, &set, &[], &Recipe::new(&set, &[], &LabelWords::new(), 0)).unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_files_of_a_set_change_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.json");
    let attacks = [attack_named("checklist").unwrap()];
    let made = |seed: u64| {
        let set = perturb_set(&clean(), &attacks, &LabelWords::new(), seed).unwrap();
        let recipe = Recipe::new(&set, &attacks, &LabelWords::new(), seed);
        (set.audit(&LabelWords::new()), set, recipe)
    };
    let names = [files::recipe_path(&path), files::audit_path(&path), path.clone()];
    let (audit, set, recipe) = made(1);
    files::write(&path, &set, &audit, &recipe).unwrap();
    let before = names.each_ref().map(|name| fs::read(name).unwrap());
    let (audit, set, recipe) = made(2);
    // The file that is renamed last cannot be written.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(files::write(&path, &set, &audit, &recipe).unwrap_err().to_string().contains("set.json"));
    assert_eq!((fs::read(&names[0]).unwrap(), fs::read(&names[1]).unwrap()), (before[0].clone(), before[1].clone()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    fs::remove_dir(&path).unwrap();
    files::write(&path, &set, &audit, &recipe).unwrap();
    let after = names.each_ref().map(|name| fs::read(name).unwrap());
    // A process that ends after one or two of the three renames leaves a set that is rejected.
    for renamed in 0..=3 {
        for (place, name) in names.iter().enumerate() {
            fs::write(name, if place < renamed { &after[place] } else { &before[place] }).unwrap();
        }
        assert_eq!(files::verify(&path).is_ok(), matches!(renamed, 0 | 3), "{renamed}");
    }
}

#[test]
fn a_set_that_was_edited_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.json");
    let attacks = [attack_named("stresstest").unwrap()];
    let set = perturb_set(&clean(), &attacks, &LabelWords::new(), 5).unwrap();
    let recipe = Recipe::new(&set, &attacks, &LabelWords::new(), 5);
    files::write(&path, &set, &[], &recipe).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    let message = || {
        let message = files::verify(&path).unwrap_err().to_string();
        message.replace(&path.display().to_string(), "FILE")
    };

    // Another layout of the same set is accepted.
    fs::write(&path, written.replace('\n', "")).unwrap();
    assert_eq!(files::verify(&path).unwrap().0, set);
    fs::write(&path, written.replacen("true", "TRUE", 1).replacen("not", "NOT", 1)).unwrap();
    assert_eq!(message(), "FILE: changed after it was written, the recipe has another set_sha256");
    fs::write(&path, written.replacen("Compare", "Hold", 1)).unwrap();
    assert_eq!(message(), "FILE: changed after it was written, the recipe has another clean_sha256 and set_sha256");

    fs::write(&path, &written).unwrap();
    let recipe = fs::read_to_string(files::recipe_path(&path)).unwrap();
    let with_recipe = |text: &str| {
        fs::write(files::recipe_path(&path), text).unwrap();
        message()
    };
    assert_eq!(
        with_recipe(&recipe.replace("\"version\": 2", "\"version\": 1")),
        "FILE.recipe.json: recipe of version 1, expected 2"
    );
    assert_eq!(with_recipe("{}"), "FILE.recipe.json: not a recipe: `version` is not a number");
    let unknown = with_recipe(&recipe.replacen('{', "{\"sed\": 5,", 1));
    assert!(unknown.starts_with("FILE.recipe.json: not a recipe: unknown field `sed`"), "{unknown}");
    fs::remove_file(files::recipe_path(&path)).unwrap();
    assert!(message().starts_with("cannot access FILE.recipe.json"));
}
