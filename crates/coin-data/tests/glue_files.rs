//! Reads small invented GLUE files and the real ones.

#[cfg(feature = "parquet")]
mod parquet_file;

use std::path::Path;

use coin_data::glue::{self, Split};
use coin_data::{DataError, Instance};
use coin_testkit::test_data;

/// Reads a task from a folder with `files`.
fn read(files: &[(&str, &str)], task: &str, split: Split) -> Result<Vec<Instance>, DataError> {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    glue::read(dir.path(), task, split)
}

fn message(files: &[(&str, &str)], task: &str) -> String {
    read(files, task, Split::Train).unwrap_err().to_string()
}

#[test]
fn every_task_is_read_from_its_own_columns() {
    let mnli = "index\tpairID\tsentence1_parse\tsentence1\tsentence2\tlabel1\tgold_label\n\
                0\tx\t( A )\tA horse.\tAn animal.\tneutral\tentailment\n";
    /// Task, file, text, fields, label.
    type Case = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], usize);
    let cases: [Case; 8] = [
        ("cola", "CoLA/train.tsv", "me01\t0\t*\tDog the ran.\n", &[("sentence", "Dog the ran.")], 0),
        ("sst2", "SST-2/train.tsv", "sentence\tlabel\na fine day \t1\n", &[("sentence", "a fine day ")], 1),
        (
            "mrpc",
            "MRPC/train.tsv",
            "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tHe \"won\".\t\"Won\", he did.\r\n",
            &[("sentence1", "He \"won\"."), ("sentence2", "\"Won\", he did.")],
            1,
        ),
        (
            "qqp",
            "qqp/train.tsv",
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\r\n1\t2\t3\tWhy?\tWhat for?\t1\r\n",
            &[("question1", "Why?"), ("question2", "What for?")],
            1,
        ),
        ("mnli", "MNLI/train.tsv", mnli, &[("premise", "A horse."), ("hypothesis", "An animal.")], 0),
        (
            "qnli",
            "QnLi/train.tsv",
            "index\tquestion\tsentence\tlabel\n0\tWho sang?\tAnn sang.\tnot_entailment\n",
            &[("question", "Who sang?"), ("sentence", "Ann sang.")],
            1,
        ),
        (
            "rte",
            "RTE/train.tsv",
            "sentence1\tsentence2\tlabel\tidx\n\"He said \"\"no\"\".\"\tHe spoke.\t0\t0\n",
            &[("sentence1", "He said \"no\"."), ("sentence2", "He spoke.")],
            0,
        ),
        (
            "wnli",
            "WNLI/train.tsv",
            "index\tsentence1\tsentence2\tlabel\n0\tBo saw Al.\tAl saw.\tentailment\n",
            &[("sentence1", "Bo saw Al."), ("sentence2", "Al saw.")],
            1,
        ),
    ];
    for (task, path, text, fields, label) in cases {
        let rows = read(&[(path, text)], task, Split::Train).unwrap();
        assert_eq!(rows, [Instance::new(task, 0, fields.iter().copied(), label)], "{task}");
    }
}

#[test]
fn two_development_files_are_one_split() {
    let row = |premise: &str, label| format!("sentence1\tsentence2\tgold_label\n{premise}\tB.\t{label}\n");
    let files =
        [("mnli/dev_matched.tsv", &*row("one", "neutral")), ("mnli/dev_mismatched.tsv", &*row("two", "contradiction"))];
    let seen = |task| {
        let rows = read(&files, task, Split::Validation).unwrap();
        rows.iter().map(|row| (row.row, row.fields["premise"].clone(), row.label)).collect::<Vec<_>>()
    };
    assert_eq!(seen("mnli"), [(0, "one".to_owned(), 1), (1, "two".to_owned(), 2)]);
    assert_eq!(seen("mnli_matched"), [(0, "one".to_owned(), 1)]);
    assert_eq!(seen("mnli_mismatched"), [(0, "two".to_owned(), 2)]);

    let cola = [("CoLA/dev_out_of_domain.tsv", "b\t0\t*\tOut.\n"), ("CoLA/dev_in_domain.tsv", "a\t1\t\tIn.\n")];
    let rows = read(&cola, "cola", Split::Validation).unwrap();
    assert_eq!(rows[0].fields["sentence"], "In.");
    assert_eq!((rows[1].row, rows[1].label), (1, 0));
    let whole = [cola[0], cola[1], ("CoLA/dev.tsv", "a\t1\t\tWhole.\n")];
    assert_eq!(read(&whole, "cola", Split::Validation).unwrap()[0].fields["sentence"], "Whole.");
}

