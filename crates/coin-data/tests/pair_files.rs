//! Reads pairs from files in every format. All formats give the same pairs, and bad rows are named or left out in whole couples.

#[cfg(feature = "parquet")]
mod parquet_file;

use std::path::Path;

use coin_data::{DataError, Pair, ReadOptions, ReadReport, pairs};
use proptest::prelude::*;

/// The pairs, or the message without the name of the folder.
fn read_with(name: &str, bytes: impl AsRef<[u8]>, skip_bad: bool) -> Result<(Vec<Pair>, ReadReport), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    pairs::read_with(&path, &ReadOptions { skip_bad }).map_err(|error| message(&error, folder.path()))
}

fn read(name: &str, bytes: impl AsRef<[u8]>) -> Result<Vec<Pair>, String> {
    read_with(name, bytes, false).map(|(pairs, _)| pairs)
}

fn message(error: &DataError, folder: &Path) -> String {
    error.to_string().replace(&format!("{}/", folder.display()), "")
}

fn pair(original: &str, target: &str) -> Pair {
    Pair {
        original_instruction: original.to_owned(),
        paraphrased_instruction: format!("Once more: {original}"),
        targets: target.to_owned(),
        task: Some("cola".to_owned()),
        component: None,
        wordings: None,
        keywords: [("sentence".to_owned(), "It's \"so\", or\nnot.".to_owned())].into(),
    }
}

const HEADER: &str = ",original_instruction,paraphrased_instruction,targets,task_name,keyword_data\n";
const KEYWORDS: &str = r#"{'sentence': 'It\'s "so", or\nnot.'}"#;

