//! The report: one page that shows a summary, as HTML or Markdown.
//!
//! The HTML page needs no other file and no script: its style and its figures (SVG) are part of it. It follows the reader's
//! light or dark scheme, fits a phone, and prints. Changes are shown as they are, whichever run they favor. `docs/report.md`
//! says what each part shows and how to read it.

mod bars;
#[cfg(test)]
mod contrast;
mod cosine;
mod curves;
mod elements;
mod evaluation;
mod flips;
mod frame;
mod headline;
mod heatmap;
mod html;
mod maps;
mod markdown;
mod notes;
mod settings;
mod spread;
mod svg;
mod tables;

use std::path::Path;

use coin_analysis::StateMap;
use serde_json::{Map as JsonMap, Value};

use crate::EvalError;
use crate::flips::Flips;
use crate::summary::Summary;

/// What one run measured while it was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The run's name; the color is that of the run of this name in the summary.
    pub run: String,
    /// In the order of the steps.
    pub points: Vec<CurvePoint>,
    /// Evaluations on held-out pairs, in the order of the steps; may be empty.
    pub held_out: Vec<HeldOutPoint>,
}

/// What one optimizer step measured on its own batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The step, from 0.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Contrastive loss before its weight, in nats; none where the run has none, or the step no negative.
    pub loss_contrastive: Option<f64>,
    /// Share of pairs whose positive ranks first.
    pub accuracy: Option<f64>,
    /// Mean cosine of positives.
    pub similarity_positive: Option<f64>,
    /// Mean cosine of negatives.
    pub similarity_negative: Option<f64>,
}

/// One evaluation on held-out pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutPoint {
    /// Optimizer steps done before it.
    pub step: u64,
    /// Generation loss, in nats per token.
    pub loss_generation: f64,
    /// Share of pairs whose positive ranks first; none where no pair has a negative.
    pub accuracy: Option<f64>,
}

/// Everything a report can show. All but the summary may be empty; what is empty has no section.
///
/// ```
/// use coin_eval::report::{Curve, CurvePoint, Report};
/// use coin_eval::Summary;
///
/// let point = CurvePoint {
///     step: 0, loss_generation: 2.5, loss_contrastive: None, accuracy: None, similarity_positive: None,
///     similarity_negative: None,
/// };
/// let curve = Curve { run: "cit".to_owned(), points: vec![point], held_out: Vec::new() };
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("report.html");
/// let summary = Summary::new(serde_json::Map::new(), Vec::new());
/// Report { curves: vec![curve], ..Report::new(summary) }.write_html(&path)?;
/// assert!(std::fs::read_to_string(path)?.contains("Learning curves"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    /// The metrics; one without runs gives a report of curves alone.
    pub summary: Summary,
    /// What was measured in training.
    pub curves: Vec<Curve>,
    /// Answers that change under perturbed instructions, of the same runs as the summary's.
    pub flips: Flips,
    /// Maps of hidden states.
    pub maps: Vec<StateMap>,
    /// Name and settings of several runs, shown side by side; where empty, the summary's settings are shown.
    pub settings: Vec<(String, JsonMap<String, Value>)>,
}

impl Report {
    /// A report of `summary` alone.
    pub fn new(summary: Summary) -> Report {
        Report { summary, curves: Vec::new(), flips: Flips::default(), maps: Vec::new(), settings: Vec::new() }
    }

    /// Writes the report as one self-contained HTML page.
    ///
    /// # Errors
    /// [`EvalError::Invalid`] if there is neither run nor curve; [`EvalError::Io`] if the file cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        self.write(path.as_ref(), html::page)
    }

    /// Writes the report as Markdown: the tables and the examples, without figures.
    ///
    /// # Errors
    /// As [`write_html`](Self::write_html).
    pub fn write_markdown(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        self.write(path.as_ref(), markdown::page)
    }

    fn write(&self, path: &Path, page: fn(&Report) -> String) -> Result<(), EvalError> {
        if self.summary.runs.is_empty() && self.curves.iter().all(|curve| curve.points.is_empty()) {
            return Err(EvalError::Invalid("there is no run to report".to_owned()));
        }
        let page = page(self);
        coin_core::file::replace(path, |file| file.write_all(page.as_bytes())).map_err(EvalError::io(path))
    }
}

