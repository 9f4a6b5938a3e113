//! `coin report`

use std::path::{Path, PathBuf};

use clap::Args;
use coin::core::quote::cut;
use coin::eval::folder::{self, Evaluated};
use coin::eval::{Bootstrap, Summary};
use coin::learning_curves;
use coin::report::{Curve, Report};

use super::model_arguments::warn;
use super::{check_intervals, check_out, shown};
use crate::failure::{Failure, OrFail, bad_input};

/// Arguments of `coin report`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folders of evaluations and demos (`summary.json`) and of training runs (`metrics.jsonl`), or summary files. All are
    /// shown side by side.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Name of a run in the report, given once for each path [default: the name in its summary].
    #[arg(long = "name")]
    names: Vec<String>,
    /// File to write, .html or .md.
    #[arg(long)]
    out: PathBuf,
    /// Bootstrap draws for tests between runs, 40 to 1,000,000; 0 for none.
    #[arg(long, default_value_t = Bootstrap::default().replicates)]
    intervals: usize,
}

/// The format of a report.
enum Format {
    Html,
    Markdown,
}

impl Format {
    /// The format that the ending of a file's name selects.
    fn of(out: &Path) -> Result<Self, Failure> {
        match out.extension().and_then(|ending| ending.to_str()) {
            Some("html") => Ok(Format::Html),
            Some("md") => Ok(Format::Markdown),
            _ => bad_input(format!("--out {}: expected a name that ends in .html or .md", out.display())),
        }
    }
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        let format = Format::of(&self.out)?;
        check_out(&self.out, &[])?;
        check_intervals(self.intervals)?;
        if !self.names.is_empty() && self.names.len() != self.runs.len() {
            return bad_input(format!("--name is given {} times for {} runs", self.names.len(), self.runs.len()));
        }
        let mut merged: Option<Summary> = None;
        let mut curves: Vec<Curve> = Vec::new();
        let mut evaluated: Vec<Evaluated> = Vec::new();
        let mut settings = Vec::new();
        let mut files: Vec<PathBuf> = Vec::new();
        for (index, path) in self.runs.iter().enumerate() {
            let folder_name = name_of(path);
            let given = self.names.get(index);
            let trained = path.join(learning_curves::METRICS).is_file();
            if trained {
                let name = given.unwrap_or(&folder_name);
                if curves.iter().any(|curve| curve.run == *name) {
                    return taken(path, name);
                }
                curves.push(learning_curves::read(path, name).input()?);
            }
            let summary = if path.is_dir() { path.join("summary.json") } else { path.clone() };
            if trained && !summary.exists() {
                continue;
            }
            if !summary.exists() && path.join(folder::LEDGER).is_file() {
                let path = path.display();
                return bad_input(format!(
                    "{path}: the evaluation is not finished; resume it with the same `coin eval`, or score its ledger with `coin score`"
                ));
            }
            let read = std::fs::canonicalize(&summary).unwrap_or_else(|_| summary.clone());
            let mut summary = Summary::read(&summary).input()?;
            if files.contains(&read) {
                return bad_input(format!("{}: this summary is given twice", path.display()));
            }
            files.push(read);
            let several = summary.runs.len() > 1;
            for run in &mut summary.runs {
                let old = run.name.clone();
                // Each run of a demo has a folder with its name.
                let folder = if several { path.join(&run.name) } else { path.clone() };
                if let Some(name) = given {
                    run.name = if several { format!("{name}/{}", run.name) } else { name.clone() };
                }
                let is_taken = |name: &str| merged.iter().flat_map(|merged| &merged.runs).any(|run| run.name == name);
                if is_taken(&run.name) && !several && given.is_none() {
                    run.name.clone_from(&folder_name);
                }
                if is_taken(&run.name) {
                    return taken(path, &run.name);
                }
                for comparison in &mut summary.comparisons {
                    for name in [&mut comparison.before, &mut comparison.after] {
                        if *name == old {
                            name.clone_from(&run.name);
                        }
                    }
                }
                if !path.is_dir() {
                    continue;
                }
                // A curve has the name of its run, so that both have the same color.
                if folder != *path && folder.join(learning_curves::METRICS).is_file() {
                    curves.push(learning_curves::read(&folder, &run.name).input()?);
                }
                evaluated.extend(Evaluated::read(&folder, &run.name).input()?);
            }
            let name =
                if several { folder_name } else { summary.runs.first().map_or(folder_name, |run| run.name.clone()) };
            settings.push((name, summary.settings.clone()));
            match &mut merged {
                Some(merged) => {
                    merged.runs.extend(summary.runs);
                    merged.comparisons.extend(summary.comparisons);
                }
                None => merged = Some(summary),
            }
        }
        let mut summary = match merged {
            Some(merged) => merged,
            None => learning_curves::settings_only(&self.runs[0]).input()?,
        };
        if self.intervals > 0 {
            let bootstrap = Bootstrap { replicates: self.intervals, ..Bootstrap::default() };
            warn(&folder::compare(&mut summary, &evaluated, bootstrap));
        }
        let mut report = Report::of_runs(summary, curves, &evaluated).input()?;
        if settings.len() > 1 {
            report.settings = settings;
        }
        match format {
            Format::Html => report.write_html(&self.out).work()?,
            Format::Markdown => report.write_markdown(&self.out).work()?,
        }
        println!("report written to {}", shown(&self.out));
        Ok(())
    }
}

/// The name of a folder, and of the folder of a `summary.json`; for another file, its name without the extension.
fn name_of(path: &Path) -> String {
    let named = match path.parent() {
        Some(parent) if path.ends_with("summary.json") && !path.is_dir() => parent.file_name(),
        _ if path.is_dir() => path.file_name(),
        _ => path.file_stem(),
    };
    named.map_or("run".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The failure for two runs with the same name.
fn taken(path: &Path, name: &str) -> Result<(), Failure> {
    let (path, name) = (path.display(), cut(name));
    bad_input(format!("{path}: there is already a run called `{name}`; give --name once for each path"))
}
