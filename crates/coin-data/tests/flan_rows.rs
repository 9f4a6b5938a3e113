//! Rows in the format of the FLAN collection, and the instances and couples recovered from them.

#[cfg(feature = "parquet")]
mod parquet_file;

use std::path::Path;

use coin_data::flan::{self, Flan};
use coin_data::glue::{self, Split};
use coin_data::pairs::{CheckReport, from_worded};
use coin_data::{DataError, Task, Template, TemplateSet, Worded};
use coin_testkit::test_data;
use serde_json::json;

fn row(inputs: &str, targets: &str, task: &str, number: i64) -> serde_json::Value {
    json!({"inputs": inputs, "targets": targets, "_task_name": task, "_task_source": "Flan2021",
        "_template_type": "zs_opt", "_template_idx": number})
}

fn write(path: &Path, rows: &[serde_json::Value]) {
    std::fs::write(path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
}

fn templates() -> TemplateSet {
    let list = |texts: &[(&str, &str)]| texts.iter().map(|(prompt, target)| Template::new(*prompt, *target)).collect();
    TemplateSet::new([
        (
            "squad_v1",
            list(&[
                ("About {title}:\n\n{context}\n\n{question}", "{answer}"),
                ("{context}\n{question}", "{answer}"),
                ("Read: {context}\nNow answer: {question}", "{answer}"),
                ("Ask a question about {title}.", "{question}"),
            ]),
        ),
        ("dart", list(&[("Data: {set}\n\nSay it.", "{target}"), ("Put {set} into words.", "{target}")])),
        ("lone", list(&[("Say {x}.", "{answer}"), ("It is {answer}: {x}", "{answer}")])),
    ])
}

fn read(rows: &[serde_json::Value], most: usize) -> Result<Flan, DataError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("flan_zsopt_data")).unwrap();
    write(&folder.path().join("flan_zsopt_data/part.jsonl"), rows);
    flan::read(folder.path(), &templates(), most)
}

#[test]
fn every_row_is_an_instance_or_counted_with_its_reason() {
    let squad = "squad/v1.1:3.0.0";
    let mut rows = vec![
        row("Read: Ann ran.\nShe fell.\nNow answer: Who?", "Ann", squad, 2),
        row("About Bo:\n\nBo sat.\n\nWho sat?", "Bo", squad, 0),
        row("Cy left.\nWho left?", "Cy", squad, 1),
        row("Cy left.\nWho left?", "Cy", squad, 1),
        row("Cy left.\nHe hid.\nWho?", "Cy", squad, 1),
        row("Ask a question about Di.", "Who?", squad, 3),
        row("About Ed, Ed sat. Who?", "Ed", squad, 0),
        row("Data: a b\n\nSay it.", "A is b.", "gem/dart:1.1.0", 0),
        row("Say x.", "y", "lone", 0),
        row("Say x.", "y", "wsc:1.0.0", 0),
    ];
    let mut other = row("Read: a\nNow answer: b", "c", squad, 2);
    other["_template_type"] = json!("fs_opt");
    rows.push(other.clone());
    other["_template_type"] = json!("zs_opt");
    other["_task_source"] = json!("P3");
    rows.push(other);
    let Flan { tasks, report } = read(&rows, 100).unwrap();
    assert_eq!(
        tasks.iter().map(|task| (task.task(), task.instances())).collect::<Vec<_>>(),
        [("dart", 1), ("squad_v1", 3)]
    );
    let counts =
        [report.rows, report.instances, report.other_kind, report.no_templates, report.no_match, report.several];
    assert_eq!(counts, [12, 4, 2, 2, 1, 1]);
    assert_eq!((report.turned_round, report.repeated, report.beyond), (1, 1, 0));

    let squad = &tasks[1];
    // The template with a title fits only the instance that was read with a title.
    assert_eq!((squad.target(0, 0), squad.target(0, 1), squad.target(2, 0)), ("", "Bo", "Ann"));
    assert_eq!(squad.prompt(1, 0), "Ann ran.\nShe fell.\nWho?");
    assert_eq!(squad.keywords(1)["title"], "Bo");
    let (pairs, _) = from_worded(squad, 12, 1).unwrap();
    assert!(CheckReport::new(&pairs).is_sound());
    assert_eq!(from_worded(squad, 12, 1).unwrap().0, pairs);

    assert_eq!(read(&rows, 2).unwrap().report.beyond, 5);
    let message = read(&rows[8..], 2).unwrap_err().to_string();
    assert!(message.contains("no instance in 4 rows: 0 instances; 2 of another kind, 2 of tasks without"), "{message}");
}

