//! Prints mean and spread over the seeds of several runs as Markdown tables.
//!
//! Command: `for s in 1 2 3; do coin demo --seed $s --out demo-$s; done`, then
//!          `cargo run --release -p coin-examples --example seed_table -- demo-1 demo-2 demo-3`
//! Input:   folders from `coin demo` or `coin score`, each with a `summary.json` of the same runs, including `cit` and `coin`.
//! Output:  tables by level, task group and task. For each run they give the mean accuracy over seeds ± the standard
//!          deviation between seeds, in percent, and the paired difference coin - cit with its 95 % interval (Student's t
//!          over seeds). Tables of unparsable answers, spread over instructions, and cosines follow. A second, 10 MB.

use std::path::Path;

use anyhow::{Context, Result, bail};
use coin::eval::metrics::{AVERAGE, Measures};
use coin::eval::{RunSummary, Summary};

/// Two-sided 5 % points of Student's t for 1, 2, .. degrees of freedom.
const POINTS: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

fn main() -> Result<()> {
    let folders: Vec<String> = std::env::args().skip(1).collect();
    if !(1..=POINTS.len() + 1).contains(&folders.len()) {
        bail!("expected the folders of 1 to {} runs", POINTS.len() + 1);
    }
    let summaries = folders
        .iter()
        .map(|folder| Summary::read(Path::new(folder).join("summary.json")).with_context(|| folder.clone()))
        .collect::<Result<Vec<_>>>()?;
    let runs: Vec<String> = summaries[0].runs.iter().map(|run| run.name.clone()).collect();
    println!("seeds: {}\n", summaries.len());
    header("level", &runs);
    for level in summaries[0].levels() {
        row(level, &summaries, &runs, |run| Some(run.level(level)?.accuracy))?;
    }
    println!();
    header("task group", &runs);
    for group in summaries[0].groups() {
        row(group, &summaries, &runs, |run| Some(run.group(group, AVERAGE)?.accuracy))?;
    }
    println!();
    header("task, all levels", &runs);
    let tasks: Vec<&str> = summaries[0].runs[0].tasks.iter().map(|row| row.task.as_str()).collect();
    for (_, task) in tasks.iter().enumerate().filter(|(at, task)| !tasks[..*at].contains(*task)) {
        row(task, &summaries, &runs, |run| mean_over_levels(run, task))?;
    }
    levels("unparsable, %", &summaries, &runs, 100.0, 1, |measures| Some(measures.unparsable));
    levels("standard deviation over instructions, %", &summaries, &runs, 100.0, 1, |measures| Some(measures.std));
    levels("cosine to clean", &summaries, &runs, 1.0, 3, |measures| measures.cosine);
    Ok(())
}

/// The mean accuracy of a task over all levels.
fn mean_over_levels(run: &RunSummary, task: &str) -> Option<f64> {
    let accuracies: Vec<f64> =
        run.tasks.iter().filter(|row| row.task == task).map(|row| row.measures.accuracy).collect();
    (!accuracies.is_empty()).then(|| accuracies.iter().sum::<f64>() / accuracies.len() as f64)
}

/// Prints a table of another metric by level, without the levels that lack it.
fn levels(
    title: &str,
    summaries: &[Summary],
    runs: &[String],
    scale: f64,
    digits: usize,
    of: impl Fn(&Measures) -> Option<f64>,
) {
    println!();
    println!("| {title} |{}", runs.iter().map(|run| format!(" {run} |")).collect::<String>());
    println!("|---|{}", "---|".repeat(runs.len()));
    for level in summaries[0].levels() {
        let cells: Option<Vec<String>> = runs
            .iter()
            .map(|name| Some(cell(&values(summaries, name, |run| of(run.level(level)?))?, scale, digits)))
            .collect();
        if let Some(cells) = cells {
            println!("| {level} | {} |", cells.join(" | "));
        }
    }
}

fn header(title: &str, runs: &[String]) {
    println!("| {title} |{} coin - cit |", runs.iter().map(|run| format!(" {run} |")).collect::<String>());
    println!("|---|{}---|", "---|".repeat(runs.len()));
}

fn row(title: &str, summaries: &[Summary], runs: &[String], of: impl Fn(&RunSummary) -> Option<f64>) -> Result<()> {
    let accuracy =
        |name: &str| values(summaries, name, &of).with_context(|| format!("a summary lacks {name}, {title}"));
    let mut cells = Vec::new();
    for name in runs {
        cells.push(cell(&accuracy(name)?, 100.0, 1));
    }
    let differences: Vec<f64> = accuracy("coin")?.iter().zip(accuracy("cit")?).map(|(coin, cit)| coin - cit).collect();
    cells.push(format!("{}{}", cell(&differences, 100.0, 1), interval(&differences, 100.0)));
    println!("| {title} | {} |", cells.join(" | "));
    Ok(())
}

fn values(summaries: &[Summary], name: &str, of: impl Fn(&RunSummary) -> Option<f64>) -> Option<Vec<f64>> {
    summaries.iter().map(|summary| of(summary.runs.iter().find(|run| run.name == name)?)).collect()
}

/// Formats the mean and, for several values, the sample standard deviation.
fn cell(values: &[f64], scale: f64, digits: usize) -> String {
    let (mean, deviation) = mean_and_deviation(values);
    match values.len() {
        1 => format!("{:.digits$}", mean * scale),
        _ => format!("{:.digits$} ± {:.digits$}", mean * scale, deviation * scale),
    }
}

/// Formats Student's 95 % interval of the mean; empty for a single value.
fn interval(values: &[f64], scale: f64) -> String {
    let Some(freedom) = values.len().checked_sub(1).filter(|freedom| *freedom > 0) else { return String::new() };
    let (mean, deviation) = mean_and_deviation(values);
    let half = POINTS[freedom - 1] * deviation / (values.len() as f64).sqrt();
    format!(" [{:+.1}, {:+.1}]", (mean - half) * scale, (mean + half) * scale)
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt())
}
