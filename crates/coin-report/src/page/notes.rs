//! Notes below tables and figures, which explain how to read them.

use coin_eval::Summary;
use coin_eval::metrics::Comparison;

/// Note about colors. It is only on the HTML page, because Markdown does not have colors.
pub(crate) const COLOR: &str = "A difference has a color unless its interval holds zero.";

/// Note below the table of settings.
pub(crate) const SETTINGS: &str = "The resolved settings behind these results. Where several runs are shown, ≠ marks what \
     differs between them.";

pub(crate) const CHANGES: &str = "Accuracy at a level minus the same run's accuracy at level clean, in percentage points. The \
     average is over all levels, clean among them.";

pub(crate) const ROBUSTNESS: &str = "Worst instruction: accuracy under the instruction with the lowest. Right under every \
     instruction: share of examples that no wording of a level makes wrong. Performance drop rate: the share of the accuracy at \
     level clean that is lost. Consistency: share of examples that get the same class under two instructions, whether it is the \
     right one or not. More is better, but for the drop rate and the distance from best to worst. Each value is the mean over \
     tasks.";

pub(crate) const GROUPS: &str = "As the first table, for the tasks of a group and averaged over all levels.";

pub(crate) const TASKS: &str =
    "Accuracy in per cent, mean ± population standard deviation over the task's instructions.";

pub(crate) const HEAT: &str = "A cell is the mean accuracy in per cent over a task's instructions; the stronger the color, the \
     higher. All maps share the scale below them.";

pub(crate) const HEAT_DIFFERENCE: &str = "Differences of accuracy in percentage points: blue where the run named first is better, red \
     where it is worse, the stronger the larger. Bold: the 95 % interval does not hold zero, without adjustment for the number of \
     cells.";

pub(crate) const SPREAD: &str = "A dot is the accuracy of one instruction, the short line their mean. Instructions of a task ask for \
     the same thing, so dots that lie close together mean a model that does not depend on the wording.";

pub(crate) const COSINES: &str = "Mean cosine between hidden states under a perturbed instruction and under its clean original; \
     1 where the perturbation changes nothing.";

pub(crate) const RELIABILITY: &str = "Unparsable: share of answers that begin with none of the task's label words and count as \
     wrong; where the answer is a thought that never ends, it is also counted apart. Near-ties: share of answers in which two tokens were so close that another batch size or device may choose the other. \
     Shortened: how many prompts did not fit into the model's context and lost part of their content; in the \
     last row their sum.";

/// Returns the note below the table by level.
pub(crate) fn levels(summary: &Summary) -> String {
    let text = "Accuracy in per cent: for each task the mean ± population standard deviation over its instructions, then averaged \
                over tasks. Changes are in percentage points; “± change” is that of the standard deviation, where a negative \
                value means less spread.";
    format!("{text} {}", intervals(summary))
}

/// Returns the note below the bars.
pub(crate) fn bars(summary: &Summary) -> String {
    let whisker = match has_intervals(summary) {
        true => "the whisker its 95 % interval",
        false => "the whisker one standard deviation over instructions either way",
    };
    format!(
        "A bar is the mean accuracy of a run at a level, {whisker}. “average” is the mean over all levels, clean among them."
    )
}

/// Returns the note below the cosines, whose axis begins at `low`.
pub(crate) fn cosine(low: f64) -> String {
    let axis = if low > 0.0 { format!(" The axis starts at {low}, not at 0.") } else { String::new() };
    format!(
        "A dot is the mean cosine between hidden states (last prompt token, after the last norm) under a perturbed instruction and \
         under its clean original; the shorter the stem that hangs from 1, the less the perturbation moves the model.{axis}"
    )
}

/// Returns the note below the tests of two runs.
pub(crate) fn comparison(compared: &Comparison) -> String {
    let only = compared.only_before + compared.only_after;
    let left_out =
        if only > 0 { format!(" {only} answers that only one run has are left out.") } else { String::new() };
    format!(
        "{} minus {} on the {} prompts that both answered.{left_out} Brackets: 95 % intervals and p-values of {} paired bootstrap \
         draws of examples and instructions, seed {}. Gained and lost: answers that only {} or only {} has right; the exact p is \
         McNemar's and takes all answers as independent, the clustered one knows which belong to the same example. All p-values \
         are two-sided; those in brackets are adjusted by Holm's procedure over the levels, or over all tasks and levels; averages and \
         task groups are not adjusted.",
        compared.after,
        compared.before,
        compared.common,
        compared.bootstrap.replicates,
        compared.bootstrap.seed,
        compared.after,
        compared.before,
    )
}

fn has_intervals(summary: &Summary) -> bool {
    summary.runs.iter().flat_map(|run| &run.levels).any(|row| row.measures.accuracy_interval.is_some())
}

fn intervals(summary: &Summary) -> String {
    match summary.runs.iter().find_map(|run| run.bootstrap) {
        Some(bootstrap) => format!(
            "In brackets: 95 % intervals by {} bootstrap draws of examples and instructions, seed {}.",
            bootstrap.replicates, bootstrap.seed
        ),
        None => "No confidence interval is given; small differences may be chance.".to_owned(),
    }
}
