//! The report as Markdown: the same tables, without figures.

use coin_eval::Summary;

use super::headline::headline;
use super::{flips, notes};
use crate::report::Report;
use crate::table::{Table, markdown_text};
use crate::tables::{self, Form};

pub(crate) fn page(report: &Report) -> String {
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
        let counts = tables::counts(&report.flips).to_markdown();
        let contrasts =
            tables::contrasts(&report.flips).map_or(String::new(), |table| format!("\n{}", table.to_markdown()));
        section("Answers that change with the wording", &format!("{counts}{contrasts}"), flips::NOTE);
        if !report.flips.examples.is_empty() {
            let examples = flips::markdown_examples(&report.flips);
            section("Examples of changed answers", &format!("{}\n{examples}", flips::EXAMPLES), "");
        }
    }
    if let Some(silhouettes) = tables::silhouettes(&report.maps) {
        section("Silhouettes of hidden states", &silhouettes.to_markdown(), "");
    }
    if !report.curves.is_empty() {
        section("Losses at the last step", &tables::last_steps(&report.curves).to_markdown(), "");
    }
    section("Settings", &tables::settings(report).to_markdown(), notes::SETTINGS);
    text
}

/// Returns the sections of the evaluation.
fn evaluation(summary: &Summary) -> String {
    let mut text = format!("# Robustness to perturbed instructions\n\n{}\n", markdown_text(&headline(summary)));
    let mut section = |title: &str, table: &Table, note: &str| {
        let (title, note) = (markdown_text(title), markdown_text(note));
        text.push_str(&format!("\n## {title}\n\n{}\n{note}\n", table.to_markdown()));
    };
    section("By perturbation level", &tables::accuracy_by_level(summary, Form::Page), &notes::levels(summary));
    section("Change from clean", &tables::changes(summary), notes::CHANGES);
    section("Robustness", &tables::robustness(summary), notes::ROBUSTNESS);
    for compared in &summary.comparisons {
        let title = format!("{} compared with {}", compared.after, compared.before);
        section(&title, &tables::comparison_by_level(compared, Form::Page), &notes::comparison(compared));
    }
    section("By task group", &tables::accuracy_by_group(summary, Form::Page), notes::GROUPS);
    for run in &summary.runs {
        section(&format!("{} by task and level", run.name), &tables::accuracy_by_task(summary, run), notes::TASKS);
    }
    if let Some(cosines) = tables::cosines(summary) {
        section("Cosine by level", &cosines, notes::COSINES);
    }
    let reliability = tables::reliability(summary);
    section("Unparsable answers, near-ties, shortened prompts", &reliability, notes::RELIABILITY);
    text
}