/// The output of pandas' `to_csv` for the pairs.
fn csv(pairs: &[Pair]) -> String {
    let quoted = |text: &str| match text.contains(['"', ',', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let row = |(at, pair): (usize, &Pair)| {
        let texts = [&pair.original_instruction, &pair.paraphrased_instruction, &pair.targets].map(|text| quoted(text));
        format!("{at},{},cola,{}\n", texts.join(","), quoted(KEYWORDS))
    };
    HEADER.to_owned() + &pairs.iter().enumerate().map(row).collect::<String>()
}

#[test]
fn every_form_gives_the_same_pairs() {
    let couple = [pair("Is \"it\" so, or\n\nnot?", "acceptable"), pair("Is it?", "unacceptable")];
    assert_eq!(read("pairs.csv", csv(&couple)).unwrap(), couple);
    assert_eq!(read("pairs.CSV", csv(&couple).replace('\n', "\r\n").replace("\r\n\r\n", "\n\n")).unwrap(), couple);
    let jsonl: String = couple.iter().map(|pair| serde_json::to_string(pair).unwrap() + "\n").collect();
    assert_eq!(read("pairs.jsonl", &jsonl).unwrap(), couple);
    assert_eq!(read("pairs.ndjson", &jsonl).unwrap(), couple);
    let unnamed = csv(&couple).replacen("task_name,keyword_data", "a,b", 1);
    assert_eq!(read("pairs.csv", &unnamed).unwrap(), couple);
    let other = "original_instruction,paraphrased_instruction,targets,source,split\na,b,x,web,train\nc,d,y,web,train\n";
    let pairs = read("pairs.csv", other).unwrap();
    assert_eq!((pairs[0].task.as_deref(), pairs[0].keywords.len()), (Some("web"), 0));
    let bare = "targets,original_instruction,paraphrased_instruction\nx,a,b\ny,c,d\n";
    let pairs = read("pairs.csv", bare).unwrap();
    assert_eq!((pairs[1].task.as_ref(), pairs[1].keywords.len(), &*pairs[1].targets), (None, 0, "y"));
}

#[test]
fn unreadable_files_are_named_with_line_and_column() {
    let couple = [pair("a", "x"), pair("b", "y")];
    let text = csv(&couple);
    let message = |bytes: &[u8]| read("pairs.csv", bytes).unwrap_err();
    let bare = text.replace("Once more: b", "Once more: 5\" b");
    assert!(
        message(bare.as_bytes()).starts_with("pairs.csv:3: column `paraphrased_instruction`: a quote inside a field"),
        "{}",
        message(bare.as_bytes())
    );
    let mut bytes = text.clone().into_bytes();
    let at = text.rfind(",y,").unwrap() + 1;
    bytes[at] = 0xe9;
    assert_eq!(message(&bytes), "pairs.csv:3: column `targets`: invalid UTF-8");
    assert_eq!(
        message(b"original_instruction,targets\na,b\n"),
        "pairs.csv:1: the header has no column `paraphrased_instruction`, only: original_instruction, targets"
    );
    let keywords = text.replacen("'sentence': ", "'sentence' ", 1);
    assert_eq!(
        message(keywords.as_bytes()),
        "pairs.csv:2: column `keyword_data`: python literal, byte 12: expected `:`, found `'`"
    );
    assert_eq!(
        message(text.replace("3,", "").replacen("0,a,", "0,", 1).as_bytes()),
        "pairs.csv:2: the column `keyword_data` is missing: 5 columns, expected 6"
    );
    assert_eq!(message(b""), "pairs.csv contains no pair");
    assert_eq!(message(HEADER.as_bytes()), "pairs.csv contains no pair");
    assert_eq!(
        message(csv(&couple[..1]).as_bytes()),
        "pairs.csv: 1 pairs, expected an even number: pairs come in couples"
    );
    assert_eq!(
        read("pairs.jsonl", b"{}\n\xff\n").unwrap_err().split(" at").next().unwrap(),
        "pairs.jsonl:1: not a pair: missing field `original_instruction`"
    );
    assert_eq!(read("pairs.jsonl", b"\n\xff\n").unwrap_err(), "pairs.jsonl:2: invalid UTF-8");
    assert_eq!(
        read("pairs.txt", "").unwrap_err(),
        "pairs.txt: unknown extension of a file of pairs, expected one of .jsonl, .ndjson, .csv, .parquet"
    );
    assert!(pairs::read("no/such.csv").unwrap_err().to_string().starts_with("cannot access no/such.csv: "));
    #[cfg(not(feature = "parquet"))]
    assert_eq!(
        read("pairs.parquet", "").unwrap_err(),
        "cannot read pairs.parquet: it needs the feature `parquet` of coin-data, which this build lacks"
    );
}

#[test]
fn a_stream_goes_on_after_a_bad_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    let line = serde_json::to_string(&pair("a", "x")).unwrap();
    std::fs::write(&path, format!("{line}\n{{}}\n{line}")).unwrap();
    let items: Vec<bool> = pairs::stream(&path).unwrap().map(|item| item.is_ok()).collect();
    assert_eq!(items, [true, false, true]);
    let path = folder.path().join("pairs.csv");
    std::fs::write(&path, csv(&[pair("a", "x")]) + "1,b\n2,\"c\n3,d\n").unwrap();
    let items: Vec<String> = pairs::stream(&path)
        .unwrap()
        .map(|item| item.map_or_else(|error| message(&error, folder.path()), |pair| pair.targets))
        .collect();
    assert_eq!(
        items,
        [
            "x",
            "pairs.csv:3: the column `paraphrased_instruction` is missing: 2 columns, expected 6",
            "pairs.csv:4: column `original_instruction`: the quote is never closed"
        ]
    );
}

#[test]
fn a_bad_row_takes_its_partner_along() {
    let line = |text: &str| serde_json::to_string(&pair(text, "x")).unwrap();
    // Couples (a, b), (bad, d), (e, f), (g, bad), (bad, bad), (k, l), and a last row without a partner.
    let rows = [line("a"), line("b"), "{".into(), line("d"), line("e"), line("f"), line("g"), "7".into()];
    let rows = [&rows[..], &["[]".into(), "x".into(), line("k"), line("l"), line("m")]].concat().join("\n\n");
    let (pairs, report) = read_with("pairs.jsonl", &rows, true).unwrap();
    let kept: Vec<&str> = pairs.iter().map(|pair| &*pair.original_instruction).collect();
    assert_eq!(kept, ["a", "b", "e", "f", "k", "l"]);
    assert_eq!((report.rows, report.skipped_count), (13, 7));
    let lines: Vec<usize> = report.skipped.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [5, 7, 13, 15, 17, 19, 25]);
    assert!(report.skipped[0].1.starts_with("not a pair: "));
    assert_eq!(report.skipped[1].1, "left out with row 5, its partner in the couple");
    assert_eq!(report.skipped[2].1, "left out with row 15, its partner in the couple");
    assert_eq!(report.skipped[6].1, "the last row has no partner");

    let (pairs, report) = read_with("pairs.csv", csv(&[pair("a", "x"), pair("b", "y")]) + "2,c\n3,d\n", true).unwrap();
    assert_eq!((pairs.len(), report.skipped_count), (2, 2));
    let text = "{\n".repeat(60) + &line("a") + "\n" + &line("b");
    let (_, report) = read_with("pairs.jsonl", text, true).unwrap();
    assert_eq!((report.skipped.len(), report.skipped_count), (20, 60));
    assert_eq!(read_with("pairs.jsonl", "{\n{\n", true).unwrap_err(), "pairs.jsonl contains no readable pair");
    // With unbalanced quotes the limits of rows are unknown.
    assert!(read_with("pairs.csv", csv(&[pair("a", "x"), pair("b", "y")]) + "2,c\"\n", true).is_err());
}

#[test]
fn a_row_broken_in_two_lines_is_no_couple() {
    let of_task =
        |task: &str| serde_json::to_string(&Pair { task: Some(task.to_owned()), ..pair("a", "x") }).unwrap() + "\n";
    let broken = of_task("rte").replacen("paraphrased", "\n", 1);
    let text = broken + &of_task("rte") + &of_task("cola") + &of_task("cola");
    assert_eq!(
        read_with("pairs.jsonl", text, true).unwrap_err(),
        "pairs.jsonl:4: the two rows of a couple have different tasks, and 3 rows were left out: a line may be missing"
    );
}

