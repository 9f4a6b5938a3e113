//! Plain-text tables of a summary, for the terminal; the report writes the same grids as Markdown and HTML.
//!
//! Accuracies, standard deviations and changes are in per cent or percentage points with one decimal.

mod comparison;
mod robustness;

use std::borrow::Cow;

use coin_core::quote::printable;

use crate::levels::{group_title, title};
use crate::summary::{AVERAGE, Measures, RunSummary, Summary};

pub(crate) use comparison::three_decimals;
pub use comparison::{comparison, task_comparison};
pub use robustness::{intervals, robustness, task_metrics};

/// Head of the column with the change of the standard deviation.
pub(crate) const STD_CHANGE: &str = "± change";

/// A table: the first column holds names, the others values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows of as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// Columns padded to their width, names left and values right, with a line under the heads. Control characters in cells are
    /// written out, and a cell is one line.
    pub fn to_text(&self) -> String {
        let shown = |row: &Vec<String>| row.iter().map(|cell| one_line(cell).into_owned()).collect::<Vec<_>>();
        let (columns, rows) = (shown(&self.columns), self.rows.iter().map(shown).collect::<Vec<_>>());
        let width = |column: usize| {
            let cells = std::iter::once(&columns).chain(&rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded: Vec<String> = cells
                .iter()
                .zip(&widths)
                .enumerate()
                .map(
                    |(column, (cell, width))| {
                        if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                    },
                )
                .collect();
            format!("{}\n", padded.join("  ").trim_end())
        };
        let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
        let rows: String = rows.iter().map(|row| line(row)).collect();
        format!("{}{rule}\n{rows}", line(&columns))
    }

    /// A Markdown table. Cells are shown as the text they are, whatever marks it holds.
    pub fn to_markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| markdown_text(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        // The line that sets names left and values right.
        let aligned: Vec<String> =
            (0..self.columns.len()).map(|i| if i == 0 { "---" } else { "---:" }.to_owned()).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}| {} |\n{rows}", line(&self.columns), aligned.join(" | "))
    }
}

/// Accuracy ± standard deviation at each level for each run, the change between the last two runs, and the mean cosine.
pub fn levels(summary: &Summary) -> Grid {
    side_by_side(summary, "level", &summary.levels(), |run, level| run.level(level), title)
}

/// The same as [`levels`] for each task group, averaged over all levels.
pub fn groups(summary: &Summary) -> Grid {
    side_by_side(summary, "task group", &summary.groups(), |run, group| run.group(group, AVERAGE), group_title)
}

/// Accuracy ± standard deviation of each task at each level for one run.
pub fn tasks(summary: &Summary, run: &RunSummary) -> Grid {
    let levels: Vec<&str> = summary.levels().into_iter().filter(|level| *level != AVERAGE).collect();
    let mut columns = vec!["task".to_owned()];
    columns.extend(levels.iter().map(|level| title(level).to_owned()));
    let row = |task: &str| {
        let mut row = vec![task.to_owned()];
        row.extend(levels.iter().map(|level| run.task(task, level).map_or(none(), |cell| spread(&cell.measures))));
        row
    };
    Grid { columns, rows: summary.tasks().into_iter().map(row).collect() }
}

/// What fits a terminal: levels, groups, intervals, the test of the last two runs, tasks by level; for a single run its robustness
/// and its tasks' own metrics too. The report has the rest.
pub fn terminal(summary: &Summary) -> String {
    let mut text = format!(
        "accuracy in %, mean ± standard deviation over instructions, by perturbation level\n{}\n\
         by task group, averaged over all levels\n{}",
        levels(summary).to_text(),
        groups(summary).to_text()
    );
    let mut add = |head: &str, grid: Grid| text.push_str(&format!("\n{head}\n{}", grid.to_text()));
    if let Some(grid) = intervals(summary) {
        add("95 % intervals over examples and instructions", grid);
    }
    if let Some(tested) = summary.comparisons.last() {
        let (after, before) = (one_line(&tested.after), one_line(&tested.before));
        add(&format!("{after} against {before}: tests by level"), comparison(tested));
    }
    if let [run] = &summary.runs[..] {
        add("robustness over instructions, in %", robustness(run));
        if let Some(grid) = task_metrics(summary, run) {
            add("the tasks' own metrics, times 100", grid);
        }
    }
    for run in &summary.runs {
        add(&format!("{}: by task and level", one_line(&run.name)), tasks(summary, run));
    }
    text
}

/// `text` on one line, its control characters written out.
fn one_line(text: &str) -> Cow<'_, str> {
    match printable(text) {
        shown if shown.contains(['\n', '\t']) => shown.replace(['\n', '\t'], " ").into(),
        shown => shown,
    }
}

/// `text` on one line in which Markdown sees no mark, its control characters written out.
pub(crate) fn markdown_text(text: &str) -> String {
    let line = printable(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown = String::with_capacity(line.len());
    let mut before = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let mark = match c {
            '\\' | '`' | '*' | '~' | '[' | ']' | '#' | '|' | '$' => true,
            // Alone it is a sign: nothing that follows could be a tag or the name of a character.
            '<' | '&' => rest.peek().is_some_and(|next| !next.is_whitespace()),
            '>' => before != Some(' '),
            // Inside of a word it is no mark: mnli_matched.
            '_' => {
                !(before.is_some_and(char::is_alphanumeric) && rest.peek().is_some_and(|next| next.is_alphanumeric()))
            }
            // At the beginning of a line: a list, or a line under a heading.
            '-' | '+' | '=' => before.is_none() && !rest.peek().is_some_and(char::is_ascii_digit),
            // A numbered list.
            '.' | ')' => {
                !shown.is_empty() && shown.bytes().all(|byte| byte.is_ascii_digit()) && rest.peek() == Some(&' ')
            }
            _ => false,
        };
        if mark {
            shown.push('\\');
        }
        shown.push(c);
        before = Some(c);
    }
    shown
}

