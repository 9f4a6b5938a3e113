//! The report as one HTML page.

use super::elements::{Body, Cells, grid};
use super::headline::headline;
use super::svg::escape;
use super::{Report, curves, evaluation, flips, maps, markdown, settings};

const STYLE: &str = include_str!("style.css");

/// What the table of settings shows.
pub(super) const SETTINGS: &str = "The resolved settings behind these results. Where several runs are shown, ≠ marks what \
     differs between them.";

pub(super) fn page(report: &Report) -> String {
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
    let names = escape(&names.join(", "));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}: {names}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n<p class=\"sub\">{names} · {about} · coin {}</p>\n\
         <p class=\"headline\">{}</p>\n</header>\n{}</main>\n</body>\n</html>\n",
        escape(&summary.tool_version),
        escape(&headline(summary)),
        sections(report),
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
        let silhouettes = maps::silhouettes(&report.maps).map(|table| grid(&table, "silhouettes", Cells::Plain));
        let content = maps::html(&report.maps) + &silhouettes.unwrap_or_default();
        body.section("Maps of hidden states", &content, &maps::caption(&report.maps));
    }
    if report.curves.iter().any(|curve| !curve.points.is_empty()) {
        body.figure(
            "Learning curves",
            &curves::figure(summary, &report.curves),
            "Lines: each optimizer step on its own batch; the contrastive loss before its weight. A run without the contrastive \
             loss measures it all the same. Dots: held-out pairs, ranked among 32 at a time.",
        );
        let last = grid(&markdown::last_steps(&report.curves), "last step", Cells::Plain);
        body.section("Last step", &last, "The last optimizer step of each run, on its own batch.");
    }
    body.section("Settings", &grid(&settings::grid(report), "settings", Cells::Text), SETTINGS);
    body.finish()
}
