//! The evaluated tasks and their examples.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use coin::core::quote::cut;
use coin::data::glue::{self, Split};
use coin::data::{DataError, Instance, ReadOptions, ReadReport, Task, TaskFile};

use crate::command::distinct;
use crate::command::model_arguments::data_folder;
use crate::command::pairs::say_skipped;
use crate::failure::{Failure, OrFail, bad_input};

/// The options for GLUE tasks and custom tasks.
#[derive(Debug, Args)]
pub struct TaskChoice {
    /// GLUE folder with DIR/{CoLA,SST-2,..}/dev.tsv or another supported form, or a data set on the hub, such as `nyu-mll/glue`.
    #[arg(long)]
    glue: Option<String>,
    /// GLUE tasks, comma separated [default: all ten].
    #[arg(long, value_delimiter = ',', requires = "glue")]
    tasks: Vec<String>,
    /// TOML file that defines a custom task and names its data files. Can be repeated.
    #[arg(long = "task-file", value_name = "FILE")]
    task_files: Vec<PathBuf>,
    /// Reports and leaves out GLUE tasks with missing files instead of failing.
    #[arg(long)]
    allow_missing: bool,
    /// Leaves out and counts data rows that cannot be read, instead of refusing the file.
    #[arg(long)]
    skip_bad: bool,
}

/// Tasks with their examples.
pub struct Chosen {
    /// The tasks, in the order of evaluation.
    pub tasks: Vec<Task>,
    /// The evaluated examples by task.
    pub examples: BTreeMap<String, Vec<Instance>>,
    /// The examples that demonstrations are drawn from, by task. Empty without demonstrations.
    pub shown: BTreeMap<String, Vec<Instance>>,
    /// The given GLUE folder or data set.
    pub glue: Option<String>,
    /// The files of the custom tasks.
    pub task_files: Vec<PathBuf>,
    /// Number of rows of the evaluated split that were left out, by task. Tasks without such rows are omitted.
    pub skipped: BTreeMap<String, usize>,
}

impl Chosen {
    /// Prints the rows of `task` that were left out, and counts those of the evaluated split for the summary.
    fn note_skipped(&mut self, task: &str, split: Split, report: &ReadReport) {
        say_skipped(task, report);
        if split == Split::Validation && report.skipped_count > 0 {
            self.skipped.insert(task.to_owned(), report.skipped_count);
        }
    }
}

impl TaskChoice {
    /// Reads the evaluated examples, and the examples of the split `shots_from` for demonstrations.
    pub fn read(&self, offline: bool, shots_from: Option<Split>) -> Result<Chosen, Failure> {
        if self.glue.is_none() && self.task_files.is_empty() {
            return bad_input("--glue or --task-file is required: they name the tasks to evaluate");
        }
        let mut chosen = Chosen {
            tasks: Vec::new(),
            examples: BTreeMap::new(),
            shown: BTreeMap::new(),
            glue: self.glue.clone(),
            task_files: self.task_files.clone(),
            skipped: BTreeMap::new(),
        };
        if let Some(glue) = &self.glue {
            self.read_glue(glue, offline, shots_from, &mut chosen)?;
        }
        for path in &self.task_files {
            let file = TaskFile::read(path).input()?;
            let name = file.task.name.clone();
            if chosen.examples.contains_key(&name) {
                let (path, name) = (path.display(), cut(&name));
                return bad_input(format!("--task-file {path}: there is already a task called `{name}`"));
            }
            let (examples, report) = file.instances_with(Split::Validation, &self.options()).input()?;
            chosen.note_skipped(&name, Split::Validation, &report);
            if let Some(split) = shots_from {
                let (shown, report) = file.instances_with(split, &self.options()).input()?;
                if split != Split::Validation {
                    chosen.note_skipped(&name, split, &report);
                }
                chosen.shown.insert(name.clone(), shown);
            }
            chosen.examples.insert(name, examples);
            chosen.tasks.push(file.task);
        }
        if chosen.tasks.is_empty() {
            return bad_input("no task left to evaluate");
        }
        Ok(chosen)
    }

    fn options(&self) -> ReadOptions {
        ReadOptions { skip_bad: self.skip_bad }
    }

    fn read_glue(
        &self,
        glue: &str,
        offline: bool,
        shots_from: Option<Split>,
        chosen: &mut Chosen,
    ) -> Result<(), Failure> {
        let names: Vec<String> = match self.tasks.is_empty() {
            true => Task::glue().into_iter().map(|task| task.name).collect(),
            false => distinct(&self.tasks),
        };
        let splits: Vec<Split> = [Some(Split::Validation), shots_from].into_iter().flatten().collect();
        let wanted = |name: &str| splits.iter().any(|split| glue::is_file_of(name, &names, *split));
        let data = data_folder("--glue", glue, &wanted, offline)?;
        for name in names {
            let task = Task::named(&name).input()?;
            match glue::read_with(&data, &name, Split::Validation, &self.options()) {
                Ok((instances, report)) => {
                    chosen.note_skipped(&name, Split::Validation, &report);
                    if let Some(split) = shots_from {
                        let shown = glue::read_with(&data, &name, split, &self.options());
                        let hint = "demonstrations are drawn from the training split, or with --shots-from validation from the other";
                        let (shown, report) = shown.map_err(|error| anyhow::Error::new(error).context(hint)).input()?;
                        if split != Split::Validation {
                            chosen.note_skipped(&name, split, &report);
                        }
                        chosen.shown.insert(name.clone(), shown);
                    }
                    chosen.examples.insert(name, instances);
                    chosen.tasks.push(task);
                }
                Err(error @ DataError::NotFound { .. }) if self.allow_missing => eprintln!("coin: left out: {error}"),
                Err(error) => return Err(error).input(),
            }
        }
        Ok(())
    }
}