#[test]
fn errors_name_file_line_and_column() {
    let header = "index\tsentence1\tsentence2\tlabel\n";
    let rte = |rows: &str| message(&[("RTE/train.tsv", &format!("{header}{rows}"))], "rte");
    let text = rte("0\tA.\tB.\t1\n1\tA.\n");
    assert!(text.ends_with("RTE/train.tsv:3: the column `sentence2` is missing: 2 columns, expected 4"), "{text}");
    let text = rte("0\tA.\tB.\t1\t9\n");
    assert!(text.ends_with("train.tsv:2: 5 columns, expected 4: index, sentence1, sentence2, label"), "{text}");
    let text = rte("0\tA.\tB.\tmaybe\n");
    assert!(
        text.contains("train.tsv:2: unknown label `maybe` in the column `label`, expected 0 to 1 or: entail"),
        "{text}"
    );
    let text = rte("");
    assert!(text.ends_with("RTE/train.tsv contains no row"), "{text}");
    let text = message(&[("RTE/train.tsv", "\n")], "rte");
    assert!(text.ends_with("RTE/train.tsv contains no row"), "{text}");
    let text = message(&[("RTE/train.tsv", "sentence1\tlabel\nA.\t1\n")], "rte");
    assert!(text.ends_with("RTE/train.tsv:1: the header has no column `sentence2`, only: sentence1, label"), "{text}");
    let text = message(&[("CoLA/train.tsv", "a\t1\t\tOne.\nb\t0\tTwo.\n")], "cola");
    assert!(text.ends_with("train.tsv:2: the column `sentence` is missing: 3 columns, expected 4"), "{text}");
}

#[test]
fn absent_files_are_listed() {
    let text = message(&[("RTE/train.tsv", "x")], "mnli");
    assert!(text.starts_with("no files for task `mnli`, looked for "), "{text}");
    assert!(text.ends_with("MNLI/train.{tsv,csv,jsonl,parquet}"), "{text}");
    let text = read(&[("cola/dev_in_domain.tsv", "x")], "cola", Split::Validation).unwrap_err().to_string();
    let expected = [
        "cola/dev.{tsv,",
        ", or ",
        "cola/dev_in_domain.{tsv,",
        " with ",
        "cola/dev_out_of_domain.{",
        "cola/validation.",
    ];
    assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    let text = glue::read(Path::new("no such folder"), "cola", Split::Train).unwrap_err().to_string();
    assert!(text.starts_with("cannot access no such folder: "), "{text}");
    let text = message(&[("RTE/train.tsv", "x")], "colla");
    assert!(text.starts_with("unknown task `colla`"), "{text}");
}

/// Rows, rows of class 1, and the number of quote characters of a split.
fn summary(dir: &Path, task: &str, split: Split) -> (usize, usize, usize) {
    let rows = glue::read(dir, task, split).unwrap();
    assert!(rows.iter().enumerate().all(|(at, row)| row.row == at && row.task == task));
    let ones = rows.iter().filter(|row| row.label == 1).count();
    let quotes = rows.iter().flat_map(|row| row.fields.values()).map(|text| text.matches('"').count()).sum();
    (rows.len(), ones, quotes)
}

