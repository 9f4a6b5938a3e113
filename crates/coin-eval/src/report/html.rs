//! The report as one HTML page.

use super::svg::escape;
use super::{Curve, bars, cosine, curves, headline, heatmap, settings, spread};
use crate::levels::group_title;
use crate::summary::Summary;
use crate::table::{self, Grid};

const STYLE: &str = include_str!("style.css");

pub(super) fn page(summary: &Summary, losses: &[Curve]) -> String {
    let (title, names, about) = match summary.runs.is_empty() {
        true => (
            "Learning curves",
            losses.iter().map(|curve| curve.run.as_str()).collect::<Vec<_>>(),
            "training".to_owned(),
        ),
        false => {
            let names = summary.runs.iter().map(|run| run.name.as_str()).collect();
            ("Robustness to perturbed instructions", names, format!("{} tasks", summary.tasks().len()))
        }
    };
    let mut body = format!(
        "<header>\n<h1>{title}</h1>\n<p class=\"sub\">{} · {about} · coin {}</p>\n<p class=\"headline\">{}</p>\n</header>\n",
        escape(&names.join(", ")),
        escape(&summary.tool_version),
        escape(&headline(summary)),
    );
    if !summary.runs.is_empty() {
        evaluation(&mut body, summary);
    }
    if losses.iter().any(|curve| !curve.points.is_empty()) {
        figure(
            &mut body,
            "Learning curves",
            &curves::figure(summary, losses),
            "Lines: each optimizer step on its own batch; the contrastive loss before its weight. A run without the contrastive \
             loss measures it all the same. Dots: held-out pairs, ranked among 32 at a time.",
        );
        let last = grid(&super::markdown::last_steps(losses), None);
        section(&mut body, "Last step", &last, "The last optimizer step of each run, on its own batch.");
    }
    let rows = settings(summary).into_iter().map(|row| row.to_vec()).collect();
    let settings = Grid { columns: vec!["setting".to_owned(), "value".to_owned()], rows };
    let table = grid(&settings, None).replace("<table>", "<table class=\"settings\">");
    section(&mut body, "Settings", &table, "The resolved settings of the run that wrote this summary.");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}: {}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&names.join(", ")),
    )
}

/// What the evaluation found.
fn evaluation(body: &mut String, summary: &Summary) {
    section(
        body,
        "By perturbation level",
        &grid(&table::levels(summary), Some("average")),
        "Accuracy in per cent: for each task the mean ± population standard deviation over its instructions, then averaged \
         over tasks. Changes are in percentage points; “± change” is that of the standard deviation, where a negative value \
         means less spread. The cosine compares hidden states (last prompt token, after the last norm) under a perturbed \
         instruction and the clean one it was made from. No confidence interval is given; small differences may be chance.",
    );
    figure(
        body,
        "Accuracy by level",
        &bars::figure(summary),
        "A bar is the mean accuracy of a run at a level, the whisker one standard deviation over instructions either way. \
         “average” is the mean over all levels, clean among them.",
    );
    section(
        body,
        "Change from clean, and unparsable answers",
        &grid(&table::changes(summary), Some("average")),
        "The change is accuracy at a level minus the same run's accuracy at level clean, in percentage points; unparsable is \
         the share of answers, in per cent, that begin with none of the task's label words and count as wrong.",
    );
    if let Some((svg, low)) = cosine::figure(summary) {
        let axis = if low > 0.0 { format!(" The axis starts at {low}, not at 0.") } else { String::new() };
        let text = "A dot is the mean cosine between hidden states under a perturbed instruction and under its clean original; \
                    the shorter the stem that hangs from 1, the less the perturbation moves the model.";
        figure(body, "Cosine by level", &svg, &format!("{text}{axis}"));
    }
    let mut groups = grid(&table::groups(summary), None);
    groups.push_str("<details>\n<summary>Every level of each group</summary>\n");
    for group in summary.groups() {
        let details = table::group_levels(summary, group);
        groups.push_str(&format!("<h3>{}</h3>\n{}", escape(group_title(group)), grid(&details, Some("average"))));
    }
    groups.push_str("</details>\n");
    section(
        body,
        "By task group",
        &groups,
        "As the first table, for the tasks of a group and averaged over all levels.",
    );
    figure(
        body,
        "Accuracy by task and level",
        &heatmap::figure(summary),
        "A cell is the mean accuracy in per cent over a task's instructions; the stronger the color, the higher. All maps share \
         the scale below them.",
    );
    figure(
        body,
        "Spread over instructions",
        &spread::figure(summary),
        "A dot is the accuracy of one instruction, the short line their mean. Instructions of a task ask for the same thing, so \
         dots that lie close together mean a model that does not depend on the wording.",
    );
}

fn section(body: &mut String, title: &str, content: &str, note: &str) {
    body.push_str(&format!(
        "<section>\n<h2>{}</h2>\n{content}<p class=\"note\">{}</p>\n</section>\n",
        escape(title),
        escape(note)
    ));
}

fn figure(body: &mut String, title: &str, svg: &str, caption: &str) {
    body.push_str(&format!(
        "<section>\n<h2>{}</h2>\n<figure>\n{svg}<figcaption>{}</figcaption>\n</figure>\n</section>\n",
        escape(title),
        escape(caption)
    ));
}

/// A table; the row called `strong` is set apart, and values with a sign get a class of their own.
fn grid(grid: &Grid, strong: Option<&str>) -> String {
    let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for column in &grid.columns {
        // A head breaks between words, not at a sign.
        let head = escape(column).replace("± ", "±\u{a0}").replace(" − ", "\u{a0}−\u{a0}");
        html.push_str(&format!("<th scope=\"col\">{head}</th>"));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &grid.rows {
        let class = if strong == Some(row[0].as_str()) { " class=\"strong\"" } else { "" };
        html.push_str(&format!("<tr{class}><th scope=\"row\">{}</th>", escape(&row[0])));
        for (cell, column) in row.iter().zip(&grid.columns).skip(1) {
            let class = match cell.chars().next() {
                _ if column == table::STD_CHANGE => "", // less is better there: no color that says otherwise
                Some('+') => " class=\"plus\"",
                Some('−') => " class=\"minus\"",
                _ => "",
            };
            html.push_str(&format!("<td{class}>{}</td>", escape(cell)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
    html
}
