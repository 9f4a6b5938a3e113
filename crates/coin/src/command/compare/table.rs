//! A comparison of wordings for the terminal, at most [`WIDTH`] columns wide.

use coin::core::quote::printable;
use coin::eval::wordings::{WordedAnswer, Wordings};
use coin::report::Table;

use super::{Column, Origin, Wording};

/// Columns of text.
const WIDTH: usize = 100;

/// Maximum number of label words with a column each. If there are more, only the most probable one is shown.
const LABELS: usize = 3;

/// Maximum number of rows and columns of a matrix.
const MATRIX: usize = 12;

// Maximum width of an answer, a label word and an attack's name, in characters.
const ANSWER: usize = 13;
const LABEL: usize = 12;
const ORIGIN: usize = 12;

/// The input and the wordings, then the answers of each model.
pub fn text(input: &str, wordings: &[Wording], columns: &[Column]) -> String {
    let mut text = format!("input\n{}\ninstructions\n", wrapped(input, "   "));
    for (index, Wording { origin, instruction }) in wordings.iter().enumerate() {
        let origin = match origin {
            Origin::Given => String::new(),
            Origin::Attack(name) => format!("({name}) "),
        };
        text.push_str(&wrapped(&format!("{origin}{instruction}"), &format!("{:>2} ", index + 1)));
    }
    for Column { model, found, .. } in columns {
        text.push_str(&format!("\n{}\n", cut_front(model, WIDTH)));
        text.push_str(&answers(wordings, found));
    }
    text
}

fn answers(wordings: &[Wording], found: &Wordings) -> String {
    let labels = &found.answers[0].probabilities;
    let mut text = String::new();
    if labels.is_empty() {
        for (index, answer) in found.answers.iter().enumerate() {
            text.push_str(&wrapped(&answer.text, &format!("{:>2} ", index + 1)));
        }
        text.push('\n');
    }
    text.push_str(&grid(wordings, found).to_text());
    let pairs = found.answers.len() * (found.answers.len() - 1) / 2;
    let agree = (found.agreement * pairs as f64).round();
    let what = if labels.is_empty() { "answer" } else { "label" };
    text.push_str(&format!("same {what}: {agree} of {pairs} pairs of wordings\n"));
    let matrix = found.cosines.as_ref().filter(|rows| (3..=MATRIX).contains(&rows.len()));
    if let Some(rows) = matrix {
        text.push_str(&format!("\ncosine of hidden states\n{}", square(rows).to_text()));
    }
    text
}

/// The table with a row for each wording.
fn grid(wordings: &[Wording], found: &Wordings) -> Table {
    let labels = &found.answers[0].probabilities;
    let mut columns: Vec<String> = vec!["wording".to_owned()];
    if !labels.is_empty() {
        columns.extend(["answer", "label"].map(str::to_owned));
        match labels.len() <= LABELS {
            true => columns.extend(labels.iter().map(|label| cut(&label.word, LABEL))),
            false => columns.push("most probable".to_owned()),
        }
        columns.push("mass".to_owned());
    }
    columns.push("cosine".to_owned());
    if labels.is_empty() {
        columns.push("overlap".to_owned());
    }
    let row = |(index, (wording, answer)): (usize, (&Wording, &WordedAnswer))| {
        let mut row = vec![format!("{} {}", index + 1, cut(wording.origin.name(), ORIGIN))];
        if !labels.is_empty() {
            row.push(cut(&answer.text, ANSWER));
            row.push(answer.label.as_ref().map_or("–".to_owned(), |label| cut(label, LABEL)));
            row.extend(probabilities(answer));
        }
        row.push(found.cosines.as_ref().map_or("–".to_owned(), |rows| format!("{:.3}", rows[0][index])));
        if labels.is_empty() {
            row.push(format!("{:.2}", found.overlaps[0][index]));
        }
        row
    };
    Table { columns, rows: wordings.iter().zip(&found.answers).enumerate().map(row).collect() }
}

/// The shares of the label words, and the sum of their probabilities.
fn probabilities(answer: &WordedAnswer) -> Vec<String> {
    let labels = &answer.probabilities;
    let mut cells: Vec<String> = match labels.len() <= LABELS {
        true => labels.iter().map(|label| format!("{:.3}", label.share)).collect(),
        false => {
            let best = labels.iter().max_by(|a, b| a.share.total_cmp(&b.share));
            best.iter().map(|label| format!("{} {:.3}", cut(&label.word, LABEL), label.share)).collect()
        }
    };
    cells.push(format!("{:.3}", labels.iter().map(|label| label.probability).sum::<f64>()));
    cells
}

fn square(rows: &[Vec<f64>]) -> Table {
    let numbers = (1..=rows.len()).map(|number| number.to_string());
    let row = |(index, row): (usize, &Vec<f64>)| {
        let cells = row.iter().map(|value| format!("{value:.3}"));
        std::iter::once((index + 1).to_string()).chain(cells).collect()
    };
    Table {
        columns: std::iter::once("wording".to_owned()).chain(numbers).collect(),
        rows: rows.iter().enumerate().map(row).collect(),
    }
}

/// The text as one line of at most `most` characters, with an ellipsis if it is cut. Control characters are escaped.
fn cut(text: &str, most: usize) -> String {
    let line = printable(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().count() <= most {
        true => line,
        false => line.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// The same for a path, which is cut at its beginning.
fn cut_front(text: &str, most: usize) -> String {
    let text = printable(text);
    let length = text.chars().count();
    match length <= most {
        true => text.into_owned(),
        false => std::iter::once('…').chain(text.chars().skip(length + 1 - most)).collect(),
    }
}

/// The text in lines of at most [`WIDTH`] characters. The first follows `head`, the others are indented by its width.
fn wrapped(text: &str, head: &str) -> String {
    let width = head.chars().count();
    let (mut lines, mut line) = (String::new(), head.to_owned());
    for word in text.split_whitespace() {
        let word = cut(word, WIDTH - width);
        let used = line.chars().count();
        if used > width && used + 1 + word.chars().count() > WIDTH {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = " ".repeat(width);
        }
        if line.chars().count() > width {
            line.push(' ');
        }
        line.push_str(&word);
    }
    format!("{lines}{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped_or_cut() {
        let text = "word ".repeat(40);
        let lines = wrapped(&text, " 1 ");
        assert_eq!(lines.lines().map(|line| line.chars().count()).collect::<Vec<_>>(), [97, 97, 12]);
        assert!(lines.lines().skip(1).all(|line| line.starts_with("   word")));
        assert!(wrapped(&"x".repeat(300), "   ").trim_end().ends_with('…'));
        assert_eq!((cut("a\nlong  answer", 8).as_str(), cut("short", 5).as_str()), ("a long …", "short"));
        assert_eq!(cut_front("runs/coin/adapter", 8), "…adapter");
        assert_eq!((cut("\u{1b}[2J", 20).as_str(), cut_front("a\u{7}", 20).as_str()), ("\\u{1b}[2J", "a\\u{7}"));
        assert!(!wrapped("a \u{1b}]0;b\u{7}", "   ").contains(['\u{1b}', '\u{7}']));
    }
}
