//! Answers that change with the wording: counts for each run, who breaks alone, and a few examples of every kind.

use coin_data::Task;

use super::elements::{Cells, grid};
use super::svg::escape;
use crate::flips::{Answers, Change, Flip, Flips, Part, Split, difference};
use crate::levels::title;
use crate::scorer::thought;
use crate::summary::distinct;
use crate::table::{Grid, markdown_text as plain, percent};

/// What the tables count.
pub(super) const NOTE: &str = "Each prompt was answered under the clean instruction and under the one that was made from \
     it. “right → wrong” is a share of the prompts that the run answers rightly under the clean instruction, “wrong → right” of \
     those it answers wrongly; an answer that names no class is wrong. Where two runs are compared, only prompts that both \
     answer alike under the clean instruction are counted, and both directions are shown.";

/// How the examples were chosen.
pub(super) const EXAMPLES: &str = "At most a few of every level, direction and run, drawn by the seed from as many tasks as \
     possible: examples of what the tables count, and no measure of how often it happens.";

/// How the difference of two instructions is shown.
const MARKS: &str = "Struck out: what the perturbation took away; underlined: what it put in.";

/// Characters shown of an answer and of a content.
const ANSWER: usize = 60;
const CONTENT: usize = 420;

/// Characters shown of an instruction's difference, and of what is the same before and behind a change. Instructions of the usual
/// length are shown whole.
const DIFFERENCE: usize = 4000;
const AROUND: usize = 300;

/// Changed answers of every run by level.
pub(super) fn counts(flips: &Flips) -> Grid {
    let runs = distinct(flips.counts.iter().map(|row| row.run.as_str()));
    let mut columns = vec!["level".to_owned()];
    columns.extend(runs.iter().map(|run| format!("{run}: right → wrong")));
    columns.extend(runs.iter().map(|run| format!("{run}: wrong → right")));
    let row = |level: &str| {
        let of = |run: &&str| flips.counts.iter().find(|row| row.run == **run && row.level == level);
        let broken = |run: &&str| of(run).map(|row| share(row.broken, row.right_clean));
        let repaired = |run: &&str| of(run).map(|row| share(row.repaired, row.pairs - row.right_clean));
        let cells = runs.iter().map(broken).chain(runs.iter().map(repaired));
        std::iter::once(title(level).to_owned()).chain(cells.map(|cell| cell.unwrap_or("–".to_owned()))).collect()
    };
    Grid { columns, rows: distinct(flips.counts.iter().map(|row| row.level.as_str())).into_iter().map(row).collect() }
}

/// Which of the two compared runs changes its answer alone, by level.
pub(super) fn contrasts(flips: &Flips) -> Option<Grid> {
    let (first, second) = flips.compared.as_ref()?;
    let mut columns = vec!["level".to_owned(), "both right under clean".to_owned()];
    columns.extend([format!("only {first} breaks"), format!("only {second} breaks"), "both break".to_owned()]);
    columns.push("both wrong under clean".to_owned());
    columns.extend([format!("only {first} repaired"), format!("only {second} repaired"), "both repaired".to_owned()]);
    let cells =
        |split: &Split| [split.pairs, split.first_only, split.second_only, split.both].map(|count| count.to_string());
    let rows = flips.contrasts.iter().map(|row| {
        let name = std::iter::once(title(&row.level).to_owned());
        name.chain(cells(&row.broken)).chain(cells(&row.repaired)).collect()
    });
    Some(Grid { columns, rows: rows.collect() })
}

/// Tables and examples as HTML.
pub(super) fn html(flips: &Flips) -> String {
    let mut html = grid(&counts(flips), "changed answers", Cells::Plain);
    if let Some(contrasts) = contrasts(flips) {
        html.push_str("<h3>Who changes alone</h3>\n");
        html.push_str(&grid(&contrasts, "who changes alone", Cells::Plain));
    }
    if flips.examples.is_empty() {
        return html;
    }
    html.push_str(&format!("<h3>Examples</h3>\n<p class=\"note\">{} {}</p>\n", escape(EXAMPLES), escape(MARKS)));
    for (place, level) in levels(flips).into_iter().enumerate() {
        let of_level: Vec<&Flip> = flips.examples.iter().filter(|flip| flip.level == level).collect();
        let open = if place == 0 { " open" } else { "" };
        html.push_str(&format!("<details{open}>\n<summary>{} ({})</summary>\n", escape(title(level)), of_level.len()));
        for flip in of_level {
            html.push_str(&card(flip, flips));
        }
        html.push_str("</details>\n");
    }
    html
}

