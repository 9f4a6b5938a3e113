//! `coin pairs`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use coin::data::glue::{self, Split};
use coin::data::{PairBuilder, Task, TemplateSet, pairs};

use super::distinct;
use crate::failure::{Failure, OrFail, bad_input};

/// Sub-commands of `coin pairs`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Builds pairs from GLUE training rows and templates.
    Build(Build),
}

/// Arguments of `coin pairs build`.
#[derive(Debug, Args)]
pub struct Build {
    /// GLUE folder: DIR/{CoLA,SST-2,..}/train.tsv.
    #[arg(long)]
    data: PathBuf,
    /// Templates in FLAN's form; the demo's own where absent.
    #[arg(long)]
    templates: Option<PathBuf>,
    /// Tasks, comma separated.
    #[arg(long, value_delimiter = ',', default_value = "cola,sst2,rte")]
    tasks: Vec<String>,
    /// Pairs per task; even.
    #[arg(long, default_value_t = 1000)]
    pairs: usize,
    /// Seed of templates, negatives and order.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
}

impl Command {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Command::Build(arguments) => arguments.run(),
        }
    }
}

impl Build {
    fn run(self) -> Result<(), Failure> {
        if !self.data.is_dir() {
            return bad_input(format!(
                "--data {}: no such folder, expected one with GLUE's task folders",
                self.data.display()
            ));
        }
        if self.pairs == 0 {
            return bad_input("--pairs must be at least 2");
        }
        let templates = match &self.templates {
            Some(path) => TemplateSet::read(path).input()?,
            None => TemplateSet::demo(),
        };
        let builder = PairBuilder::new(&templates, self.seed);
        let mut lists = Vec::new();
        for name in &distinct(&self.tasks) {
            let task = Task::named(name).input()?;
            let instances = glue::read(&self.data, name, Split::Train).input()?;
            let (pairs, report) = builder.build(&task, &instances, self.pairs).input()?;
            eprintln!(
                "{name}: {} pairs from {} of {} rows, {} templates used, {} excluded",
                report.pairs, report.rows_used, report.rows, report.templates_used, report.templates_excluded
            );
            if report.pairs > report.rows_used {
                eprintln!("{name}: rows recur in several pairs; held-out pairs may share rows with training");
            }
            lists.push(pairs);
        }
        let all = pairs::interleave(lists, self.seed).input()?;
        pairs::write_jsonl(&self.out, &all).work()?;
        println!("{} pairs written to {}", all.len(), self.out.display());
        Ok(())
    }
}