fn side_by_side<'a>(
    summary: &'a Summary,
    head: &str,
    names: &[&str],
    find: impl Fn(&'a RunSummary, &str) -> Option<&'a Measures>,
    title: fn(&str) -> &str,
) -> Grid {
    let mut columns = vec![head.to_owned()];
    columns.extend(summary.runs.iter().map(|run| run.name.clone()));
    let pair = last_two(summary);
    if let Some((before, last)) = pair {
        columns.push(format!("{} − {}", last.name, before.name));
        columns.push(STD_CHANGE.to_owned());
    }
    let with_cosine: Vec<&RunSummary> =
        summary.runs.iter().filter(|run| run.levels.iter().any(|row| row.measures.cosine.is_some())).collect();
    columns.extend(with_cosine.iter().map(|run| format!("cosine {}", run.name)));
    let row = |name: &&str| {
        let mut row = vec![title(name).to_owned()];
        row.extend(summary.runs.iter().map(|run| find(run, name).map_or(none(), spread)));
        if let Some((before, last)) = pair {
            let both = find(before, name).zip(find(last, name));
            row.push(both.map_or(none(), |(before, last)| signed(last.accuracy - before.accuracy)));
            row.push(both.map_or(none(), |(before, last)| signed(last.std - before.std)));
        }
        let cosine = |run: &&'a RunSummary| find(run, name).and_then(|measures| measures.cosine);
        row.extend(with_cosine.iter().map(|run| cosine(run).map_or(none(), |value| format!("{value:.3}"))));
        row
    };
    Grid { columns, rows: names.iter().map(row).collect() }
}

/// The two runs whose difference is shown.
pub(crate) fn last_two(summary: &Summary) -> Option<(&RunSummary, &RunSummary)> {
    match &summary.runs[..] {
        [.., before, last] => Some((before, last)),
        _ => None,
    }
}

/// A fraction in per cent with one decimal.
pub(crate) fn percent(value: f64) -> String {
    format!("{:.1}", 100.0 * value)
}

/// A difference of fractions in points, with its sign.
pub(crate) fn signed(value: f64) -> String {
    let text = format!("{:.1}", (100.0 * value).abs());
    match text.as_str() {
        "0.0" => text,
        _ if value < 0.0 => format!("−{text}"),
        _ => format!("+{text}"),
    }
}

pub(crate) fn spread(measures: &Measures) -> String {
    format!("{} ± {}", percent(measures.accuracy), percent(measures.std))
}

pub(crate) fn none() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let grid = Grid {
            columns: cells(["level", "cit"]),
            rows: vec![cells(["clean", "81.0 ± 1.2"]), cells(["word", "–"])],
        };
        assert_eq!(grid.to_text(), "level         cit\n-----------------\nclean  81.0 ± 1.2\nword            –\n");
        assert_eq!(grid.to_markdown(), "| level | cit |\n| --- | ---: |\n| clean | 81.0 ± 1.2 |\n| word | – |\n");
    }

    #[test]
    fn text_from_outside_is_shown_as_text() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let grid = Grid {
            columns: cells(["level", "a|b `c`"]),
            rows: vec![cells(["\u{1b}[31mred", "two\nlines <b> &amp; 1 < 2"])],
        };
        let text = grid.to_text();
        assert!(text.contains("\\u{1b}[31mred  two lines <b> &amp; 1 < 2\n") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(
            grid.to_markdown(),
            "| level | a\\|b \\`c\\` |\n| --- | ---: |\n| \\\\u{1b}\\[31mred | two lines \\<b\\> \\&amp; 1 < 2 |\n"
        );
        for (text, expected) in [
            ("mnli_matched", "mnli_matched"),
            ("_em_ __init__", "\\_em\\_ \\_\\_init\\_\\_"),
            ("# a *b* ~~c~~ [d](e)", "\\# a \\*b\\* \\~\\~c\\~\\~ \\[d\\](e)"),
            ("- item", "\\- item"),
            ("1. item", "1\\. item"),
            ("1.5", "1.5"),
            ("-1.5", "-1.5"),
            ("=== a", "\\=== a"),
            ("> said", "\\> said"),
            ("a > b", "a > b"),
            ("$x$", "\\$x\\$"),
        ] {
            assert_eq!(markdown_text(text), expected);
        }
        let mut summary = crate::report::synthetic::summary();
        summary.runs[1].name = "cit\u{1b}]0;title\u{7}\nx".to_owned();
        assert!(!terminal(&summary).contains(['\u{1b}', '\u{7}']));
    }

    #[test]
    fn signs_are_shown_as_they_are() {
        assert_eq!((signed(0.025), signed(-0.031), signed(-0.0001)), ("+2.5".into(), "−3.1".into(), "0.0".into()));
    }

    #[test]
    fn the_level_table_compares_the_last_two_runs() {
        let grid = levels(&crate::report::synthetic::summary());
        assert_eq!(
            grid.columns,
            ["level", "base", "cit", "coin", "coin − cit", "± change", "cosine base", "cosine cit", "cosine coin"]
        );
        assert_eq!(grid.rows[0][7], "–", "no cosine at level clean");
        assert!(grid.rows.iter().any(|row| row[4].starts_with('−')), "the synthetic runs have a loss to show");
    }
}
