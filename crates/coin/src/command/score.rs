//! `coin score`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use coin::core::quote::cut;
use coin::data::{Task, TaskFile};
use coin::eval::folder::{self, Evaluated};
use coin::eval::parser::AnswerParser;
use coin::eval::{Bootstrap, Ledger, Record, Summary, metrics, statistics};
use coin::report;
use serde_json::json;

use super::choice::choices;
use super::model_arguments::warn;
use super::{as_text, check_intervals, check_out_folder, claim_out_folder};
use crate::failure::{Failure, OrFail, bad_input};

/// Arguments of `coin score`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Ledgers, or folders that contain one. Each is compared with the previous one.
    #[arg(required = true)]
    ledgers: Vec<PathBuf>,
    /// Output folder for `summary.json` and, for a single ledger, `unseen_instruction_acc.csv`.
    #[arg(long)]
    out: PathBuf,
    /// Name of a run in tables, given once for each ledger [default: the ledger's folder].
    #[arg(long = "name")]
    names: Vec<String>,
    /// Reads the answers again with another scorer.
    #[arg(long, value_parser = choices::<AnswerParser>())]
    scorer: Option<AnswerParser>,
    /// Bootstrap draws for 95 % intervals and tests, 40 to 1,000,000; 0 for none.
    #[arg(long, default_value_t = Bootstrap::default().replicates)]
    intervals: usize,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = Bootstrap::default().seed)]
    seed: u64,
    /// Definition of a custom task, unless it is in the `tasks.json` next to the ledger. Can be repeated.
    #[arg(long = "task-file", value_name = "FILE")]
    task_files: Vec<PathBuf>,
}

/// The files that are written to the folder.
const OUTPUT_FILES: [&str; 2] = ["summary.json", "unseen_instruction_acc.csv"];

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        check_intervals(self.intervals)?;
        if !self.names.is_empty() && self.names.len() != self.ledgers.len() {
            return bad_input(format!("--name is given {} times for {} ledgers", self.names.len(), self.ledgers.len()));
        }
        check_out_folder(&self.out, &OUTPUT_FILES)?;
        let own = self.task_files.iter().map(TaskFile::read).collect::<Result<Vec<_>, _>>().input()?;
        let mut evaluated = Vec::new();
        for (index, path) in self.ledgers.iter().enumerate() {
            let inside = path.join(folder::LEDGER);
            let path = if path.is_dir() { &inside } else { path };
            let mut tasks = folder::tasks_beside(path).input()?;
            tasks.retain(|task| own.iter().all(|file| file.task.name != task.name));
            tasks.extend(own.iter().map(|file| file.task.clone()));
            let mut records = Ledger::read(path).input()?;
            warn(&uneven(path, &records));
            if let Some(scorer) = self.scorer {
                read_again(&mut records, scorer, &tasks)?;
            }
            let folder = path.parent().and_then(|folder| folder.file_name());
            let name = self.names.get(index).cloned();
            let name = name.or_else(|| folder.map(|name| name.to_string_lossy().into_owned()));
            let name = name.unwrap_or_else(|| "run".to_owned());
            if evaluated.iter().any(|run: &Evaluated| run.name == name) {
                return bad_input(format!("two runs are called `{name}`; give --name once for each ledger"));
            }
            evaluated.push(Evaluated { name, records, tasks, texts: Default::default(), states: None });
        }
        let bootstrap = Bootstrap { replicates: self.intervals, seed: self.seed };
        let score = |run: &Evaluated| match self.intervals {
            0 => metrics::score_tasks(&run.name, &run.records, &run.tasks),
            _ => statistics::score_with_intervals(&run.name, &run.records, &run.tasks, bootstrap),
        };
        let runs = evaluated.iter().map(score).collect::<Result<Vec<_>, _>>().input()?;
        let settings = json!({
            "command": "score",
            "ledgers": self.ledgers.iter().map(as_text).collect::<Vec<_>>(),
            "scorer": self.scorer,
            "intervals": self.intervals,
            "seed": self.seed,
        });
        let mut summary = Summary::new(settings.as_object().cloned().unwrap_or_default(), runs);
        if self.intervals > 0 {
            warn(&folder::compare(&mut summary, &evaluated, bootstrap));
        }
        let _held = claim_out_folder(&self.out, &OUTPUT_FILES)?;
        if let [run] = &summary.runs[..] {
            folder::write_accuracies(&self.out, run).work()?;
        }
        summary.write(self.out.join("summary.json")).work()?;
        println!("{}", report::terminal(&summary));
        Ok(())
    }
}

/// Returns a warning for each task with different numbers of answers at its levels or instructions, as in a run that was stopped.
fn uneven(path: &Path, records: &[Record]) -> Vec<String> {
    let mut counts: BTreeMap<&str, BTreeMap<(&str, usize), usize>> = BTreeMap::new();
    for record in records {
        *counts.entry(&record.task).or_default().entry((&record.level, record.instruction)).or_default() += 1;
    }
    let uneven = counts.iter().filter(|(_, cells)| {
        let levels: BTreeMap<&str, usize> = cells.keys().fold(BTreeMap::new(), |mut levels, (level, _)| {
            *levels.entry(*level).or_default() += 1;
            levels
        });
        let answers: BTreeSet<usize> = cells.values().copied().collect();
        answers.len() > 1 || levels.values().collect::<BTreeSet<_>>().len() > 1
    });
    let tell = |(task, _): (&&str, _)| {
        format!(
            "{}: task `{}` has different numbers of answers at its levels or instructions; was the evaluation stopped?",
            path.display(),
            cut(task)
        )
    };
    uneven.map(tell).collect()
}

/// Replaces the predictions with those of `parser`.
fn read_again(records: &mut [Record], parser: AnswerParser, tasks: &[Task]) -> Result<(), Failure> {
    for record in records {
        let Some(task) = tasks.iter().find(|task| task.name == record.task) else {
            return bad_input(format!("unknown task `{}`; give its definition with --task-file", record.task));
        };
        record.read_again(task, parser).input()?;
    }
    Ok(())
}
