//! Answers that change with the wording: counts for each run, changes of only one of the compared runs, and the answers of one
//! example.

use coin_eval::flips::{Answers, Flip, Flips, Split};
use coin_eval::parser::thought;

use super::cells::{none, percent};
use crate::table::Table;
use crate::titles::{distinct, level_title};

/// Maximum number of characters shown of an answer.
const ANSWER: usize = 60;

/// Changed answers of every run by level.
pub(crate) fn counts(flips: &Flips) -> Table {
    let runs = distinct(flips.counts.iter().map(|row| row.run.as_str()));
    let mut columns = vec!["level".to_owned()];
    columns.extend(runs.iter().map(|run| format!("{run}: right → wrong")));
    columns.extend(runs.iter().map(|run| format!("{run}: wrong → right")));
    let row = |level: &str| {
        let of = |run: &&str| flips.counts.iter().find(|row| row.run == **run && row.level == level);
        let broken = |run: &&str| of(run).map(|row| share(row.broken, row.right_clean));
        let repaired = |run: &&str| of(run).map(|row| share(row.repaired, row.pairs - row.right_clean));
        let cells = runs.iter().map(broken).chain(runs.iter().map(repaired));
        std::iter::once(level_title(level).to_owned()).chain(cells.map(|cell| cell.unwrap_or(none()))).collect()
    };
    Table { columns, rows: distinct(flips.counts.iter().map(|row| row.level.as_str())).into_iter().map(row).collect() }
}

/// Changed answers of only one of the two compared runs, by level.
pub(crate) fn contrasts(flips: &Flips) -> Option<Table> {
    let (first, second) = flips.compared.as_ref()?;
    let mut columns = vec!["level".to_owned(), "both right under clean".to_owned()];
    columns.extend([format!("only {first} breaks"), format!("only {second} breaks"), "both break".to_owned()]);
    columns.push("both wrong under clean".to_owned());
    columns.extend([format!("only {first} repaired"), format!("only {second} repaired"), "both repaired".to_owned()]);
    let cells =
        |split: &Split| [split.pairs, split.first_only, split.second_only, split.both].map(|count| count.to_string());
    let rows = flips.contrasts.iter().map(|row| {
        let name = std::iter::once(level_title(&row.level).to_owned());
        name.chain(cells(&row.broken)).chain(cells(&row.repaired)).collect()
    });
    Some(Table { columns, rows: rows.collect() })
}

/// The answers of every run to one prompt, under the clean and the perturbed instruction.
pub(crate) fn answers(flip: &Flip) -> Table {
    let show = |(text, right): &(String, bool)| {
        // The answer is shown without the thought before it, unless there is only a thought.
        let answer = thought::read(text, false).answer;
        let answer = if answer.trim().is_empty() { text.as_str() } else { &answer };
        let text = cut(answer.trim(), ANSWER);
        let text = if text.is_empty() { "(nothing)".to_owned() } else { text };
        format!("{} {text}", if *right { "✓" } else { "✗" })
    };
    let row = |answers: &Answers| vec![answers.run.clone(), show(&answers.clean), show(&answers.perturbed)];
    let columns = ["run", "under the clean instruction", "under the perturbed instruction"].map(str::to_owned).to_vec();
    Table { columns, rows: flip.answers.iter().map(row).collect() }
}

fn share(count: usize, of: usize) -> String {
    match of {
        0 => none(),
        _ => format!("{} % ({count} of {of})", percent(count as f64 / of as f64)),
    }
}

/// Returns the first `most` characters on one line.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn an_answer_is_shown_without_its_thought() {
        let mut flips = synthetic::flips();
        flips.examples[0].answers[0].clean.0 = format!("<think>{}</think>acceptable", "hm ".repeat(50));
        flips.examples[0].answers[0].perturbed.0 = "<think>hm".to_owned();
        let rows = answers(&flips.examples[0]).rows;
        assert!(rows[0][1].ends_with(" acceptable") && rows[0][2].ends_with(" <think>hm"), "{rows:?}");
    }

    #[test]
    fn shares_of_nothing_are_dashes() {
        assert_eq!((share(0, 0), share(1, 8)), ("–".to_owned(), "12.5 % (1 of 8)".to_owned()));
    }
}
