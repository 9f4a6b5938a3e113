//! Tests every reader on arbitrary bytes and on damaged files: no panic, and every error names its file.
//!
//! `COIN_FUZZ_CASES` is the number of cases of each test, by default 100.

mod damage;
#[cfg(feature = "parquet")]
mod parquet_file;

use std::path::Path;

use coin_data::glue::{self, Split};
use coin_data::induction::{self, Part};
use coin_data::{DataError, ReadOptions, TemplateSet, instructions, pairs, t0};
use proptest::prelude::*;

use damage::{damaged, runner};

/// Reads arbitrary and damaged content of `file` in a folder that also contains `others`.
///
/// `valid` is a valid content; `read` is called with the folder and the file.
fn fuzz<T>(file: &str, valid: &[u8], others: &[(&str, &[u8])], read: impl Fn(&Path, &Path) -> Result<T, DataError>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in others.iter().chain([&(file, valid)]) {
        std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let path = dir.path().join(file);
    if let Err(error) = read(dir.path(), &path) {
        panic!("the valid file: {error}");
    }
    let check = |bytes: Vec<u8>| {
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = read(dir.path(), &path) {
            let message = error.to_string();
            prop_assert!(message.contains(dir.path().to_str().unwrap()), "no path: {}", message);
            prop_assert!(!message.contains('\n'), "more than one line: {}", message);
        }
        Ok(())
    };
    let mut runner = runner();
    runner.run(&prop::collection::vec(any::<u8>(), 0..300), check).unwrap();
    runner.run(&damaged(valid), check).unwrap();
}

const JSONL: &[u8] = br#"{"original_instruction":"Is it? A.","paraphrased_instruction":"A. Is it?","targets":"yes","task":"a","keywords":{"x":"A."}}
{"original_instruction":"Is it? B.","paraphrased_instruction":"B. Is it?","targets":"no","task":"a","keywords":{"x":null,"y":[1,2]}}
"#;

const CSV: &[u8] = br#",original_instruction,paraphrased_instruction,targets,task_name,keyword_data
0,"Is it, or ""not""?","A.
Is it?",yes,a,"{'x': ""it's"", 'n': [1, -2.5e3, None], 'd': {'y': True}}"
1,Is it? B.,B. Is it?,no,a,{'x': 'B\n\x41\u00e9'}
"#;

/// Reads pairs in every way. The results must agree.
fn read_pairs(path: &Path) -> Result<(), DataError> {
    let strict = pairs::read(path);
    let lenient = pairs::read_with(path, &ReadOptions { skip_bad: true });
    let good = pairs::stream(path).map(|stream| stream.filter(Result::is_ok).count());
    if let Ok((pairs, report)) = &lenient {
        assert_eq!((pairs.len() % 2, pairs.len() + report.skipped_count), (0, report.rows));
        assert!(pairs.len() <= *good.as_ref().unwrap());
    }
    match (strict, lenient) {
        (Ok(pairs), lenient) => assert_eq!(pairs, lenient.unwrap().0),
        (Err(_), Err(error)) => return Err(error),
        (Err(error), Ok((_, report))) => {
            assert!(report.skipped_count > 0);
            return Err(error);
        }
    }
    Ok(())
}

#[test]
fn pairs_of_json_lines() {
    fuzz("pairs.jsonl", JSONL, &[], |_, path| read_pairs(path));
}

#[test]
fn pairs_of_csv() {
    fuzz("pairs.csv", CSV, &[], |_, path| read_pairs(path));
}

#[test]
fn glue_of_tsv() {
    let text = b"index\tsentence1\tsentence2\tlabel\n0\t\"A \"\"b\"\".\"\tC.\tentailment\n1\tD.\tE.\t1\n";
    fuzz("RTE/train.tsv", text, &[], |dir, _| glue::read(dir, "rte", Split::Train));
    let text = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tHe \"won\".\t\"Won\", he did.\r\n";
    fuzz("MRPC/msr_paraphrase_train.txt", text.as_bytes(), &[], |dir, _| glue::read(dir, "mrpc", Split::Train));
    fuzz("CoLA/dev.tsv", b"me01\t0\t*\tDog the ran.\n", &[], |dir, _| glue::read(dir, "cola", Split::Validation));
}

#[test]
fn glue_of_csv() {
    let text = b"question1,question2,label\n\"Why, \"\"so\"\"?\",What?,0\nWho?,Which?,1\n";
    fuzz("qqp/validation.csv", text, &[], |dir, _| glue::read(dir, "qqp", Split::Validation));
}

#[test]
fn glue_of_json_lines() {
    let text = b"{\"sentence\":\"A.\",\"question\":\"B?\",\"label\":1,\"idx\":0}\n{\"sentence\":\"C.\",\"question\":\"D?\",\"label\":0}\n";
    fuzz("qnli/train.jsonl", text, &[], |dir, _| glue::read(dir, "qnli", Split::Train));
}

#[test]
fn adversarial_glue() {
    let text = br#"{"rte": [{"sentence1": "A.", "sentence2": "B.", "label": 1, "idx": 0}], "sst2": []}"#;
    fuzz("dev.json", text, &[], |_, path| glue::read_adversarial(path, "rte"));
}

#[test]
fn templates() {
    let text = br#"{"cola": [["Is it? {sentence}\n{options_}", "{answer}"], ["{sentence}", "{answer}"]], "rte": []}"#;
    fuzz("templates.json", text, &[], |_, path| TemplateSet::read(path));
}

#[test]
fn instruction_lists() {
    let text =
        br#"[{"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "Greet.", "output": "Hi."}]"#;
    fuzz("alpaca.json", text, &[], |_, path| instructions::read(path));
    let text = b"{\"id\": \"s\", \"instruction\": \"Add.\", \"instances\": [{\"input\": \"1\", \"output\": \"3\"}]}\n";
    fuzz("seed.jsonl", text, &[], |_, path| instructions::read(path));
}

#[test]
fn t0_templates() {
    let rows = |start: &str| {
        let row = |word: &str| format!("{{\"prompt\": \"{start} {word}\\n\", \"completion\": \"yes<|endoftext|>\"}}\n");
        ["alpha", "beta", "gamma", "delta"].map(row).concat()
    };
    let (one, other) = (rows("Is it"), rows("Judge"));
    fuzz("set_one.jsonl", one.as_bytes(), &[("set_two.jsonl", other.as_bytes())], |dir, _| t0::read(dir));
}

#[test]
fn induction_tasks() {
    let annotations: &[u8] = br#"{"annotations": ["Negate.", "Say the opposite."]}"#;
    let examples: &[u8] = br#"{"metadata": {"num_examples": 3}, "examples": {"1": {"input": "a", "output": "b"},
        "2": {"cause": "c", "effect": "d"}, "3": {"items": ["e", "f"], "concept": "g"}}}"#;
    let (first, second) = (("annotations/a.json", annotations), ("raw/induce/a.json", examples));
    fuzz(first.0, first.1, &[second], |dir, _| induction::read(dir, Part::Induce));
    fuzz(second.0, second.1, &[first], |dir, _| induction::read(dir, Part::Induce));
}

