//! Result files in the released program's layout, so that its post-processing can read them.
//!
//! `results/{task}/{attack}/len_7_0_shot_prompt{i}.csv` has a row per example (`index`, `input_text`, `raw_pred`,
//! `pred`, `gt`); `unseen_instruction_acc.csv` has a row per task and attack. `docs/formats.md` lists the
//! differences from the released files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::EvalError;
use crate::metrics::summary::RunSummary;
use crate::run::ledger::Record;

/// Writes the result files of `records` under `folder`, which is created if it does not exist.
///
/// `input_text` returns the prompt of a record; see [`Plan::input_text`](crate::Plan::input_text). Without a prompt the column
/// is left empty. `max_new_tokens` and the number of demonstrations, `shots`, are part of the file names.
///
/// # Errors
/// [`EvalError::Io`].
pub fn write_examples(
    folder: impl AsRef<Path>,
    records: &[Record],
    max_new_tokens: usize,
    shots: usize,
    input_text: impl Fn(&Record) -> Option<String>,
) -> Result<(), EvalError> {
    let mut files: BTreeMap<(&str, &str, usize), Vec<&Record>> = BTreeMap::new();
    for record in records {
        files.entry((&record.task, &record.level, record.instruction)).or_default().push(record);
    }
    for ((task, level, instruction), records) in files {
        let folder = folder.as_ref().join("results").join(task).join(level);
        std::fs::create_dir_all(&folder).map_err(EvalError::io(&folder))?;
        let header = ["index", "input_text", "raw_pred", "pred", "gt"].map(str::to_owned).to_vec();
        let rows = records.into_iter().map(|record| {
            let input = input_text(record).unwrap_or_default();
            let (index, pred, gold) = (record.row.to_string(), record.pred.to_string(), record.gold.to_string());
            vec![index, input, record.raw_pred.clone(), pred, gold]
        });
        write_csv(&folder.join(format!("len_{max_new_tokens}_{shots}_shot_prompt{instruction}.csv")), header, rows)?;
    }
    Ok(())
}

/// Writes `folder/unseen_instruction_acc.csv`: for each task and attack, the accuracy of each instruction, their mean
/// (`avg`) and their population standard deviation (`avg_std`), all in percent with two decimals.
///
/// # Errors
/// [`EvalError::Io`].
pub fn write_accuracies(folder: impl AsRef<Path>, run: &RunSummary) -> Result<(), EvalError> {
    let prompts = run.tasks.iter().map(|cell| cell.accuracies.len()).max().unwrap_or(0);
    let mut header = vec!["task".to_owned(), "attack".to_owned()];
    header.extend((0..prompts).map(|index| format!("prompt{index}")));
    header.extend(["avg".to_owned(), "avg_std".to_owned()]);
    let percent = |value: f64| format!("{:.2}", 100.0 * value);
    let rows = run.tasks.iter().map(|cell| {
        let mut row = vec![cell.task.clone(), cell.level.clone()];
        row.extend((0..prompts).map(|index| cell.accuracies.get(index).map_or(String::new(), |value| percent(*value))));
        row.extend([percent(cell.measures.accuracy), percent(cell.measures.std)]);
        row
    });
    write_csv(&folder.as_ref().join("unseen_instruction_acc.csv"), header, rows)
}

fn write_csv(path: &Path, header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Result<(), EvalError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let in_memory = |error: csv::Error| EvalError::Io { path: path.to_owned(), source: error.into() };
    for row in std::iter::once(header).chain(rows) {
        writer.write_record(&row).map_err(in_memory)?;
    }
    let bytes =
        writer.into_inner().map_err(|error| EvalError::Io { path: path.to_owned(), source: error.into_error() })?;
    coin_core::file::replace(path, |file| file.write_all(&bytes)).map_err(EvalError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(row: usize, raw_pred: &str, pred: i64) -> Record {
        Record {
            task: "cola".to_owned(),
            level: "clean".to_owned(),
            instruction: 3,
            row,
            raw_pred: raw_pred.to_owned(),
            pred,
            gold: 1,
            cosine_to_clean: None,
            ..Record::default()
        }
    }

    #[test]
    fn files_have_the_released_names_and_columns() {
        let folder = tempfile::tempdir().unwrap();
        let records = [record(7, "acceptable", 1), record(9, "a \"b\",\nc", -1)];
        write_examples(folder.path(), &records, 7, 0, |record| {
            (record.row == 7).then(|| "Judge: It rains.".to_owned())
        })
        .unwrap();
        let text = std::fs::read_to_string(folder.path().join("results/cola/clean/len_7_0_shot_prompt3.csv")).unwrap();
        assert_eq!(
            text,
            "index,input_text,raw_pred,pred,gt\n7,Judge: It rains.,acceptable,1,1\n9,,\"a \"\"b\"\",\nc\",-1,1\n"
        );

        write_accuracies(folder.path(), &crate::metrics::score("run", &records).unwrap()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("unseen_instruction_acc.csv")).unwrap();
        assert_eq!(text, "task,attack,prompt0,avg,avg_std\ncola,clean,50.00,50.00,0.00\n");
    }
}
