//! The folder of an evaluation: what `coin eval` and `coin demo` write, and what `coin score` and `coin report` read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use coin_analysis::{RepresentationWriter, Representations, StateMap, UmapOptions};
use coin_data::Task;
use coin_eval::flips::{Flips, PromptTexts};
use coin_eval::report::Report;
use coin_eval::{Bootstrap, Curve, LanguageModel, Plan, Record, collect_states};
use coin_eval::{RunSummary, Summary, ledger, results, statistics};

/// The answers.
pub const LEDGER: &str = "ledger.jsonl";

/// The definitions of the tasks that were evaluated.
const TASKS: &str = "tasks.json";

/// The texts of the prompts.
const PROMPTS: &str = "prompts.json";

/// Hidden states, where they were asked for.
const STATES: &str = "representations.safetensors";

/// Where the metrics are.
const SUMMARY: &str = "summary.json";

/// Accuracies in the released program's form.
const ACCURACIES: &str = "unseen_instruction_acc.csv";

/// Folder of the answers in the released program's form.
const RESULTS: &str = "results";

/// What `coin eval` writes, replaces and removes in its folder.
pub const WRITTEN: [&str; 7] = [LEDGER, TASKS, PROMPTS, STATES, SUMMARY, ACCURACIES, RESULTS];

/// Examples of changed answers that a report shows at most for a level, direction and run.
const EXAMPLES: usize = 3;

/// Hidden states that a map is made of at most.
const STATES_SHOWN: usize = 1500;

/// Fewer states make no map.
const FEWEST_STATES: usize = 30;

/// Prepares the folder for answers of `plan`: what an earlier evaluation derived from its ledger goes, and the definitions of the
/// tasks and the texts of the prompts are written.
///
/// # Errors
/// A file cannot be removed or written.
pub fn begin(folder: &Path, plan: &Plan<'_>, tasks: &[Task]) -> Result<()> {
    for name in [SUMMARY, ACCURACIES, STATES] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", folder.join(name).display()));
            }
            _ => {}
        }
    }
    remove_results(folder)?;
    let json = serde_json::to_vec_pretty(tasks)?;
    coin_core::file::write_atomically(folder.join(TASKS), |file| file.write_all(&json))?;
    Ok(PromptTexts::of(plan)?.write(folder.join(PROMPTS))?)
}

/// Writes what follows from all answers: result files in the released layout, accuracies. `shots` is the number of
/// demonstrations.
///
/// # Errors
/// A file cannot be written.
pub fn finish(folder: &Path, plan: &Plan<'_>, records: &[Record], run: &RunSummary, shots: usize) -> Result<()> {
    remove_results(folder)?;
    results::write_examples(folder, records, plan.max_new_tokens(), shots, |record| plan.input_text(record))?;
    Ok(results::write_accuracies(folder, run)?)
}

/// Results of an earlier evaluation must not stand beside this one's.
fn remove_results(folder: &Path) -> Result<()> {
    let old = folder.join(RESULTS);
    match old.is_dir() {
        true => std::fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display())),
        false => Ok(()),
    }
}

/// Computes and writes the hidden states of `tasks`; see [`collect_states`].
///
/// # Errors
/// As there.
pub fn write_states(
    folder: &Path,
    plan: &Plan<'_>,
    model: &mut dyn LanguageModel,
    tasks: &[String],
    records: &[Record],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let mut writer = RepresentationWriter::create(folder.join(STATES), model.fingerprint())?;
    collect_states(plan, model, tasks, records, &mut writer, progress)?;
    Ok(writer.finish()?)
}

