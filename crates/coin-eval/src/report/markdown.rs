//! The report as Markdown: the same tables, without figures.

use super::headline::headline;
use super::{Curve, Report, flips, html, maps, notes, settings, tables};
use crate::summary::Summary;
use crate::table::{self, Grid, markdown_text};

pub(super) fn page(report: &Report) -> String {
    let summary = &report.summary;
    let mut text = match summary.runs.is_empty() {
        true => format!("# Learning curves\n\n{}\n", markdown_text(&headline(summary))),
        false => evaluation(summary),
    };
    let mut section = |title: &str, content: &str, note: &str| {
        let note = if note.is_empty() { String::new() } else { format!("\n{note}\n") };
        text.push_str(&format!("\n## {}\n\n{content}{note}", markdown_text(title)));
    };
    if !report.flips.counts.is_empty() {
        let counts = flips::counts(&report.flips).to_markdown();
        let contrasts =
            flips::contrasts(&report.flips).map_or(String::new(), |grid| format!("\n{}", grid.to_markdown()));
        section("Answers that change with the wording", &format!("{counts}{contrasts}"), flips::NOTE);
        if !report.flips.examples.is_empty() {
            let examples = flips::markdown_examples(&report.flips);
            section("Examples of changed answers", &format!("{}\n{examples}", flips::EXAMPLES), "");
        }
    }
    if let Some(silhouettes) = maps::silhouettes(&report.maps) {
        section("Silhouettes of hidden states", &silhouettes.to_markdown(), "");
    }
    if !report.curves.is_empty() {
        section("Losses at the last step", &last_steps(&report.curves).to_markdown(), "");
    }
    section("Settings", &settings::grid(report).to_markdown(), html::SETTINGS);
    text
}

/// What the evaluation found.
fn evaluation(summary: &Summary) -> String {
    let mut text = format!("# Robustness to perturbed instructions\n\n{}\n", markdown_text(&headline(summary)));
    let mut section = |title: &str, grid: &Grid, note: &str| {
        let (title, note) = (markdown_text(title), markdown_text(note));
        text.push_str(&format!("\n## {title}\n\n{}\n{note}\n", grid.to_markdown()));
    };
    section("By perturbation level", &tables::accuracies(summary), &notes::levels(summary));
    section("Change from clean", &tables::changes(summary), notes::CHANGES);
    section("Robustness", &tables::robustness(summary), notes::ROBUSTNESS);
    for compared in &summary.comparisons {
        let title = format!("{} compared with {}", compared.after, compared.before);
        section(&title, &tables::tests_by_level(compared), &notes::comparison(compared));
    }
    section("By task group", &tables::group_accuracies(summary), notes::GROUPS);
    for run in &summary.runs {
        section(&format!("{} by task and level", run.name), &table::tasks(summary, run), notes::TASKS);
    }
    if let Some(cosines) = tables::cosines(summary) {
        section("Cosine by level", &cosines, notes::COSINES);
    }
    let reliability = tables::reliability(summary);
    section("Unparsable answers, near-ties, shortened prompts", &reliability, notes::RELIABILITY);
    text
}

/// The last step of every run.
pub(super) fn last_steps(curves: &[Curve]) -> Grid {
    let columns = [
        "run",
        "step",
        "generation (nats per token)",
        "contrastive (nats)",
        "ranked first (%)",
        "cosine positive",
        "cosine negative",
    ];
    let show = |value: Option<f64>, factor: f64, decimals: usize| {
        value.map_or("–".to_owned(), |value| format!("{:.decimals$}", value * factor))
    };
    let row = |curve: &Curve| {
        let last = curve.points.last()?;
        Some(vec![
            curve.run.clone(),
            last.step.to_string(),
            format!("{:.3}", last.loss_generation),
            show(last.loss_contrastive, 1.0, 3),
            show(last.accuracy, 100.0, 1),
            show(last.similarity_positive, 1.0, 3),
            show(last.similarity_negative, 1.0, 3),
        ])
    };
    Grid { columns: columns.map(str::to_owned).to_vec(), rows: curves.iter().filter_map(row).collect() }
}
