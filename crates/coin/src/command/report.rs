//! `coin report`

use std::path::PathBuf;

use clap::Args;
use coin::eval::{Summary, report};

use crate::failure::{Failure, OrFail, bad_input};

/// Arguments of `coin report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folders with a `summary.json`, or such files; their runs are shown side by side.
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
        for path in &self.runs {
            let path = if path.is_dir() { path.join("summary.json") } else { path.clone() };
            let summary = Summary::read(&path).input()?;
            match &mut merged {
                Some(merged) => merged.runs.extend(summary.runs),
                None => merged = Some(summary),
            }
        }
        let Some(summary) = merged else { return bad_input("no summary given") };
        match self.out.extension().and_then(|ending| ending.to_str()) {
            Some("html") => report::write_html(&self.out, &summary, &[]).work()?,
            Some("md") => report::write_markdown(&self.out, &summary, &[]).work()?,
            _ => return bad_input(format!("--out {}: expected a name that ends in .html or .md", self.out.display())),
        }
        println!("report written to {}", self.out.display());
        Ok(())
    }
}
