//! The sections of an evaluation: tables and figures of the summary.

use super::elements::{Body, grid};
use super::svg::escape;
use super::{bars, cosine, heatmap, spread};
use crate::levels::group_title;
use crate::summary::Summary;
use crate::table;

/// What the evaluation found.
pub(super) fn sections(body: &mut Body, summary: &Summary) {
    body.section("By perturbation level",
        &grid(&table::levels(summary), "accuracy by level", Some("average")),
        "Accuracy in per cent: for each task the mean ± population standard deviation over its instructions, then averaged \
         over tasks. Changes are in percentage points; “± change” is that of the standard deviation, where a negative value \
         means less spread. The cosine compares hidden states (last prompt token, after the last norm) under a perturbed \
         instruction and the clean one it was made from. No confidence interval is given; small differences may be chance.",
    );
    body.figure("Accuracy by level",
        &bars::figure(summary),
        "A bar is the mean accuracy of a run at a level, the whisker one standard deviation over instructions either way. \
         “average” is the mean over all levels, clean among them.",
    );
    body.section("Change from clean, and unparsable answers",
        &grid(&table::changes(summary), "change from clean", Some("average")),
        "The change is accuracy at a level minus the same run's accuracy at level clean, in percentage points; unparsable is \
         the share of answers, in per cent, that begin with none of the task's label words and count as wrong.",
    );
    if let Some((svg, low)) = cosine::figure(summary) {
        let axis = if low > 0.0 { format!(" The axis starts at {low}, not at 0.") } else { String::new() };
        let text = "A dot is the mean cosine between hidden states under a perturbed instruction and under its clean original; \
                    the shorter the stem that hangs from 1, the less the perturbation moves the model.";
        body.figure("Cosine by level", &svg, &format!("{text}{axis}"));
    }
    let mut groups = grid(&table::groups(summary), "task groups", None);
    groups.push_str("<details>\n<summary>Every level of each group</summary>\n");
    for group in summary.groups() {
        let details = table::group_levels(summary, group);
        groups.push_str(&format!(
            "<h3>{}</h3>\n{}",
            escape(group_title(group)),
            grid(&details, group_title(group), Some("average"))
        ));
    }
    groups.push_str("</details>\n");
    body.section(
        "By task group",
        &groups,
        "As the first table, for the tasks of a group and averaged over all levels.",
    );
    body.figure("Accuracy by task and level",
        &heatmap::figure(summary),
        "A cell is the mean accuracy in per cent over a task's instructions; the stronger the color, the higher. All maps share \
         the scale below them.",
    );
    body.figure("Spread over instructions",
        &spread::figure(summary),
        "A dot is the accuracy of one instruction, the short line their mean. Instructions of a task ask for the same thing, so \
         dots that lie close together mean a model that does not depend on the wording.",
    );
}