#[test]
fn real_files_have_the_known_numbers_of_rows() {
    let Some(dir) = test_data("real_files_have_the_known_numbers_of_rows", "glue") else { return };
    // The classes and quotes were counted with Python's csv module, without quoting except for RTE.
    use Split::{Train, Validation};
    assert_eq!(summary(&dir, "cola", Train), (8551, 6023, 4));
    assert_eq!(summary(&dir, "cola", Validation), (1043, 719, 0));
    assert_eq!(summary(&dir, "sst2", Train), (67349, 37569, 0));
    assert_eq!(summary(&dir, "sst2", Validation), (872, 444, 0));
    assert_eq!(summary(&dir, "rte", Train), (2490, 1241, 1443));
    assert_eq!(summary(&dir, "rte", Validation), (277, 131, 155));
    assert_eq!(summary(&dir, "wnli", Train), (635, 312, 58));
    assert_eq!(summary(&dir, "wnli", Validation), (71, 31, 2));
    assert_eq!(summary(&dir, "qnli", Validation), (5463, 2761, 1525));
}

#[test]
fn csv_and_json_lines_have_the_same_columns() {
    let expected = [
        Instance::new("mnli", 0, [("premise", "A, \"B\"."), ("hypothesis", "C.")], 2),
        Instance::new("mnli", 1, [("premise", "D."), ("hypothesis", "E.")], 0),
    ];
    let csv = "idx,hypothesis,premise,label\n0,C.,\"A, \"\"B\"\".\",2\n1,E.,D.,entailment\n";
    assert_eq!(read(&[("mnli/train.csv", csv)], "mnli", Split::Train).unwrap(), expected);
    let jsonl = "{\"premise\":\"A, \\\"B\\\".\",\"hypothesis\":\"C.\",\"label\":2}\n\n\
                 {\"label\":\"entailment\",\"premise\":\"D.\",\"hypothesis\":\"E.\",\"idx\":1}\n";
    assert_eq!(read(&[("mnli/train.jsonl", jsonl)], "mnli", Split::Train).unwrap(), expected);
    // TSV comes first, then CSV.
    let files = [("mnli/train.jsonl", "x"), ("mnli/train.csv", csv)];
    assert_eq!(read(&files, "mnli", Split::Train).unwrap(), expected);
    let one = read(&[("sst2/validation.csv", "sentence,label\nFine.,1\n")], "sst2", Split::Validation).unwrap();
    assert_eq!(one, [Instance::new("sst2", 0, [("sentence", "Fine.")], 1)]);

    let error = |path: &str, text: &str| message(&[(path, text)], "rte");
    let text = error("RTE/train.csv", "sentence1,sentence2,label\na,b\"c,1\n");
    assert!(text.contains("train.csv:2: column `sentence2`: a quote inside a field without quotes"), "{text}");
    let text = error("RTE/train.jsonl", "{\"sentence1\":\"a\",\"sentence2\":null,\"label\":1}\n");
    assert!(text.ends_with("train.jsonl:1: column `sentence2`: no text"), "{text}");
    let text = error("RTE/train.jsonl", "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":1}\n{\"label\":1}\n");
    assert!(text.ends_with("train.jsonl:2: the key `sentence1` is missing"), "{text}");
    let text = error("RTE/train.jsonl", "[1]");
    assert!(text.contains("train.jsonl:1: not a JSON object: "), "{text}");
    let text = error("RTE/train.jsonl", "");
    assert!(text.ends_with("RTE/train.jsonl contains no row"), "{text}");
}

