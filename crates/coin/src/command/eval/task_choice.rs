//! Which tasks are evaluated, and their examples.

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

/// Tasks of GLUE, and tasks of the user's own.
#[derive(Debug, Args)]
pub struct TaskChoice {
    /// GLUE folder, DIR/{CoLA,SST-2,..}/dev.tsv and other forms, or a data set on the hub, such as `nyu-mll/glue`.
    #[arg(long)]
    glue: Option<String>,
    /// Tasks of GLUE, comma separated; all ten where absent.
    #[arg(long, value_delimiter = ',', requires = "glue")]
    tasks: Vec<String>,
    /// A task of your own: a TOML file with its definition and the place of its examples. May be given more than once.
    #[arg(long = "task-file", value_name = "FILE")]
    task_files: Vec<PathBuf>,
    /// Reports tasks of GLUE whose files are absent instead of failing.
    #[arg(long)]
    allow_missing: bool,
    /// Leaves out rows of the data that cannot be read and counts them, instead of refusing the file.
    #[arg(long)]
    skip_bad: bool,
}

/// Tasks with their examples.
pub struct Chosen {
    /// The tasks, in the order in which they are run.
    pub tasks: Vec<Task>,
    /// The examples that are evaluated, by task.
    pub examples: BTreeMap<String, Vec<Instance>>,
    /// The examples that demonstrations are drawn from, by task, where demonstrations are asked for.
    pub shown: BTreeMap<String, Vec<Instance>>,
    /// The GLUE folder, as it was given.
    pub glue: Option<String>,
    /// The files of the user's own tasks.
    pub task_files: Vec<PathBuf>,
    /// How many rows of the evaluated split were left out, by task, where any were.
    pub skipped: BTreeMap<String, usize>,
}

impl Chosen {
    /// Tells which rows of `task` were left out; those of the evaluated split are kept for the summary too.
    fn note_skipped(&mut self, task: &str, split: Split, report: &ReadReport) {
        say_skipped(task, report);
        if split == Split::Validation && report.skipped_count > 0 {
            self.skipped.insert(task.to_owned(), report.skipped_count);
        }
    }
}

impl TaskChoice {
    /// Reads the examples, and those of the split `shots_from` for demonstrations.
    pub fn read(&self, offline: bool, shots_from: Option<Split>) -> Result<Chosen, Failure> {
        if self.glue.is_none() && self.task_files.is_empty() {
            return bad_input("--glue or --task-file is needed: they say what is evaluated");
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
                return bad_input(format!("--task-file {path}: there is a task `{name}` already"));
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
                        let hint = "demonstrations come from the training split; --shots-from validation takes others";
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