/// The definitions of the tasks in the ledger `path`, from the file beside it; GLUE's where there is none.
///
/// # Errors
/// The file is there and cannot be read.
pub fn tasks_beside(path: &Path) -> Result<Vec<Task>> {
    let path = path.parent().unwrap_or(Path::new("")).join(TASKS);
    match std::fs::read(&path) {
        Ok(json) => {
            coin_core::json::from_slice(&json).with_context(|| format!("{}: no task definitions", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Task::glue()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What one run of a summary left in its folder.
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
    /// Reads the folder of one run, or `None` if it holds no ledger.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Evaluated>> {
        let path = folder.join(LEDGER);
        if !path.is_file() {
            return Ok(None);
        }
        let there = |name: &str| -> Option<PathBuf> { Some(folder.join(name)).filter(|path| path.is_file()) };
        Ok(Some(Evaluated {
            name: name.to_owned(),
            records: ledger::read(&path)?,
            tasks: tasks_beside(&path)?,
            texts: there(PROMPTS).map(PromptTexts::read).transpose()?.unwrap_or_default(),
            states: there(STATES).map(Representations::read).transpose()?,
        }))
    }
}

/// Compares each of `runs` with the one before it, as far as they share prompts. Returns what was left out, and why.
pub fn compare(summary: &mut Summary, runs: &[Evaluated], bootstrap: Bootstrap) -> Vec<String> {
    let mut left_out = Vec::new();
    for pair in runs.windows(2) {
        let [before, after] = pair else { continue };
        if summary.comparison(&before.name, &after.name).is_some() {
            continue;
        }
        let mut tasks = before.tasks.clone();
        let others = after.tasks.iter().filter(|task| before.tasks.iter().all(|known| known.name != task.name));
        tasks.extend(others.cloned());
        let compared = match before.texts.contradicts(&after.texts) {
            Some(place) => Err(format!("they were asked about different examples ({place})")),
            None => {
                let (first, second) =
                    ((before.name.as_str(), &before.records[..]), (after.name.as_str(), &after.records[..]));
                statistics::compare(first, second, &tasks, bootstrap).map_err(|error| error.to_string())
            }
        };
        match compared {
            Ok(comparison) => summary.comparisons.push(comparison),
            // They stand side by side all the same.
            Err(reason) => left_out.push(format!("{} and {} are not compared: {reason}", before.name, after.name)),
        }
    }
    left_out
}

/// Everything that `runs` give a report beside `summary` and `curves`.
///
/// # Errors
/// Hidden states cannot be mapped.
pub fn report(summary: Summary, curves: Vec<Curve>, runs: &[Evaluated]) -> Result<Report> {
    // Answers about different examples are no answers to the same prompt.
    let last = &runs[runs.len().saturating_sub(1)..];
    let alike = runs.windows(2).all(|pair| pair[0].texts.contradicts(&pair[1].texts).is_none());
    let named: Vec<(&str, &[Record])> =
        (if alike { runs } else { last }).iter().map(|run| (run.name.as_str(), run.records.as_slice())).collect();
    let texts = |record: &Record| (if alike { runs } else { last }).iter().find_map(|run| run.texts.get(record));
    let flips = Flips::collect(&named, &texts, EXAMPLES, 42);
    let mut maps = Vec::new();
    for run in runs {
        if let Some(states) = &run.states {
            for task in states.tasks() {
                let shown = shown(states, task);
                if shown.len() >= FEWEST_STATES {
                    maps.push(StateMap::of(&run.name, task, &shown, &UmapOptions::default())?);
                }
            }
        }
    }
    Ok(Report { curves, flips, maps, ..Report::new(summary) })
}

/// The states of one task that are mapped: those under the first instruction at each level, as in the paper's figure, of as many
/// examples as can be shown.
fn shown(states: &Representations, task: &str) -> Representations {
    let first = states.only(|label| label.task == task && label.instruction == 0);
    let rows: BTreeSet<usize> = first.labels().map(|label| label.row).collect();
    let examples = rows.len() * STATES_SHOWN / first.len().max(1);
    let kept: BTreeSet<usize> = rows.into_iter().take(examples.max(1)).collect();
    first.only(|label| kept.contains(&label.row))
}