proptest! {
    #[test]
    fn whole_couples_stay_in_the_order_of_the_file(bad: Vec<bool>) {
        let row = |(at, &bad): (usize, &bool)| match bad {
            true => "{}\n".to_owned(),
            false => serde_json::to_string(&pair(&at.to_string(), "x")).unwrap() + "\n",
        };
        let text: String = bad.iter().enumerate().map(row).collect();
        let expected: Vec<String> = (0..bad.len() / 2)
            .filter(|couple| !bad[2 * couple] && !bad[2 * couple + 1])
            .flat_map(|couple| [(2 * couple).to_string(), (2 * couple + 1).to_string()])
            .collect();
        match read_with("pairs.jsonl", text, true) {
            Ok((pairs, report)) => {
                let kept: Vec<String> = pairs.into_iter().map(|pair| pair.original_instruction).collect();
                prop_assert_eq!(report.skipped_count, bad.len() - kept.len());
                prop_assert_eq!(report.rows, bad.len());
                prop_assert_eq!(kept, expected);
            }
            Err(message) => prop_assert!(expected.is_empty(), "{}", message),
        }
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use ::parquet::basic::Compression;

    use super::*;
    use crate::parquet_file::{Column, write};

    fn table(
        original: &[Option<&str>],
        compression: Compression,
        group: usize,
    ) -> Result<(Vec<Pair>, ReadReport), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.parquet");
        let rows = original.len();
        let numbers: Vec<i64> = (0..rows as i64).collect();
        let columns = [
            ("index", Column::Numbers(&numbers)),
            ("original_instruction", Column::Text(original)),
            ("paraphrased_instruction", Column::Text(&vec![Some("p"); rows])),
            ("targets", Column::Numbers(&numbers)),
            ("task_name", Column::Text(&vec![Some("cola"); rows])),
            ("keyword_data", Column::Text(&vec![Some(KEYWORDS); rows])),
        ];
        write(&path, &columns, compression, group);
        pairs::read_with(&path, &ReadOptions { skip_bad: group == 7 }).map_err(|error| message(&error, folder.path()))
    }

    #[test]
    fn columns_are_read_over_pages_and_groups() {
        let texts: Vec<String> = (0..5000).map(|at| format!("é {at}")).collect();
        let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(&**text)).collect();
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
            let (pairs, report) = table(&texts, compression, 1500).unwrap();
            assert_eq!((pairs.len(), report.rows), (5000, 5000));
            for (at, pair) in pairs.iter().enumerate() {
                assert_eq!((&*pair.original_instruction, &*pair.targets), (texts[at].unwrap(), &*at.to_string()));
            }
            let last = &pairs[4999];
            assert_eq!((last.task.as_deref(), &*last.keywords["sentence"]), (Some("cola"), "It's \"so\", or\nnot."));
        }
    }

    #[test]
    fn a_dictionary_that_claims_too_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.parquet");
        let names = ["original_instruction", "paraphrased_instruction", "targets"];
        let columns = names.map(|name| (name, Column::Text(&[Some("a"); 2])));
        write(&path, &columns, Compression::UNCOMPRESSED, 2);
        assert_eq!(pairs::read(&path).unwrap().len(), 2);
        let mut bytes = std::fs::read(&path).unwrap();
        // The header of the first page ends with a structure (0x4c) that begins with the number of values (0x15), here
        // one value, which is 2 in zigzag. 63 values would need more than the five bytes of a length and one letter.
        let at = bytes.windows(3).position(|three| three == [0x4c, 0x15, 2]).unwrap();
        bytes[at + 2] = 126;
        std::fs::write(&path, bytes).unwrap();
        let text = message(&pairs::read(&path).unwrap_err(), folder.path());
        assert!(text.contains("column `original_instruction`"), "{text}");
        assert!(text.contains("a dictionary of 63 values in 5 bytes"), "{text}");
    }

    #[test]
    fn nulls_and_other_schemas_are_named() {
        let texts = [Some("a"), Some("b"), None, Some("c")];
        let message = table(&texts, Compression::SNAPPY, 10).unwrap_err();
        assert_eq!(message, "pairs.parquet:3: column `original_instruction`: no text");
        let (pairs, report) = table(&texts, Compression::SNAPPY, 7).unwrap();
        assert_eq!((pairs.len(), report.skipped[1].0), (2, 4));
        assert_eq!(table(&[], Compression::SNAPPY, 1).unwrap_err(), "pairs.parquet contains no pair");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path, &[("text", Column::Numbers(&[1]))], Compression::SNAPPY, 1);
        assert_eq!(
            super::message(&pairs::read(&path).unwrap_err(), folder.path()),
            "x.parquet: the header has no column `original_instruction`, only: text"
        );
        assert!(read("x.parquet", "PAR1").unwrap_err().starts_with("x.parquet: not a readable Parquet file: "));
    }
}
