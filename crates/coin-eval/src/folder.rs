//! The folder of an evaluation. It is written during the run and read back for scoring and reporting.

mod results;

use std::path::{Path, PathBuf};

use coin_analysis::{RepresentationWriter, Representations};
use coin_data::Task;

use crate::engine::model::LanguageModel;
use crate::metrics::summary::{Bootstrap, RunSummary, Summary};
use crate::run::ledger::{Ledger, Record};
use crate::run::plan::Plan;
use crate::run::prompt_texts::PromptTexts;
use crate::run::states::collect_states;
use crate::{EvalError, statistics};

pub use results::{write_accuracies, write_examples};

/// The answers.
pub const LEDGER: &str = "ledger.jsonl";

/// The definitions of the tasks that were evaluated.
const TASKS: &str = "tasks.json";

/// The texts of the prompts.
const PROMPTS: &str = "prompts.json";

/// Hidden states, if they were requested.
const STATES: &str = "representations.safetensors";

/// The metrics.
const SUMMARY: &str = "summary.json";

/// Accuracies, in the released program's format.
const ACCURACIES: &str = "unseen_instruction_acc.csv";

/// Folder of the answers, in the released program's format.
const RESULTS: &str = "results";

/// The files and folders that `coin eval` writes, replaces and removes in its folder.
pub const ENTRIES: [&str; 7] = [LEDGER, TASKS, PROMPTS, STATES, SUMMARY, ACCURACIES, RESULTS];

/// Prepares the folder for answers of `plan`: removes files that an earlier evaluation derived from its ledger, and writes the
/// task definitions and the prompt texts.
///
/// # Errors
/// A file cannot be removed or written.
pub fn begin(folder: &Path, plan: &Plan<'_>, tasks: &[Task]) -> Result<(), EvalError> {
    for name in [SUMMARY, ACCURACIES, STATES] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(EvalError::io(folder.join(name))(error));
            }
            _ => {}
        }
    }
    remove_results(folder)?;
    let json = serde_json::to_vec_pretty(tasks)
        .map_err(|error| EvalError::Invalid(format!("cannot write the task definitions: {error}")))?;
    coin_core::file::write_atomically(folder.join(TASKS), |file| file.write_all(&json))?;
    PromptTexts::of(plan)?.write(folder.join(PROMPTS))
}

/// Writes the files that need all answers: result files in the released layout, and accuracies. `shots` is the number
/// of demonstrations.
///
/// # Errors
/// A file cannot be written.
pub fn finish(
    folder: &Path,
    plan: &Plan<'_>,
    records: &[Record],
    run: &RunSummary,
    shots: usize,
) -> Result<(), EvalError> {
    remove_results(folder)?;
    write_examples(folder, records, plan.max_new_tokens(), shots, |record| plan.input_text(record))?;
    write_accuracies(folder, run)
}

/// Removes the results of an earlier evaluation, so that they do not mix with the new ones.
fn remove_results(folder: &Path) -> Result<(), EvalError> {
    let old = folder.join(RESULTS);
    match old.is_dir() {
        true => std::fs::remove_dir_all(&old).map_err(EvalError::io(&old)),
        false => Ok(()),
    }
}

/// Computes and writes the hidden states of `tasks`; see [`collect_states`].
///
/// # Errors
/// As [`collect_states`].
pub fn write_states(
    folder: &Path,
    plan: &Plan<'_>,
    model: &mut dyn LanguageModel,
    tasks: &[String],
    records: &[Record],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(), EvalError> {
    let mut writer = RepresentationWriter::create(folder.join(STATES), model.fingerprint())?;
    collect_states(plan, model, tasks, records, &mut writer, progress)?;
    Ok(writer.finish()?)
}

/// Returns the task definitions for the ledger `path`, from the file in the same folder, or GLUE's if there is no such file.
///
/// # Errors
/// The file exists but cannot be read.
pub fn tasks_beside(path: &Path) -> Result<Vec<Task>, EvalError> {
    let path = path.parent().unwrap_or(Path::new("")).join(TASKS);
    match std::fs::read(&path) {
        Ok(json) => coin_core::json::from_slice(&json).map_err(|error| EvalError::Malformed {
            path,
            line: error.line(),
            message: format!("not a list of task definitions: {}", coin_core::json::message(&error)),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Task::glue()),
        Err(error) => Err(EvalError::io(path)(error)),
    }
}

/// The contents of the folder of one run of a summary.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The run's name in the summary.
    pub name: String,
    /// Its answers.
    pub records: Vec<Record>,
    /// The definitions of its tasks.
    pub tasks: Vec<Task>,
    /// The texts of its prompts.
    pub texts: PromptTexts,
    /// Its hidden states, if there are any.
    pub states: Option<Representations>,
}

impl Evaluated {
    /// Reads the folder of one run, or returns `None` if it does not contain a ledger.
    ///
    /// # Errors
    /// A file exists but cannot be read.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Evaluated>, EvalError> {
        let path = folder.join(LEDGER);
        if !path.is_file() {
            return Ok(None);
        }
        let there = |name: &str| -> Option<PathBuf> { Some(folder.join(name)).filter(|path| path.is_file()) };
        Ok(Some(Evaluated {
            name: name.to_owned(),
            records: Ledger::read(&path)?,
            tasks: tasks_beside(&path)?,
            texts: there(PROMPTS).map(PromptTexts::read).transpose()?.unwrap_or_default(),
            states: there(STATES).map(Representations::read).transpose()?,
        }))
    }
}

/// Compares each of `runs` with the previous one on the prompts they share, unless the summary already compares it with another.
/// Returns the comparisons that were left out, with the reason.
pub fn compare(summary: &mut Summary, runs: &[Evaluated], bootstrap: Bootstrap) -> Vec<String> {
    let mut left_out = Vec::new();
    for pair in runs.windows(2) {
        let [before, after] = pair else { continue };
        if summary.comparisons.iter().all(|comparison| comparison.after != after.name) {
            left_out.extend(compare_two(summary, before, after, bootstrap));
        }
    }
    left_out
}

/// Compares `after` with `before` on the prompts they share, and adds the comparison to the summary. Returns the reason if it is left
/// out; the report still shows both runs side by side.
pub fn compare_two(
    summary: &mut Summary,
    before: &Evaluated,
    after: &Evaluated,
    bootstrap: Bootstrap,
) -> Option<String> {
    let mut tasks = before.tasks.clone();
    let others = after.tasks.iter().filter(|task| before.tasks.iter().all(|known| known.name != task.name));
    tasks.extend(others.cloned());
    let compared = match before.texts.contradicts(&after.texts) {
        Some(place) => Err(format!("they answered different examples ({place})")),
        None => {
            let (first, second) =
                ((before.name.as_str(), &before.records[..]), (after.name.as_str(), &after.records[..]));
            statistics::compare(first, second, &tasks, bootstrap).map_err(|error| error.to_string())
        }
    };
    match compared {
        Ok(comparison) => {
            summary.comparisons.push(comparison);
            None
        }
        Err(reason) => Some(format!("{} and {} are not compared: {reason}", before.name, after.name)),
    }
}