fn card(flip: &Flip, flips: &Flips) -> String {
    let mut html = format!(
        "<article class=\"flip\">\n<p class=\"where\"><strong>{}</strong> <span>{}</span></p>\n",
        escape(&kind(flip, flips)),
        escape(&place(flip))
    );
    if let (Some(clean), Some(perturbed)) = (&flip.clean, &flip.perturbed) {
        let parts = difference(clean.instruction.trim(), perturbed.instruction.trim());
        html.push_str(&format!("<p class=\"prompt\">{}</p>\n", marked(&parts)));
        if !perturbed.content.is_empty() {
            let content = escape(&cut(&perturbed.content, CONTENT));
            html.push_str(&format!("<p class=\"prompt content\">{content}</p>\n"));
        }
    }
    html.push_str(&grid(&answers(flip), "answers", Cells::Text));
    html.push_str("</article>\n");
    html
}

/// A difference with its marks. Of a very long one only what stands near the changes is shown, and not all of many changes.
fn marked(parts: &[Part]) -> String {
    let length: usize = parts.iter().map(|part| part.text().chars().count()).sum();
    let whole = length <= DIFFERENCE;
    let (mut html, mut left) = (String::new(), DIFFERENCE);
    for (place, part) in parts.iter().enumerate() {
        let text = part.text();
        let shown = match part {
            _ if whole => text.to_owned(),
            Part::Same(_) => {
                let (before, after) = (place > 0, place + 1 < parts.len());
                middle_out(text, if before { AROUND } else { 0 }, if after { AROUND } else { 0 })
            }
            // A text and what takes its place are shown alike.
            Part::Deleted(_) | Part::Inserted(_) => middle_out(text, DIFFERENCE / 8, DIFFERENCE / 8),
        };
        match part {
            Part::Same(_) => html.push_str(&escape(&shown)),
            Part::Deleted(_) => html.push_str(&format!("<del>{}</del>", escape(&shown))),
            Part::Inserted(_) => html.push_str(&format!("<ins>{}</ins>", escape(&shown))),
        }
        left = left.saturating_sub(shown.chars().count());
        if left == 0 && !whole && place + 1 < parts.len() {
            html.push_str(" …");
            break;
        }
    }
    if !whole {
        html.push_str(&format!(" <small>({length} characters, not all shown)</small>"));
    }
    html
}

/// The first `head` and the last `tail` characters of `text`, with an ellipsis for what is between them.
fn middle_out(text: &str, head: usize, tail: usize) -> String {
    let length = text.chars().count();
    if length <= head + tail + 1 {
        return text.to_owned();
    }
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(length - tail).collect();
    format!("{first} … {last}")
}

/// What happened, and to which run.
fn kind(flip: &Flip, flips: &Flips) -> String {
    let other = flips.compared.as_ref().map(|(a, b)| if *a == flip.run { b } else { a });
    match (flip.change, other) {
        (Change::Broken, Some(other)) => format!("{} breaks, {other} stays right", flip.run),
        (Change::Repaired, Some(other)) => format!("{} is repaired, {other} stays wrong", flip.run),
        (Change::Broken, None) => "right → wrong".to_owned(),
        (Change::Repaired, None) => "wrong → right".to_owned(),
    }
}

/// Where the prompt comes from, and its class.
fn place(flip: &Flip) -> String {
    let label = Task::named(&flip.task).ok().and_then(|task| task.labels.get(flip.gold).cloned());
    let label = label.unwrap_or_else(|| format!("class {}", flip.gold));
    format!("{}, instruction {}, row {}; right answer: {label}", flip.task, flip.instruction, flip.row)
}

fn answers(flip: &Flip) -> Grid {
    let show = |(text, right): &(String, bool)| {
        // The answer is shown and not the thought before it, unless there is nothing else.
        let answer = thought::read(text, false).answer;
        let answer = if answer.trim().is_empty() { text.as_str() } else { &answer };
        let text = cut(answer.trim(), ANSWER);
        let text = if text.is_empty() { "(nothing)".to_owned() } else { text };
        format!("{} {text}", if *right { "✓" } else { "✗" })
    };
    let row = |answers: &Answers| vec![answers.run.clone(), show(&answers.clean), show(&answers.perturbed)];
    let columns = ["run", "under the clean instruction", "under the perturbed one"].map(str::to_owned).to_vec();
    Grid { columns, rows: flip.answers.iter().map(row).collect() }
}

/// The examples as a Markdown list by level.
pub(super) fn markdown_examples(flips: &Flips) -> String {
    let mut text = String::new();
    for level in levels(flips) {
        text.push_str(&format!("\n### {}\n\n", plain(title(level))));
        for flip in flips.examples.iter().filter(|flip| flip.level == level) {
            text.push_str(&format!("- **{}**: {}\n", plain(&kind(flip, flips)), plain(&place(flip))));
            if let (Some(clean), Some(perturbed)) = (&flip.clean, &flip.perturbed) {
                let shown = |text: &str| plain(&middle_out(text.trim(), DIFFERENCE / 2, DIFFERENCE / 2));
                text.push_str(&format!("  - clean: {}\n", shown(&clean.instruction)));
                text.push_str(&format!("  - perturbed: {}\n", shown(&perturbed.instruction)));
                if !perturbed.content.is_empty() {
                    text.push_str(&format!("  - content: {}\n", plain(&cut(&perturbed.content, CONTENT))));
                }
            }
            for row in answers(flip).rows {
                text.push_str(&format!("  - {}: {}, then {}\n", plain(&row[0]), plain(&row[1]), plain(&row[2])));
            }
        }
    }
    text
}