#[test]
fn the_hubs_folders_are_found() {
    let row = |premise: &str| format!("premise,hypothesis,label\n{premise},B.,1\n");
    let files = [
        ("mnli/validation_matched.csv", row("matched")),
        ("mnli/validation_mismatched.csv", row("mismatched")),
        ("mnli_matched/validation.csv", row("own folder")),
        ("mnli_mismatched/validation.csv", row("own folder")),
    ];
    let seen = |files: &[(&str, String)], task| {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        let rows = read(&files, task, Split::Validation).unwrap();
        rows.iter().map(|row| row.fields["premise"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&files, "mnli"), ["matched", "mismatched"]);
    assert_eq!(seen(&files, "mnli_matched"), ["matched"]);
    assert_eq!(seen(&files[2..], "mnli_matched"), ["own folder"]);
    assert_eq!(seen(&files[2..], "mnli_mismatched"), ["own folder"]);
}

#[test]
fn adversarial_examples_are_read_by_task() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev.json");
    let read = |text: &str, task: &str| {
        std::fs::write(&path, text).unwrap();
        glue::read_adversarial(&path, task)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "dev.json"))
    };
    let text = r#"{"mnli": [{"premise": "a", "hypothesis": "b", "label": 2}], "mnli-mm": [{"premise": "c", "hypothesis": "d", "label": 0}],
        "rte": [{"sentence1": "e", "label": 0}], "sst2": [{"sentence": "f", "label": 2}], "qqp": []}"#;
    let one = |row, premise, hypothesis, label| {
        Instance::new("mnli", row, [("premise", premise), ("hypothesis", hypothesis)], label)
    };
    assert_eq!(read(text, "mnli").unwrap(), [one(0, "a", "b", 2), one(1, "c", "d", 0)]);
    assert_eq!(read(text, "mnli_matched").unwrap()[0].label, 2);
    assert_eq!(read(text, "rte").unwrap_err(), "dev.json: `rte`, example 0: no `sentence2`, only: label, sentence1");
    assert_eq!(read(text, "sst2").unwrap_err(), "dev.json: `sst2`, example 0: unknown label `2`");
    assert_eq!(read(text, "qqp").unwrap_err(), "dev.json contains no example of the task");
    assert_eq!(read(text, "cola").unwrap_err(), "dev.json contains no example of the task");
    assert!(read("[\n1]", "cola").unwrap_err().starts_with("dev.json:1: expected {task: [{field: text}, ..]}: "));
}

