//! The page's building blocks: sections with a heading that can be linked to, figures, tables.

use super::settings::DIFFERS;
use super::svg::escape;
use crate::summary::AVERAGE;
use crate::table::{self, Grid};

/// The page's sections, and the list of contents that links to them.
#[derive(Default)]
pub(super) struct Body {
    html: String,
    titles: Vec<String>,
}

impl Body {
    /// A section with a table or text, and a note below it.
    pub(super) fn section(&mut self, title: &str, content: &str, note: &str) {
        self.open(title);
        self.html.push_str(&format!("{content}<p class=\"note\">{}</p>\n</section>\n", escape(note)));
    }

    /// A section with a drawing and its caption.
    pub(super) fn figure(&mut self, title: &str, svg: &str, caption: &str) {
        self.open(title);
        let figure = figure(title, svg, caption);
        self.html.push_str(&format!("{figure}</section>\n"));
    }

    fn open(&mut self, title: &str) {
        self.titles.push(title.to_owned());
        self.html.push_str(&format!("<section>\n<h2 id=\"{}\">{}</h2>\n", anchor(title), escape(title)));
    }

    /// The contents and the sections.
    pub(super) fn finish(self) -> String {
        let link = |title: &String| format!("<li><a href=\"#{}\">{}</a></li>\n", anchor(title), escape(title));
        let links: String = self.titles.iter().map(link).collect();
        format!("<nav aria-label=\"contents\"><ul>\n{links}</ul></nav>\n{}", self.html)
    }
}

/// A heading's name within the page.
fn anchor(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// A drawing in a box of its own that scrolls where the page is narrower than the drawing can be read.
pub(super) fn figure(title: &str, svg: &str, caption: &str) -> String {
    format!(
        "<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n",
        scroll(&format!("figure: {title}"), svg),
        escape(caption)
    )
}

/// Content that scrolls sideways in a box of its own; `label` is what a screen reader says.
fn scroll(label: &str, content: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n{content}</div>\n", escape(label))
}

/// How the cells of a table are set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cells {
    /// Numbers, to the right.
    Plain,
    /// Numbers, with a color for a gain and for a loss; none where more is not better, and none where an interval holds zero.
    Signed,
    /// Texts, to the left.
    Text,
}

/// A table; rows of averages are set apart, and those that the settings mark as different.
pub(super) fn grid(grid: &Grid, label: &str, cells: Cells) -> String {
    let class = if cells == Cells::Text { " class=\"text\"" } else { "" };
    let mut html = format!("<table{class}>\n<thead><tr>");
    for column in &grid.columns {
        // A head breaks between words, not at a sign.
        let head =
            escape(column).replace("± ", "±\u{a0}").replace(" − ", "\u{a0}−\u{a0}").replace(" → ", "\u{a0}→\u{a0}");
        let head = head.replace(" (%)", "\u{a0}(%)");
        html.push_str(&format!("<th scope=\"col\">{head}</th>"));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &grid.rows {
        let set_apart = row[0] == AVERAGE || row[0].starts_with(DIFFERS);
        let row_class = if set_apart { " class=\"strong\"" } else { "" };
        html.push_str(&format!("<tr{row_class}><th scope=\"row\">{}</th>", escape(&row[0])));
        for (cell, column) in row.iter().zip(&grid.columns).skip(1) {
            let sign = if cells == Cells::Signed && column != table::STD_CHANGE { sign(cell) } else { None };
            let class = sign.map_or(String::new(), |sign| format!(" class=\"{sign}\""));
            let text = if cells == Cells::Text { escape(cell) } else { stacked(cell) };
            html.push_str(&format!("<td{class}>{text}</td>"));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
    scroll(&format!("table: {label}"), &html)
}

/// A value with what stands in brackets after it on a line of its own, so that tables stay narrow.
fn stacked(cell: &str) -> String {
    let bracket = cell.find(" [").or_else(|| cell.find(" (")).filter(|_| cell.ends_with([']', ')']));
    match bracket {
        Some(at) => format!("{} <small>{}</small>", escape(&cell[..at]), escape(&cell[at + 1..])),
        None => escape(cell),
    }
}

/// Whether a difference is a gain or a loss: that of `+1.1 [+0.4, +2.1]` is a gain, `+1.1 [−0.4, +2.1]` is neither.
fn sign(cell: &str) -> Option<&'static str> {
    let of = |text: &str| match text.chars().next() {
        Some('+') => Some("plus"),
        Some('−') => Some("minus"),
        _ => None,
    };
    match cell.split_once(" [").and_then(|(_, interval)| interval.split_once(", ")) {
        Some((low, high)) => of(cell).filter(|_| of(low) == of(high)),
        None => of(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_linked() {
        let mut body = Body::default();
        body.section("Change from clean, and <b>", "<p>text</p>\n", "a < b");
        let html = body.finish();
        assert!(html.contains("<a href=\"#change-from-clean-and-b\">Change from clean, and &lt;b&gt;</a>"), "{html}");
        assert!(html.contains("<h2 id=\"change-from-clean-and-b\">") && html.contains("a &lt; b"));
    }

    #[test]
    fn cells_carry_their_sign_but_for_the_spread() {
        let cells = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let table = Grid {
            columns: cells(["level", "b − a", table::STD_CHANGE]),
            rows: vec![cells(["average", "−1.0", "−0.5"])],
        };
        let shown = grid(&table, "levels", Cells::Signed);
        assert!(
            shown.contains("<td class=\"minus\">−1.0</td><td>−0.5</td>") && shown.contains("<tr class=\"strong\">")
        );
        assert!(grid(&table, "levels", Cells::Plain).contains("<td>−1.0</td>"));
    }

    #[test]
    fn brackets_stand_below_their_value() {
        assert_eq!(stacked("81.0 ± 2.0 [79.0, 83.0]"), "81.0 ± 2.0 <small>[79.0, 83.0]</small>");
        assert_eq!(stacked("<0.001 (0.004)"), "&lt;0.001 <small>(0.004)</small>");
        assert_eq!(stacked("–"), "–");
    }

    #[test]
    fn an_interval_that_holds_zero_has_no_sign() {
        let cells =
            ["+1.1", "+1.1 [+0.4, +2.1]", "−1.1 [−2.1, −0.4]", "+1.1 [−0.4, +2.1]", "+1.1 [0.0, +2.1]", "81.0 ± 2.0"];
        assert_eq!(cells.map(sign), [Some("plus"), Some("plus"), Some("minus"), None, None, None]);
    }
}
