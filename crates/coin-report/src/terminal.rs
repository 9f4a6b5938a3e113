//! A summary on a terminal.

use coin_eval::Summary;

use crate::table::{Table, one_line};
use crate::tables::{
    Form, accuracy_by_group, accuracy_by_level, accuracy_by_task, comparison_by_level, intervals, robustness_by_level,
    task_metrics,
};

/// Returns the tables that fit a terminal: levels, groups, intervals, the test of the last two runs, and tasks by level. For a single
/// run, its robustness and the metrics of its tasks are included. The report contains the rest.
pub fn terminal(summary: &Summary) -> String {
    let mut text = format!(
        "accuracy in %, mean ± standard deviation over instructions, by perturbation level\n{}\n\
         by task group, averaged over all levels\n{}",
        accuracy_by_level(summary, Form::Terminal).to_text(),
        accuracy_by_group(summary, Form::Terminal).to_text()
    );
    let mut add = |head: &str, table: Table| text.push_str(&format!("\n{head}\n{}", table.to_text()));
    if let Some(table) = intervals(summary) {
        add("95 % intervals over examples and instructions", table);
    }
    if let Some(tested) = summary.comparisons.last() {
        let (after, before) = (one_line(&tested.after), one_line(&tested.before));
        add(&format!("{after} compared with {before}: tests by level"), comparison_by_level(tested, Form::Terminal));
    }
    if let [run] = &summary.runs[..] {
        add("robustness over instructions, in %", robustness_by_level(summary, run, Form::Terminal));
        if let Some(table) = task_metrics(summary, run) {
            add("the tasks' own metrics, times 100", table);
        }
    }
    for run in &summary.runs {
        add(&format!("{}: by task and level", one_line(&run.name)), accuracy_by_task(summary, run));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn names_hold_nothing_that_a_terminal_obeys() {
        let mut summary = synthetic::summary();
        summary.runs[1].name = "cit\u{1b}]0;title\u{7}\nx".to_owned();
        assert!(!terminal(&summary).contains(['\u{1b}', '\u{7}']));
    }

    #[test]
    fn two_runs_are_compared_and_one_has_room_for_more() {
        let summary = synthetic::tested();
        let text = terminal(&summary);
        for part in ["95 % intervals", "coin compared with cit: tests by level", "coin: by task and level"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("NaN") && !text.contains("robustness"));
        let alone = Summary { runs: summary.runs[2..].to_vec(), comparisons: Vec::new(), ..summary };
        let text = terminal(&alone);
        for part in ["robustness over instructions", "mrpc: F1", "cola: Matthews"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
