//! The sections of an evaluation: tables and figures of the summary.

use super::elements::{Body, Cells, figure, grid};
use super::svg::escape;
use super::{bars, cosine, heatmap, notes, spread, tables};
use crate::levels::group_title;
use crate::summary::{Comparison, Summary};
use crate::table;

/// What the evaluation found.
pub(super) fn sections(body: &mut Body, summary: &Summary) {
    let levels = grid(&tables::accuracies(summary), "accuracy by level", Cells::Signed);
    body.section("By perturbation level", &levels, &format!("{} {}", notes::levels(summary), notes::COLOR));
    body.figure("Accuracy by level", &bars::figure(summary), &notes::bars(summary));
    body.section(
        "Change from clean",
        &grid(&tables::changes(summary), "change from clean", Cells::Signed),
        notes::CHANGES,
    );
    body.section("Robustness", &robustness(summary), notes::ROBUSTNESS);
    for compared in &summary.comparisons {
        let title = format!("{} compared with {}", compared.after, compared.before);
        body.section(&title, &comparison(compared), &notes::comparison(compared));
    }
    body.section("By task group", &groups(summary), notes::GROUPS);
    body.figure("Accuracy by task and level", &heatmap::figure(summary), notes::HEAT);
    if let Some((title, svg)) = heatmap::difference(summary) {
        body.figure(&title, &svg, notes::HEAT_DIFFERENCE);
    }
    body.figure("Spread over instructions", &spread::figure(summary), notes::SPREAD);
    if let (Some((svg, low)), Some(table)) = (cosine::figure(summary), tables::cosines(summary)) {
        let drawing = figure("Cosine by level", &svg, &notes::cosine(low));
        body.section(
            "Cosine by level",
            &format!("{drawing}{}", grid(&table, "cosine by level", Cells::Plain)),
            notes::COSINES,
        );
    }
    let reliability =
        grid(&tables::reliability(summary), "unparsable answers, near-ties, shortened prompts", Cells::Plain);
    body.section("Unparsable answers, near-ties, shortened prompts", &reliability, notes::RELIABILITY);
}

fn robustness(summary: &Summary) -> String {
    let mut html = grid(&tables::robustness(summary), "robustness", Cells::Plain);
    html.push_str("<details>\n<summary>Every level, and the tasks' own metrics (times 100)</summary>\n");
    for run in &summary.runs {
        let label = format!("robustness of {}", run.name);
        let rows = grid(&tables::robustness_by_level(summary, run), &label, Cells::Plain);
        html.push_str(&format!("<h3>{}</h3>\n{rows}", escape(&run.name)));
        if let Some(metrics) = table::task_metrics(summary, run) {
            let label = format!("F1 and Matthews correlation of {}, times 100", run.name);
            html.push_str(&grid(&metrics, &label, Cells::Plain));
        }
    }
    html.push_str("</details>\n");
    html
}

fn comparison(compared: &Comparison) -> String {
    let [levels, groups, tasks] =
        [tables::tests_by_level(compared), tables::tests_by_group(compared), tables::tests_by_task(compared)].map(
            |rows| grid(&rows, &format!("tests of {} against {}", compared.after, compared.before), Cells::Signed),
        );
    format!(
        "{levels}<details>\n<summary>By task group, and by task and level</summary>\n<h3>By task group</h3>\n{groups}\
         <h3>By task and level</h3>\n{tasks}</details>\n"
    )
}

fn groups(summary: &Summary) -> String {
    let mut html = grid(&tables::group_accuracies(summary), "task groups", Cells::Signed);
    html.push_str("<details>\n<summary>Every level of each group</summary>\n");
    for group in summary.groups() {
        let levels = grid(&tables::group_level_accuracies(summary, group), group_title(group), Cells::Signed);
        html.push_str(&format!("<h3>{}</h3>\n{levels}", escape(group_title(group))));
    }
    html.push_str("</details>\n");
    html
}
