//! GLUE files: written in small here, and the real ones.

mod support;

use std::path::Path;

use coin_data::glue::{self, Split};
use coin_data::{DataError, Instance};
use support::test_data;

/// Reads a task from a folder that holds `files`.
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
    assert!(text.ends_with("RTE/train.tsv holds no row"), "{text}");
    let text = message(&[("RTE/train.tsv", "\n")], "rte");
    assert!(text.ends_with("RTE/train.tsv holds no row"), "{text}");
    let text = message(&[("RTE/train.tsv", "sentence1\tlabel\nA.\t1\n")], "rte");
    assert!(text.ends_with("RTE/train.tsv:1: the header has no column `sentence2`, only: sentence1, label"), "{text}");
    let text = message(&[("CoLA/train.tsv", "a\t1\t\tOne.\nb\t0\tTwo.\n")], "cola");
    assert!(text.ends_with("train.tsv:2: the column `sentence` is missing: 3 columns, expected 4"), "{text}");
}

#[test]
fn absent_files_are_listed() {
    let text = message(&[("RTE/train.tsv", "x")], "mnli");
    assert!(text.starts_with("no files for task `mnli`, looked for "), "{text}");
    assert!(text.ends_with("MNLI/train.tsv"), "{text}");
    let text = read(&[("cola/dev_in_domain.tsv", "x")], "cola", Split::Validation).unwrap_err().to_string();
    let expected = ["cola/dev.tsv", ", or ", "cola/dev_in_domain.tsv", " with ", "cola/dev_out_of_domain.tsv"];
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
    // The figures of classes and quotes were counted with Python's csv module, quoting off except for RTE.
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
fn real_files_under_other_names() {
    let Some(glue) = test_data("real_files_under_other_names", "glue") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [("QQP/dev_head10.tsv", "QQP/dev.tsv"), ("MRPC/msr_paraphrase_train.txt", "MRPC/train.tsv")] {
        std::fs::create_dir_all(dir.path().join(to).parent().unwrap()).unwrap();
        std::fs::copy(glue.join(from), dir.path().join(to)).unwrap();
    }
    assert_eq!(summary(dir.path(), "qqp", Split::Validation), (9, 4, 0));
    assert_eq!(summary(dir.path(), "mrpc", Split::Train), (4076, 2753, 2775));
}
