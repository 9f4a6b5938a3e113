//! The report as a page: its sections, as HTML and as Markdown.
//!
//! The HTML page needs no other file and no script: its style and its figures (SVG) are part of it. It follows the reader's
//! light or dark scheme, fits a phone screen, and can be printed. Gains and losses are shown alike, whichever run they favor.
//! `docs/report.md` describes each part and how to read it.

#[cfg(test)]
mod contrast;
mod elements;
mod evaluation;
mod experiment;
mod flips;
mod headline;
mod html;
mod markdown;
mod notes;

use std::path::Path;

use crate::error::ReportError;
use crate::report::Report;

impl Report {
    /// Writes the report as one self-contained HTML page.
    ///
    /// # Errors
    /// [`ReportError::Empty`] if there is neither a run nor a curve, and [`ReportError::Io`] if the file cannot be written.
    pub fn write_html(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        self.write(path.as_ref(), html::page)
    }

    /// Writes the tables and examples of the report as Markdown, without figures.
    ///
    /// # Errors
    /// The same as for [`write_html`](Self::write_html).
    pub fn write_markdown(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        self.write(path.as_ref(), markdown::page)
    }

    fn write(&self, path: &Path, page: fn(&Report) -> String) -> Result<(), ReportError> {
        if self.summary.runs.is_empty() && self.curves.iter().all(|curve| curve.points.is_empty()) {
            return Err(ReportError::Empty);
        }
        let page = page(self);
        coin_core::file::replace(path, |file| file.write_all(page.as_bytes()))
            .map_err(|source| ReportError::Io { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

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
                // The report itself sets the headings of examples in bold.
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
