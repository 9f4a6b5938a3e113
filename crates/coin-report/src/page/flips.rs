//! Answers that change with the wording: counts for each run, changes of only one of the compared runs, and a few examples of each
//! kind.

use coin_data::Task;
use coin_eval::flips::{Change, Flip, Flips, Part, difference};

use crate::markup::escape;
use crate::table::{Cells, markdown_text as plain};
use crate::tables::{answers, contrasts, counts, cut};
use crate::titles::{distinct, level_title};

/// Explanation of the counts in the tables.
pub(crate) const NOTE: &str = "Each prompt was answered under the clean instruction and under a perturbation of it. \
     “right → wrong” is a share of the prompts that the run answers correctly under the clean instruction, and “wrong → right” of \
     those it answers incorrectly. An answer that does not name a class is wrong. If two runs are compared, only prompts that \
     are right for both or wrong for both under the clean instruction are counted, and both directions are shown.";

/// Explanation of the choice of examples.
pub(crate) const EXAMPLES: &str = "A few prompts of each level, direction and run, drawn with the seed from as many tasks as \
     possible. They illustrate the counts in the tables and do not show how often a change occurs.";

/// Explanation of the marks in the difference of two instructions.
const MARKS: &str = "Struck out: text that the perturbation deleted. Underlined: text that it inserted.";

/// Maximum number of characters shown of a content.
const CONTENT: usize = 420;

/// Maximum number of characters shown of an instruction's difference, and of the unchanged text before and after a change.
/// Instructions of the usual length are shown in full.
const DIFFERENCE: usize = 4000;
const AROUND: usize = 300;

/// Returns the tables and examples as HTML.
pub(crate) fn html(flips: &Flips) -> String {
    let mut html = counts(flips).to_html("changed answers", Cells::Plain);
    if let Some(contrasts) = contrasts(flips) {
        html.push_str("<h3>Changes of only one run</h3>\n");
        html.push_str(&contrasts.to_html("changes of only one run", Cells::Plain));
    }
    if flips.examples.is_empty() {
        return html;
    }
    html.push_str(&format!("<h3>Examples</h3>\n<p class=\"note\">{} {}</p>\n", escape(EXAMPLES), escape(MARKS)));
    for (place, level) in levels(flips).into_iter().enumerate() {
        let of_level: Vec<&Flip> = flips.examples.iter().filter(|flip| flip.level == level).collect();
        let open = if place == 0 { " open" } else { "" };
        html.push_str(&format!(
            "<details{open}>\n<summary>{} ({})</summary>\n",
            escape(level_title(level)),
            of_level.len()
        ));
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
    html.push_str(&answers(flip).to_html("answers", Cells::Text));
    html.push_str("</article>\n");
    html
}

/// Returns a difference with its marks. A very long difference is reduced to the text near the changes, and the last of many changes
/// are omitted.
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
            // A text and its replacement are shortened in the same way.
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

/// Returns the first `head` and the last `tail` characters of `text`, with an ellipsis for the text between them.
fn middle_out(text: &str, head: usize, tail: usize) -> String {
    let length = text.chars().count();
    if length <= head + tail + 1 {
        return text.to_owned();
    }
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(length - tail).collect();
    format!("{first} … {last}")
}

/// Describes the change and names the run it happened to.
fn kind(flip: &Flip, flips: &Flips) -> String {
    let other = flips.compared.as_ref().map(|(a, b)| if *a == flip.run { b } else { a });
    match (flip.change, other) {
        (Change::Broken, Some(other)) => format!("{} breaks, {other} stays right", flip.run),
        (Change::Repaired, Some(other)) => format!("{} is repaired, {other} stays wrong", flip.run),
        (Change::Broken, None) => "right → wrong".to_owned(),
        (Change::Repaired, None) => "wrong → right".to_owned(),
    }
}

/// Returns the origin of the prompt and its right answer.
fn place(flip: &Flip) -> String {
    let label = Task::named(&flip.task).ok().and_then(|task| task.labels.get(flip.gold).cloned());
    let label = label.unwrap_or_else(|| format!("class {}", flip.gold));
    format!("{}, instruction {}, row {}; right answer: {label}", flip.task, flip.instruction, flip.row)
}

/// Returns the examples as Markdown lists by level.
pub(crate) fn markdown_examples(flips: &Flips) -> String {
    let mut text = String::new();
    for level in levels(flips) {
        text.push_str(&format!("\n### {}\n\n", plain(level_title(level))));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;
    use coin_eval::PromptText;

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
        // The two instructions have nothing in common.
        flips.examples[0].perturbed = text(words(20_000));
        let page = html(&flips);
        assert!(page.contains("<del>w0 ") && page.contains("<ins>w20000 ") && page.len() < 20_000, "{}", page.len());
        assert!(markdown_examples(&flips).len() < 20_000);
        assert_eq!((middle_out("abcdef", 2, 1), middle_out("abcd", 2, 1)), ("ab … f".into(), "abcd".into()));
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
}