#[test]
fn real_adversarial_examples() {
    let Some(path) = test_data("real_adversarial_examples", "glue/AdvGLUE/dev_ann.json") else { return };
    // Counted with Python's json module.
    for (task, rows) in [("sst2", 148), ("qqp", 78), ("mnli", 283), ("mnli_matched", 121), ("qnli", 148), ("rte", 81)] {
        assert_eq!(glue::read_adversarial(&path, task).unwrap().len(), rows, "{task}");
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_parquet_file_is_named_in_a_build_without_it() {
    let text = message(&[("rte/train-00000-of-00001.parquet", "")], "rte");
    assert!(text.contains("looked for ") && text.contains("rte/train.{tsv,csv,jsonl,parquet}; cannot read "), "{text}");
    assert!(text.contains("train-00000-of-00001.parquet: it needs the feature `parquet` of coin-data"), "{text}");
}

#[cfg(feature = "parquet")]
mod parquet {
    use ::parquet::basic::Compression;

    use super::*;
    use crate::parquet_file::{Column, write};

    #[test]
    fn parts_are_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mrpc")).unwrap();
        let part = |name: &str, one: &str, labels: &[i64]| {
            let columns = [
                ("sentence1", Column::Text(&[Some(one), Some(one)])),
                ("sentence2", Column::Text(&[Some("b"), Some("c")])),
                ("label", Column::Numbers(labels)),
                ("idx", Column::Numbers(&[0, 1])),
            ];
            write(&dir.path().join("mrpc").join(name), &columns, Compression::SNAPPY, 1);
        };
        part("train-00001-of-00002.parquet", "second", &[0, 1]);
        let text = glue::read(dir.path(), "mrpc", Split::Train).unwrap_err().to_string();
        assert!(text.ends_with("mrpc: train-*.parquet are 1 files, expected 2 parts"), "{text}");
        part("train-00000-of-00002.parquet", "first", &[1, 0]);
        let rows = glue::read(dir.path(), "mrpc", Split::Train).unwrap();
        let seen: Vec<_> = rows.iter().map(|row| (row.row, &*row.fields["sentence1"], row.label)).collect();
        assert_eq!(seen, [(0, "first", 1), (1, "first", 0), (2, "second", 0), (3, "second", 1)]);

        part("validation-00000-of-00001.parquet", "x", &[1, -1]);
        let text = glue::read(dir.path(), "mrpc", Split::Validation).unwrap_err().to_string();
        assert!(text.contains("parquet:2: unknown label `-1` in the column `label`, expected 0 to 1 or: "), "{text}");
        let other = [("sentence1", Column::Text(&[Some("a")])), ("label", Column::Numbers(&[1]))];
        write(&dir.path().join("mrpc/validation.parquet"), &other, Compression::UNCOMPRESSED, 1);
        let text = glue::read(dir.path(), "mrpc", Split::Validation).unwrap_err().to_string();
        assert!(
            text.ends_with(
                "validation.parquet: the header has no column `#2 String` or `sentence2`, only: sentence1, label"
            ),
            "{text}"
        );
        std::fs::write(dir.path().join("mrpc/validation.parquet"), "PAR1 no PAR1").unwrap();
        let text = glue::read(dir.path(), "mrpc", Split::Validation).unwrap_err().to_string();
        assert!(text.contains("mrpc/validation.parquet: not a readable Parquet file: "), "{text}");
    }

    #[test]
    fn real_parquet_equals_real_tsv() {
        let Some(glue) = test_data("real_parquet_equals_real_tsv", "glue/RTE/train.parquet") else { return };
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rte")).unwrap();
        for (file, name) in
            [("train.parquet", "train-00000-of-00001.parquet"), ("validation.parquet", "validation.parquet")]
        {
            std::fs::copy(glue.with_file_name(file), dir.path().join("rte").join(name)).unwrap();
        }
        let real = glue.parent().and_then(Path::parent).unwrap();
        for (split, rows) in [(Split::Train, 2490), (Split::Validation, 277)] {
            let parquet = glue::read(dir.path(), "rte", split).unwrap();
            assert_eq!(parquet.len(), rows);
            assert_eq!(parquet, glue::read(real, "rte", split).unwrap());
        }
    }
}

#[test]
fn real_files_under_other_names() {
    let Some(glue) = test_data("real_files_under_other_names", "glue") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in
        [("QQP/dev_head10.tsv", "QQP/dev.tsv"), ("MRPC/msr_paraphrase_train.txt", "MRPC/msr_paraphrase_train.txt")]
    {
        std::fs::create_dir_all(dir.path().join(to).parent().unwrap()).unwrap();
        std::fs::copy(glue.join(from), dir.path().join(to)).unwrap();
    }
    assert_eq!(summary(dir.path(), "qqp", Split::Validation), (9, 4, 0));
    assert_eq!(summary(dir.path(), "mrpc", Split::Train), (4076, 2753, 2775));
}

#[test]
fn bad_rows_are_left_out_and_counted_where_asked_for() {
    use coin_data::ReadOptions;
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("SST-2")).unwrap();
    let lines = ["sentence\tlabel", "good\t1", "no label", "bad\t0", "odd\t7", "fine\t1"];
    std::fs::write(dir.path().join("SST-2/train.tsv"), lines.join("\n")).unwrap();
    let with = |skip_bad| glue::read_with(dir.path(), "sst2", Split::Train, &ReadOptions { skip_bad });
    assert!(with(false).unwrap_err().to_string().contains("train.tsv:3: the column `label` is missing"));
    let (rows, report) = with(true).unwrap();
    // Rows keep their numbers in the file.
    assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!((report.rows, report.skipped_count), (5, 2));
    assert_eq!(report.skipped.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
    assert!(report.skipped[1].1.contains("unknown label `7`"), "{:?}", report.skipped);

    std::fs::write(dir.path().join("SST-2/train.jsonl"), "{\"sentence\":\"a\",\"label\":1}\n{\n").unwrap();
    std::fs::remove_file(dir.path().join("SST-2/train.tsv")).unwrap();
    assert!(with(false).is_err());
    assert_eq!(with(true).unwrap().1.skipped[0].0, 2);
}
