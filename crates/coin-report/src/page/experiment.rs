//! The report of an experiment as a page and as Markdown.

use std::path::Path;

use coin_eval::metrics::{ExperimentSummary, PERTURBED, UNSEEN};
use coin_eval::{RunSummary, Summary};

use super::elements::Body;
use super::{html, notes};
use crate::error::ReportError;
use crate::experiment::ExperimentReport;
use crate::figures::curves;
use crate::report::Report;
use crate::table::{Cells, markdown_text};
use crate::tables;
use crate::tables::cells::{of_differences, percent, signed, three_decimals};

const DIFFERENCES: &str = "Each arm minus the baseline, in points, with the 95 % interval in brackets. P-values are adjusted for the number \
     of arms in parentheses (Holm), separately for each level.";

const SEEDS: &str = "Accuracy over the perturbed levels with each seed, and the difference from the baseline in parentheses. Differences \
     between seeds that are as large as the differences between arms mean that more seeds are needed.";

impl ExperimentReport {
    /// Writes the report as one self-contained HTML page.
    ///
    /// # Errors
    /// [`ReportError::Io`] if the file cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        write(path.as_ref(), &html(self))
    }

    /// Writes the tables as Markdown.
    ///
    /// # Errors
    /// [`ReportError::Io`] if the file cannot be written.
    pub fn write_markdown(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        write(path.as_ref(), &markdown(&self.summary))
    }
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    coin_core::file::replace(path, |file| file.write_all(text.as_bytes()))
        .map_err(|source| ReportError::Io { path: path.to_owned(), source })
}

/// The whole report as HTML.
fn html(report: &ExperimentReport) -> String {
    let summary = &report.summary;
    let mut body = Body::default();
    body.section("Arms", &tables::arms(summary).to_html("arms", Cells::Signed), &about(summary));
    body.section(
        "Differences by level",
        &tables::arm_differences(summary).to_html("differences by level", Cells::Plain),
        DIFFERENCES,
    );
    body.section("Seeds", &tables::arms_by_seed(summary).to_html("seeds", Cells::Plain), SEEDS);
    if report.curves.iter().any(|curve| !curve.points.is_empty()) {
        // The arms are the runs of the figure, so that each has its color.
        let run = |name: &String| RunSummary {
            name: name.clone(),
            bootstrap: None,
            tasks: Vec::new(),
            levels: Vec::new(),
            groups: Vec::new(),
        };
        let runs = report.curves.iter().map(|curve| run(&curve.run)).collect();
        let colors = Summary::new(serde_json::Map::new(), runs);
        body.figure(
            "Learning curves",
            &curves::figure(&colors, &report.curves),
            &format!(
                "The runs with seed {}. Lines: each optimizer step, on its own batch. Dots: held-out pairs.",
                summary.seeds.first().copied().unwrap_or_default()
            ),
        );
    }
    let settings = Report {
        settings: report.settings.clone(),
        ..Report::new(Summary {
            tool_version: summary.tool_version.clone(),
            ..Summary::new(summary.settings.clone(), Vec::new())
        })
    };
    body.section("Settings", &tables::settings(&settings).to_html("settings", Cells::Text), notes::SETTINGS);
    let names = summary.arms.iter().map(|arm| arm.name.as_str()).collect::<Vec<_>>().join(", ");
    let title = format!("Experiment {}", summary.name);
    let about = format!("{names} · {}", seeds(summary));
    html::document(&title, &names, &about, &summary.tool_version, &headline(summary), &body.finish())
}

/// The tables as Markdown.
fn markdown(summary: &ExperimentSummary) -> String {
    let mut text = format!("# Experiment {}\n\n{}\n", markdown_text(&summary.name), markdown_text(&headline(summary)));
    for (title, table, note) in [
        ("Arms", tables::arms(summary), about(summary)),
        ("Differences by level", tables::arm_differences(summary), DIFFERENCES.to_owned()),
        ("Seeds", tables::arms_by_seed(summary), SEEDS.to_owned()),
    ] {
        text.push_str(&format!("\n## {title}\n\n{}\n{}\n", table.to_markdown(), markdown_text(&note)));
    }
    text
}

