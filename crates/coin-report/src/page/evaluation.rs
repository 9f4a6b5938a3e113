//! The sections of an evaluation: tables and figures of the summary.

use coin_eval::Summary;
use coin_eval::metrics::Comparison;

use super::elements::{Body, figure};
use super::notes;
use crate::figures::{bars, cosine, heatmap, spread};
use crate::markup::escape;
use crate::table::Cells;
use crate::tables::{self, Form};
use crate::titles::group_title;

/// Adds the sections of `summary`.
pub(crate) fn sections(body: &mut Body, summary: &Summary) {
    let levels = tables::accuracy_by_level(summary, Form::Page).to_html("accuracy by level", Cells::Signed);
    body.section("By perturbation level", &levels, &format!("{} {}", notes::levels(summary), notes::COLOR));
    body.figure("Accuracy by level", &bars::figure(summary), &notes::bars(summary));
    body.section(
        "Change from clean",
        &tables::changes(summary).to_html("change from clean", Cells::Signed),
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
            &format!("{drawing}{}", table.to_html("cosine by level", Cells::Plain)),
            notes::COSINES,
        );
    }
    let reliability =
        tables::reliability(summary).to_html("unparsable answers, near-ties, shortened prompts", Cells::Plain);
    body.section("Unparsable answers, near-ties, shortened prompts", &reliability, notes::RELIABILITY);
}

fn robustness(summary: &Summary) -> String {
    let mut html = tables::robustness(summary).to_html("robustness", Cells::Plain);
    html.push_str("<details>\n<summary>Every level, and the tasks' own metrics (times 100)</summary>\n");
    for run in &summary.runs {
        let label = format!("robustness of {}", run.name);
        let rows = tables::robustness_by_level(summary, run, Form::Page).to_html(&label, Cells::Plain);
        html.push_str(&format!("<h3>{}</h3>\n{rows}", escape(&run.name)));
        if let Some(metrics) = tables::task_metrics(summary, run) {
            let label = format!("F1 and Matthews correlation of {}, times 100", run.name);
            html.push_str(&metrics.to_html(&label, Cells::Plain));
        }
    }
    html.push_str("</details>\n");
    html
}

fn comparison(compared: &Comparison) -> String {
    let label = format!("tests of {} compared with {}", compared.after, compared.before);
    let [levels, groups, tasks] =
        [tables::comparison_by_level, tables::comparison_by_group, tables::comparison_by_task]
            .map(|of| of(compared, Form::Page).to_html(&label, Cells::Signed));
    format!(
        "{levels}<details>\n<summary>By task group, and by task and level</summary>\n<h3>By task group</h3>\n{groups}\
         <h3>By task and level</h3>\n{tasks}</details>\n"
    )
}

fn groups(summary: &Summary) -> String {
    let mut html = tables::accuracy_by_group(summary, Form::Page).to_html("task groups", Cells::Signed);
    html.push_str("<details>\n<summary>Every level of each group</summary>\n");
    for group in summary.groups() {
        let levels = tables::accuracy_of_group(summary, group, Form::Page).to_html(group_title(group), Cells::Signed);
        html.push_str(&format!("<h3>{}</h3>\n{levels}", escape(group_title(group))));
    }
    html.push_str("</details>\n");
    html
}
