//! The report as one HTML page.

use super::elements::Body;
use super::headline::headline;
use super::{evaluation, flips, notes};
use crate::figures::{curves, maps};
use crate::markup::escape;
use crate::report::Report;
use crate::table::Cells;
use crate::tables;

const STYLE: &str = include_str!("style.css");

pub(crate) fn page(report: &Report) -> String {
    let summary = &report.summary;
    let (title, names, about) = match summary.runs.is_empty() {
        true => {
            let names: Vec<&str> = report.curves.iter().map(|curve| curve.run.as_str()).collect();
            ("Learning curves", names, "training".to_owned())
        }
        false => {
            let names = summary.runs.iter().map(|run| run.name.as_str()).collect();
            ("Robustness to perturbed instructions", names, format!("{} tasks", summary.tasks().len()))
        }
    };
    let about = format!("{} · {about}", names.join(", "));
    document(title, &names.join(", "), &about, &summary.tool_version, &headline(summary), &sections(report))
}

/// Returns a page: its title and the names in it, the line below the title, the version of the program that measured the
/// results, the result in short, and the sections as HTML.
pub(super) fn document(title: &str, names: &str, about: &str, version: &str, headline: &str, sections: &str) -> String {
    let [title, names, about, version, headline] = [title, names, about, version, headline].map(escape);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}: {names}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n<p class=\"sub\">{about} · coin {version}</p>\n\
         <p class=\"headline\">{headline}</p>\n</header>\n{sections}</main>\n</body>\n</html>\n"
    )
}

fn sections(report: &Report) -> String {
    let (summary, mut body) = (&report.summary, Body::default());
    if !summary.runs.is_empty() {
        evaluation::sections(&mut body, summary);
    }
    if !report.flips.counts.is_empty() {
        body.section("Answers that change with the wording", &flips::html(&report.flips), flips::NOTE);
    }
    if report.maps.iter().any(|map| !map.points.is_empty()) {
        let silhouettes = tables::silhouettes(&report.maps).map(|table| table.to_html("silhouettes", Cells::Plain));
        let content = maps::html(&report.maps) + &silhouettes.unwrap_or_default();
        body.section("Maps of hidden states", &content, &maps::caption(&report.maps));
    }
    if report.curves.iter().any(|curve| !curve.points.is_empty()) {
        body.figure(
            "Learning curves",
            &curves::figure(summary, &report.curves),
            "Lines: each optimizer step, on its own batch. The contrastive loss is shown before its weight is applied, and is also \
             computed for runs that do not train with it. Dots: held-out pairs, ranked among 32 at a time.",
        );
        let last = tables::last_steps(&report.curves).to_html("last step", Cells::Plain);
        body.section("Last step", &last, "The last optimizer step of each run, on its own batch.");
    }
    body.section("Settings", &tables::settings(report).to_html("settings", Cells::Text), notes::SETTINGS);
    body.finish()
}