fn seeds(summary: &ExperimentSummary) -> String {
    let seeds: Vec<String> = summary.seeds.iter().map(ToString::to_string).collect();
    format!("{} {}", if seeds.len() == 1 { "seed" } else { "seeds" }, seeds.join(", "))
}

/// The result in short: one clause for each arm, gains and losses alike. Levels that were never trained on come first.
fn headline(summary: &ExperimentSummary) -> String {
    let mut clauses = Vec::new();
    for arm in &summary.arms {
        // Without training on a level, both rows are the same.
        let alike = arm.row(UNSEEN).map(|row| &row.levels) == arm.row(PERTURBED).map(|row| &row.levels);
        let rows = [(UNSEEN, "levels never trained on"), (PERTURBED, "perturbed instructions")];
        for (level, what) in &rows[usize::from(alike)..] {
            let Some((row, found)) = arm.row(level).and_then(|row| Some((row, row.difference.as_ref()?))) else {
                continue;
            };
            let p = three_decimals(found.accuracy_p.holm.unwrap_or(found.accuracy_p.value));
            let p = if p.starts_with('<') { format!("p {p}") } else { format!("p = {p}") };
            clauses.push(format!(
                "{}: {} % under {what}, {} points compared with {} (95 % interval {}, {p}).",
                arm.name,
                percent(row.accuracy),
                signed(found.accuracy),
                summary.baseline,
                of_differences(found.accuracy_interval),
            ));
        }
    }
    match clauses.is_empty() {
        true => format!("One arm: {}.", summary.baseline),
        false => clauses.join(" "),
    }
}

/// The note below the main table.
fn about(summary: &ExperimentSummary) -> String {
    let trained = summary.arms.iter().any(|arm| !arm.trained_levels.is_empty());
    let mut note = format!(
        "Accuracy in percent, mean over {} and over tasks. Perturbed: mean over all levels except clean. Spread: population standard \
         deviation over the instructions of a task; worst instruction: the lowest accuracy under any one instruction; both are means over \
         the perturbed levels. Difference from {}: over the perturbed levels, with a 95 % interval over seeds, instructions and examples; \
         the p-value in parentheses is adjusted for the number of arms (Holm).",
        seeds(summary),
        summary.baseline
    );
    if trained {
        note.push_str(
            " †: the arm was trained with attacks of this level. Unseen: mean over the perturbed levels whose attacks neither the arm \
             nor the baseline was trained with.",
        );
    }
    if summary.seeds.len() < 3 {
        note.push_str(" With fewer than three seeds, the interval says little about other seeds.");
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::example;
    use crate::synthetic;

    #[test]
    fn page_and_markdown_have_every_arm() {
        let report = ExperimentReport {
            summary: example(),
            curves: synthetic::curves(),
            settings: vec![("cit".to_owned(), serde_json::Map::new()), ("coin".to_owned(), serde_json::Map::new())],
        };
        let page = html(&report);
        for part in
            ["<h1>Experiment small</h1>", "Learning curves", "seeds 1, 2", "coin: 70.0 % under perturbed", "p = 0.020"]
        {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        assert!(!page.contains("http") && !page.contains("NaN"));
        let text = markdown(&report.summary);
        assert!(text.contains("## Arms\n\n| arm | clean |") && text.contains("fewer than three seeds"), "{text}");
    }

    #[test]
    fn names_are_shown_as_text() {
        let mut summary = example();
        summary.name = "<b>".to_owned();
        summary.arms[1].name = "<i>|x".to_owned();
        let report = ExperimentReport { summary, curves: Vec::new(), settings: Vec::new() };
        let page = html(&report);
        assert!(!page.contains("<b>") && !page.contains("<i>"));
        assert!(markdown(&report.summary).contains("\\<i\\>\\|x"), "{}", markdown(&report.summary));
    }
}
