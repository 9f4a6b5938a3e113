//! Builds a GLUE folder from the public files listed in docs/test-data.md, with substitutes for missing GLUE files.
//!
//! Shows: the data on which the medium reproduction trains and evaluates. Development sets are GLUE's, except:
//! - qnli: the first 4,000 rows of the development set are the training rows. Evaluated are those remaining rows (585) whose
//!   question and sentence do not occur in the training rows, because most questions occur twice, with opposite answers;
//! - mrpc: the corpus's test rows, with their labels (GLUE's development rows are among the training rows here);
//! - mnli: TextFooler's samples of 1,000 development rows, matched and mismatched; training uses 1,000 rows of SNLI;
//! - qqp: the original forms of the 39 development rows that AdvGLUE attacked; without training rows.
//!
//! Command: `cargo run --release -p coin-examples --example gather_glue -- DATA OUT`
//! Output:  `OUT/glue/{CoLA,SST-2,MRPC,QQP,MNLI,QNLI,RTE,WNLI}/{train,dev}.tsv` and similar files, and `OUT/templates.json`
//! with FLAN's and the demo's templates for each task.
//! Time and memory: under a second, 50 MB.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use coin::data::{Task, TemplateSet};
use serde_json::Value;

/// Number of rows of QNLI's development set that are used for training.
const QNLI_TRAINING: usize = 4_000;

/// Files that are copied unchanged: source, target.
const COPIES: [(&str, &str); 11] = [
    ("CoLA/train.tsv", "CoLA/train.tsv"),
    ("CoLA/dev_in_domain.tsv", "CoLA/dev_in_domain.tsv"),
    ("CoLA/dev_out_of_domain.tsv", "CoLA/dev_out_of_domain.tsv"),
    ("SST-2/train.tsv", "SST-2/train.tsv"),
    ("SST-2/dev.tsv", "SST-2/dev.tsv"),
    ("MRPC/msr_paraphrase_train.txt", "MRPC/msr_paraphrase_train.txt"),
    ("MRPC/msr_paraphrase_test.txt", "MRPC/dev.tsv"),
    ("RTE/train.tsv", "RTE/train.tsv"),
    ("RTE/dev.tsv", "RTE/dev.tsv"),
    ("WNLI/train.tsv", "WNLI/train.tsv"),
    ("WNLI/dev.tsv", "WNLI/dev.tsv"),
];

/// Files of inference rows without a header (label, premise, hypothesis): source, target.
const INFERENCE: [(&str, &str); 3] = [
    ("SNLI/textfooler_snli_1000.tsv", "MNLI/train.tsv"),
    ("MNLI/textfooler_mnli_matched_1000.tsv", "MNLI/dev_matched.tsv"),
    ("MNLI/textfooler_mnli_mismatched_1000.tsv", "MNLI/dev_mismatched.tsv"),
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out] = arguments.as_slice() else { bail!("expected two folders: DATA OUT") };
    let (data, out) = (Path::new(data), Path::new(out));
    let (from, to) = (data.join("glue"), out.join("glue"));

    for (name, target) in COPIES {
        write(&to.join(target), &text(&from.join(name))?)?;
    }
    for (name, target) in INFERENCE {
        write(&to.join(target), &format!("label\tpremise\thypothesis\n{}", text(&from.join(name))?))?;
    }

    let qnli = text(&from.join("QNLI/dev.tsv"))?;
    let (head, rows) = qnli.split_once('\n').context("QNLI/dev.tsv has only one line")?;
    let rows: Vec<&str> = rows.lines().collect();
    ensure!(rows.len() > QNLI_TRAINING, "QNLI/dev.tsv has {} rows, expected more than {QNLI_TRAINING}", rows.len());
    let (training, others) = rows.split_at(QNLI_TRAINING);
    // Question and sentence are the second and third columns.
    let texts = |row: &'_ str| row.split('\t').skip(1).take(2).map(str::to_owned).collect::<Vec<_>>();
    let known: BTreeSet<String> = training.iter().flat_map(|row| texts(row)).collect();
    let development: Vec<&str> =
        others.iter().copied().filter(|row| !texts(row).iter().any(|text| known.contains(text))).collect();
    write(&to.join("QNLI/train.tsv"), &format!("{head}\n{}\n", training.join("\n")))?;
    write(&to.join("QNLI/dev.tsv"), &format!("{head}\n{}\n", development.join("\n")))?;

    let adversarial: Value = serde_json::from_str(&text(&from.join("AdvGLUE/dev_ann.json"))?)?;
    let mut qqp = "question1\tquestion2\tis_duplicate\n".to_owned();
    for row in adversarial["qqp"].as_array().context("AdvGLUE/dev_ann.json does not have a list `qqp`")? {
        // An attacked question comes with its original. Handwritten rows do not have originals, and several attacks on one
        // row share an original.
        let [one, other] = ["question1", "question2"].map(|name| row.get(format!("original_{name}")));
        if one.is_none() && other.is_none() {
            continue;
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let (Some(one), Some(other), Some(label)) =
            (text(one.or(row.get("question1"))), text(other.or(row.get("question2"))), row["label"].as_u64())
        else {
            bail!("AdvGLUE/dev_ann.json: a row of `qqp` lacks a question or its label");
        };
        let line = format!("{one}\t{other}\t{label}\n");
        if !qqp.contains(&line) {
            qqp += &line;
        }
    }
    write(&to.join("QQP/dev.tsv"), &qqp)?;

    let flan = TemplateSet::read(data.join("flan/templates_v1.json"))?;
    let demo = TemplateSet::demo();
    let mut both = Vec::new();
    for name in ["cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli"] {
        let task = Task::named(name)?;
        both.push((name, [flan.for_task(&task)?, demo.for_task(&task)?].concat()));
    }
    write(&out.join("templates.json"), &serde_json::to_string_pretty(&TemplateSet::new(both))?)?;
    println!("written to {}", out.display());
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a path within a folder")?)?;
    fs::write(path, text).with_context(|| path.display().to_string())
}