#[cfg(test)]
#[path = "../tests/synthetic/mod.rs"]
pub(crate) mod synthetic;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(report: &Report) -> String {
        let folder = tempfile::tempdir().unwrap();
        report.write_html(folder.path().join("report.html")).unwrap();
        std::fs::read_to_string(folder.path().join("report.html")).unwrap()
    }

    #[test]
    fn html_is_self_contained_and_shows_every_part() {
        let page = written(&synthetic::report());
        for outside in ["http://", "https://", "src=", "@import", "url(", "<link", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
        for part in ["prefers-color-scheme", "@media print", "mnli_mismatched", "coin\u{a0}−\u{a0}cit", "≠ lora.rank"]
        {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert_eq!(page.matches("<figure").count(), page.matches("<figcaption").count());
        assert!(!page.contains("NaN"));
        assert!(page.len() < 1_500_000, "{} bytes", page.len());
        let levels: Vec<usize> = page
            .match_indices("<h")
            .filter_map(|(at, _)| page[at + 2..].chars().next()?.to_digit(10))
            .map(|d| d as usize)
            .collect();
        assert!(
            levels[0] == 1 && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1),
            "headings in order: {levels:?}"
        );
    }

    #[test]
    fn names_are_shown_as_text() {
        let mut report = synthetic::report();
        let name = "<b>&|`*x*\u{1b}[1m\n# y".to_owned();
        let summary = &mut report.summary;
        for of in summary.comparisons.iter_mut().flat_map(|compared| [&mut compared.before, &mut compared.after]) {
            if *of == summary.runs[2].name {
                of.clone_from(&name);
            }
        }
        summary.runs[2].name.clone_from(&name);
        for cell in summary.runs.iter_mut().flat_map(|run| &mut run.tasks) {
            cell.task = format!("<i>|{}", cell.task);
        }
        for row in summary.runs.iter_mut().flat_map(|run| &mut run.levels).filter(|row| row.level == "semantic") {
            row.level = "<u>\n## level".to_owned();
        }
        report.settings[1].0.clone_from(&name);
        report.curves[0].run.clone_from(&name);
        report.flips.examples[0].run.clone_from(&name);
        let page = html::page(&report);
        assert!(!page.contains("<b>") && !page.contains("<i>") && !page.contains("<u>") && !page.contains('\u{1b}'));
        let text = markdown::page(&report);
        assert!(!text.contains("\u{1b}") && text.contains("\\<b\\>\\&\\|\\`\\*x\\*\\\\u{1b}\\[1m \\# y"), "{text}");
        for line in text.lines() {
            assert!(!line.starts_with("# y") && !line.starts_with("## level"), "{line}");
            for (at, mark) in line.match_indices(['<', '`', '*']) {
                let alone = mark == "<" && line[at + 1..].starts_with(' ');
                // Examples are set in bold by the report itself.
                let ours = mark == "*" && line.starts_with("- **");
                assert!(alone || ours || line[..at].ends_with('\\'), "{line}");
            }
            let bars = line.match_indices('|').filter(|(at, _)| !line[..*at].ends_with('\\'));
            assert!(line.starts_with("| ") || bars.count() == 0, "{line}");
        }
    }

    #[test]
    fn a_single_run_without_cosines_is_reported_too() {
        let mut report = Report::new(synthetic::summary());
        report.summary.runs.truncate(1);
        for row in &mut report.summary.runs[0].levels {
            row.measures.cosine = None;
        }
        let page = html::page(&report);
        assert!(page.contains("base: ") && !page.contains("Cosine by level"));
        assert!(page.contains("objective.temperature"));
        assert!(markdown::page(&report).contains("## By perturbation level"));
    }

    #[test]
    fn curves_alone_are_a_report() {
        let mut report = Report::new(synthetic::summary());
        report.summary.runs.clear();
        assert!(report.write_html("never.html").unwrap_err().to_string().contains("no run"));
        report.curves = synthetic::curves();
        let page = written(&report);
        assert!(page.contains("Training only") && page.contains("<circle class=\"r1\"") && !page.contains("NaN"));
        assert!(markdown::page(&report).contains("| coin | 199 |"));
    }

    #[test]
    fn markdown_has_the_tables_and_the_examples() {
        let folder = tempfile::tempdir().unwrap();
        synthetic::report().write_markdown(folder.path().join("report.md")).unwrap();
        let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        for part in ["## By task group", "only coin breaks", "### character", "silhouette by level", "≠ lora.rank"] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn the_headline_shows_losses_as_losses() {
        let mut summary = synthetic::summary();
        summary.runs.swap(1, 2);
        let text = headline::headline(&summary);
        assert!(text.starts_with("cit: ") && text.contains("(change −"), "{text}");
    }
}