#[test]
fn without_a_number_only_a_text_of_one_template_counts() {
    let mut rows =
        vec![row("Read: Ann ran.\nNow answer: Who?", "Ann", "squad_v1", 0), row("Bo sat.\nWho?", "Bo", "squad_v1", 0)];
    rows.iter_mut().for_each(|row| _ = row.as_object_mut().unwrap().remove("_template_idx"));
    let Flan { tasks, report } = read(&rows, 10).unwrap();
    assert_eq!((tasks[0].instances(), report.several), (1, 1));
    assert_eq!(tasks[0].keywords(0)["context"], "Bo sat.");
}

#[test]
fn rows_without_a_text_and_folders_without_files_are_refused() {
    let message = read(&[json!({"inputs": "a", "task": "flan"})], 1).unwrap_err().to_string();
    assert!(message.ends_with("part.jsonl:1: no `targets`"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let message = flan::read(folder.path(), &templates(), 1).unwrap_err().to_string();
    assert!(message.ends_with("contains no file .jsonl or .parquet"), "{message}");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_reads_as_json_lines_do() {
    use parquet::basic::Compression;
    use parquet_file::{self, Column};

    let folder = tempfile::tempdir().unwrap();
    let columns = [
        ("_template_idx", Column::Numbers(&[2, 0])),
        ("inputs", Column::Text(&[Some("Read: Ann ran.\nNow answer: Who?"), Some("About Bo:\n\nBo sat.\n\nWho?")])),
        ("targets", Column::Text(&[Some("Ann"), Some("Bo")])),
        ("_task_source", Column::Text(&[Some("Flan2021"), None])),
        ("_task_name", Column::Text(&[Some("squad/v1.1:3.0.0"); 2])),
    ];
    parquet_file::write(&folder.path().join("part.0.parquet"), &columns, Compression::SNAPPY, 1);
    let flan = flan::read(folder.path(), &templates(), 10).unwrap();
    assert_eq!((flan.report.rows, flan.tasks[0].instances()), (2, 2));
    assert_eq!(flan.tasks[0].keywords(0)["question"], "Who?");
}

#[test]
fn instances_of_glue_come_back_out_of_flans_templates() {
    let name = "instances_of_glue_come_back_out_of_flans_templates";
    let (Some(data), Some(file)) = (test_data(name, "glue"), test_data(name, "flan/templates_v1.json")) else { return };
    let set = TemplateSet::read(file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut originals = 0;
    for (task, flans) in [("cola", "glue/cola:2.0.0"), ("rte", "super_glue/rte:1.0.2")] {
        let instances = glue::read(&data, task, Split::Train).unwrap();
        let task = Task::named(task).unwrap();
        let list = set.for_task(&task).unwrap();
        let texts = instances.iter().take(1000).enumerate().map(|(at, instance)| {
            let number = at % list.len();
            let (prompt, target) = list[number].fill(&task, instance).unwrap();
            originals += usize::from(list[number].exclusion().is_none());
            row(prompt.trim(), target.trim(), flans, number as i64)
        });
        write(&folder.path().join(format!("{}.jsonl", task.name)), &texts.collect::<Vec<_>>());
    }
    let Flan { tasks, report } = flan::read(folder.path(), &set, 5000).unwrap();
    eprintln!("{report}");
    assert_eq!(report.instances + report.several + report.repeated, originals);
    assert!(report.instances * 100 > originals * 98, "{report}");
    for task in &tasks {
        let (pairs, built) = from_worded(task, 400, 42).unwrap();
        assert_eq!(built.pairs, 400);
        assert!(CheckReport::new(&pairs).is_sound());
    }
}
