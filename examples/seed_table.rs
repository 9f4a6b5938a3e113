//! Mean and spread over seeds of several demo runs, as Markdown tables.
//!
//! Command: `for s in 1 2 3; do coin demo --seed $s --out demo-$s; done`, then
//!          `cargo run --release -p coin-examples --example seed_table -- demo-1 demo-2 demo-3`
//! Output:  one table by level and one by task group: per run the mean accuracy over the seeds ± the standard deviation
//!          between seeds, in per cent, and the paired difference coin - cit. A second, 10 MB.

use std::path::Path;

use anyhow::{Context, Result, bail};
use coin::eval::summary::{AVERAGE, Measures};
use coin::eval::{RunSummary, Summary};

fn main() -> Result<()> {
    let folders: Vec<String> = std::env::args().skip(1).collect();
    if folders.is_empty() {
        bail!("expected the folders of some demo runs");
    }
    let summaries = folders
        .iter()
        .map(|folder| Summary::read(Path::new(folder).join("summary.json")).with_context(|| folder.clone()))
        .collect::<Result<Vec<_>>>()?;
    let runs: Vec<String> = summaries[0].runs.iter().map(|run| run.name.clone()).collect();
    println!("{} seeds\n", summaries.len());
    header("level", &runs);
    for level in summaries[0].levels() {
        row(level, &summaries, &runs, |run| run.level(level))?;
    }
    println!();
    header("task group", &runs);
    for group in summaries[0].groups() {
        row(group, &summaries, &runs, |run| run.group(group, AVERAGE))?;
    }
    println!();
    println!("| cosine to clean |{}", runs.iter().map(|run| format!(" {run} |")).collect::<String>());
    println!("|---|{}", "---|".repeat(runs.len()));
    for level in summaries[0].levels() {
        let cells: Option<Vec<String>> = runs
            .iter()
            .map(|name| Some(cell(&values(&summaries, name, |run| run.level(level)?.cosine)?, 1.0, 3)))
            .collect();
        if let Some(cells) = cells {
            println!("| {level} | {} |", cells.join(" | "));
        }
    }
    Ok(())
}

fn header(title: &str, runs: &[String]) {
    println!("| {title} |{} coin - cit |", runs.iter().map(|run| format!(" {run} |")).collect::<String>());
    println!("|---|{}---|", "---|".repeat(runs.len()));
}

fn row(
    title: &str,
    summaries: &[Summary],
    runs: &[String],
    of: impl Fn(&RunSummary) -> Option<&Measures>,
) -> Result<()> {
    let accuracy = |name: &str| {
        values(summaries, name, |run| Some(of(run)?.accuracy))
            .with_context(|| format!("a summary lacks {name}, {title}"))
    };
    let mut cells = Vec::new();
    for name in runs {
        cells.push(cell(&accuracy(name)?, 100.0, 1));
    }
    let differences: Vec<f64> = accuracy("coin")?.iter().zip(accuracy("cit")?).map(|(coin, cit)| coin - cit).collect();
    cells.push(cell(&differences, 100.0, 1));
    println!("| {title} | {} |", cells.join(" | "));
    Ok(())
}

fn values(summaries: &[Summary], name: &str, of: impl Fn(&RunSummary) -> Option<f64>) -> Option<Vec<f64>> {
    summaries.iter().map(|summary| of(summary.runs.iter().find(|run| run.name == name)?)).collect()
}

/// Mean and sample standard deviation.
fn cell(values: &[f64], scale: f64, digits: usize) -> String {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let deviation = (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt();
    format!("{:.digits$} ± {:.digits$}", mean * scale, deviation * scale)
}
