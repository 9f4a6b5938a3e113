//! Notes below tables and figures, which explain how to read them.

use coin_eval::Summary;
use coin_eval::metrics::Comparison;

/// Note about colors. It is only on the HTML page, because Markdown does not have colors.
pub(crate) const COLOR: &str = "Differences are colored unless their interval contains zero.";

/// Note below the table of settings.
pub(crate) const SETTINGS: &str = "The resolved settings of these results. If there are several runs, ≠ marks the settings \
     that differ.";

pub(crate) const CHANGES: &str = "Accuracy at a level minus the same run's accuracy at level clean, in percentage points. The \
     average is over all levels, including clean.";

pub(crate) const ROBUSTNESS: &str = "Worst instruction: the lowest accuracy under any one instruction. Right under every \
     instruction: share of examples answered correctly under all wordings of a level. Performance drop rate: the share of the \
     accuracy at level clean that is lost. Consistency: share of examples that get the same class under two instructions, \
     whether correct or not. Higher is better, except for the drop rate and the difference between best and worst. Each value is \
     the mean over tasks.";

pub(crate) const GROUPS: &str = "The same as the first table, by task group and averaged over all levels.";

pub(crate) const TASKS: &str =
    "Accuracy in percent, mean ± population standard deviation over the task's instructions.";

pub(crate) const HEAT: &str = "Each cell is the mean accuracy in percent over a task's instructions. A stronger color means \
     a higher accuracy. All maps share the scale below them.";

pub(crate) const HEAT_DIFFERENCE: &str = "Differences of accuracy in percentage points: blue where the run named first is better, red \
     where it is worse. A stronger color means a larger difference. Bold: the 95 % interval does not contain zero; it is not adjusted for \
     the number of cells.";

pub(crate) const SPREAD: &str = "Each dot is the accuracy under one instruction, and the short line is their mean. All instructions \
     of a task ask for the same thing, so dots that are close together mean that the model does not depend on the wording.";

pub(crate) const COSINES: &str = "Mean cosine between the hidden states under a perturbed instruction and under its clean \
     original. It is 1 if the perturbation changes nothing.";

pub(crate) const RELIABILITY: &str = "Unparsable: share of answers that do not begin with any of the task's label words and count as \
     wrong. Those that are a thought without an end are also counted separately. Near-ties: share of answers in which two tokens \
     were so close that another batch size or device may choose the other one. Shortened: number of prompts that did not fit in \
     the model's context and lost part of their content; the last row is the sum.";

/// Returns the note below the table by level.
pub(crate) fn levels(summary: &Summary) -> String {
    let text = "Accuracy in percent: for each task the mean ± population standard deviation over its instructions, then averaged \
                over tasks. Changes are in percentage points. “± change” is the change of the standard deviation; a negative \
                value means less spread.";
    format!("{text} {}", intervals(summary))
}

/// Returns the note below the bars.
pub(crate) fn bars(summary: &Summary) -> String {
    let whisker = match has_intervals(summary) {
        true => "the whisker is its 95 % interval",
        false => "the whisker extends one standard deviation over instructions in each direction",
    };
    format!(
        "Each bar is the mean accuracy of a run at a level, and {whisker}. “average” is the mean over all levels, including clean."
    )
}

/// Returns the note below the cosines, whose axis begins at `low`.
pub(crate) fn cosine(low: f64) -> String {
    let axis = if low > 0.0 { format!(" The axis starts at {low}, not at 0.") } else { String::new() };
    format!(
        "Each dot is the mean cosine between the hidden states (last prompt token, after the last norm) under a perturbed \
         instruction and under its clean original. The shorter the stem from 1, the less the perturbation changes the hidden \
         state.{axis}"
    )
}

/// Returns the note below the tests of two runs.
pub(crate) fn comparison(compared: &Comparison) -> String {
    let only = compared.only_before + compared.only_after;
    let left_out = if only > 0 { format!(" The {only} answers of only one run are left out.") } else { String::new() };
    format!(
        "{} minus {} on the {} prompts that both answered.{left_out} Brackets: 95 % intervals and p-values of {} paired bootstrap \
         draws of examples and instructions, seed {}. Gained and lost: prompts that only {} or only {} answers correctly. The exact \
         p is McNemar's and treats all answers as independent; the clustered p treats the answers to one example as dependent. All \
         p-values are two-sided. Those in brackets are adjusted by Holm's procedure over the levels, or over all tasks and levels; \
         averages and task groups are not adjusted.",
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
            "In brackets: 95 % intervals from {} bootstrap draws of examples and instructions, seed {}.",
            bootstrap.replicates, bootstrap.seed
        ),
        None => "There are no confidence intervals, so small differences may be due to chance.".to_owned(),
    }
}
