//! `coin report`

use std::path::PathBuf;

use clap::Args;
use coin::eval::{Curve, Report, Summary};
use coin::learning_curves;

use crate::failure::{Failure, OrFail, bad_input};

/// Arguments of `coin report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folders of evaluations and demos (`summary.json`) and of training runs (`metrics.jsonl`), or such summaries; all are
    /// shown side by side.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// File to write: HTML or Markdown by its ending.
    #[arg(long)]
    out: PathBuf,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let mut merged: Option<Summary> = None;
        let mut curves: Vec<Curve> = Vec::new();
        for path in &self.runs {
            let trained = path.join(learning_curves::METRICS).is_file();
            if trained {
                let name = path.file_name().map_or("run".to_owned(), |name| name.to_string_lossy().into_owned());
                curves.push(learning_curves::read(path, &name).input()?);
            }
            let summary = if path.is_dir() { path.join("summary.json") } else { path.clone() };
            if trained && !summary.exists() {
                continue;
            }
            let summary = Summary::read(&summary).input()?;
            // A demo's runs were trained in folders of their names.
            for run in summary.runs.iter().filter(|_| path.is_dir()) {
                let folder = path.join(&run.name);
                if folder.join(learning_curves::METRICS).is_file() {
                    curves.push(learning_curves::read(&folder, &run.name).input()?);
                }
            }
            match &mut merged {
                Some(merged) => merged.runs.extend(summary.runs),
                None => merged = Some(summary),
            }
        }
        let summary = match merged {
            Some(merged) => merged,
            None => learning_curves::settings_only(&self.runs[0]).input()?,
        };
        let report = Report { curves, ..Report::new(summary) };
        match self.out.extension().and_then(|ending| ending.to_str()) {
            Some("html") => report.write_html(&self.out).work()?,
            Some("md") => report.write_markdown(&self.out).work()?,
            _ => return bad_input(format!("--out {}: expected a name that ends in .html or .md", self.out.display())),
        }
        println!("report written to {}", self.out.display());
        Ok(())
    }
}