#[cfg(feature = "parquet")]
mod parquet {
    use ::parquet::basic::Compression;

    use super::*;
    use crate::parquet_file::{Column, write};

    fn bytes(columns: &[(&str, Column<'_>)], compression: Compression) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), columns, compression, 3);
        std::fs::read(file.path()).unwrap()
    }

    #[test]
    fn pairs_of_parquet() {
        let (one, other) = ([Some("Is it? A."); 6], [Some("A. Is it?"); 6]);
        let keywords = [Some("{'x': 1}"), None, Some(""), Some("{}"), Some("{'y': 'z'}"), None];
        let columns = || {
            [
                ("original_instruction", Column::Text(&one)),
                ("paraphrased_instruction", Column::Text(&other)),
                ("targets", Column::Numbers(&[0, 1, 0, 1, 0, 1])),
                ("task", Column::Text(&other)),
                ("keywords", Column::Text(&keywords)),
            ]
        };
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
            fuzz("pairs.parquet", &bytes(&columns(), compression), &[], |_, path| read_pairs(path));
        }
    }

    #[test]
    fn glue_of_parquet() {
        let texts = [Some("A."), Some("B."), Some("C."), Some("D.")];
        let columns = [("sentence", Column::Text(&texts)), ("label", Column::Numbers(&[0, 1, 1, 0]))];
        let valid = bytes(&columns, Compression::SNAPPY);
        let name = "sst2/validation-00000-of-00001.parquet";
        fuzz(name, &valid, &[], |dir, _| glue::read(dir, "sst2", Split::Validation));
    }
}