fn levels(flips: &Flips) -> Vec<&str> {
    distinct(flips.examples.iter().map(|flip| flip.level.as_str()))
}

fn share(count: usize, of: usize) -> String {
    match of {
        0 => "–".to_owned(),
        _ => format!("{} % ({count} of {of})", percent(count as f64 / of as f64)),
    }
}

/// The first `most` characters, on one line.
fn cut(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flips::PromptText;
    use crate::report::synthetic;

    #[test]
    fn both_directions_are_counted_and_shown() {
        let flips = synthetic::flips();
        let grid = contrasts(&flips).unwrap();
        assert_eq!(grid.columns[2..4], ["only cit breaks", "only coin breaks"]);
        let html = html(&flips);
        for kind in
            ["cit breaks, coin stays right", "coin breaks, cit stays right", "cit is repaired", "coin is repaired"]
        {
            assert!(html.contains(kind), "{kind}");
        }
        assert!(html.contains("<del>") && html.contains("<ins>") && html.contains("✗ (nothing)"), "{html}");
        let text = markdown_examples(&flips);
        assert!(text.contains("- **coin breaks, cit stays right**: ") && text.contains("  - perturbed: "), "{text}");
    }

    #[test]
    fn texts_are_escaped_and_cut() {
        let mut flips = synthetic::flips();
        flips.examples[0].answers[0].clean.0 = "<script>alert(1)</script>".to_owned();
        flips.examples[0].perturbed.as_mut().unwrap().content = "a*b".repeat(400);
        let page = html(&flips);
        assert!(!page.contains("<script>") && page.contains("✓ &lt;script&gt;") || page.contains("✗ &lt;script&gt;"));
        assert!(page.contains("a*b…") && markdown_examples(&flips).contains("a\\*b…"));
        assert_eq!((cut("äöü", 2), cut("äö", 2)), ("äö…".to_owned(), "äö".to_owned()));
    }

    #[test]
    fn huge_instructions_are_shown_around_their_changes() {
        let mut flips = synthetic::flips();
        flips.examples.truncate(1);
        let words = |from: usize| (from..from + 20_000).map(|word| format!("w{word} ")).collect::<String>();
        let flip = &mut flips.examples[0];
        let text = |instruction: String| Some(PromptText { instruction, content: String::new() });
        flip.clean = text(words(0));
        flip.perturbed = text(words(0).replacen("w10000 ", "<other> ", 1));
        let page = html(&flips);
        assert!(page.contains("w9999 <del>w10000</del><ins>&lt;other&gt;</ins> w10001"), "{page}");
        assert!(page.contains("(128896 characters, not all shown)") && page.len() < 20_000, "{}", page.len());
        // Nothing in common.
        flips.examples[0].perturbed = text(words(20_000));
        let page = html(&flips);
        assert!(page.contains("<del>w0 ") && page.contains("<ins>w20000 ") && page.len() < 20_000, "{}", page.len());
        assert!(markdown_examples(&flips).len() < 20_000);
        assert_eq!((middle_out("abcdef", 2, 1), middle_out("abcd", 2, 1)), ("ab … f".into(), "abcd".into()));
    }

    #[test]
    fn an_answer_is_shown_without_its_thought() {
        let mut flips = synthetic::flips();
        flips.examples[0].answers[0].clean.0 = format!("<think>{}</think>acceptable", "hm ".repeat(50));
        flips.examples[0].answers[0].perturbed.0 = "<think>hm".to_owned();
        let rows = answers(&flips.examples[0]).rows;
        assert!(rows[0][1].ends_with(" acceptable") && rows[0][2].ends_with(" <think>hm"), "{rows:?}");
    }

    #[test]
    fn a_flip_without_texts_shows_numbers_and_answers() {
        let mut flips = synthetic::flips();
        for flip in &mut flips.examples {
            flip.clean = None;
        }
        let page = html(&flips);
        assert!(
            !page.contains("class=\"prompt") && page.contains("instruction 5, row 12") && page.contains("✗ (nothing)")
        );
        assert!(!markdown_examples(&flips).contains("perturbed: "));
    }

    #[test]
    fn shares_of_nothing_are_dashes() {
        assert_eq!((share(0, 0), share(1, 8)), ("–".to_owned(), "12.5 % (1 of 8)".to_owned()));
    }
}
