//! Tables as HTML.

use coin_eval::metrics::AVERAGE;

use super::{DIFFERS, STD_CHANGE, Table};
use crate::markup::{escape, scroll};

/// Style of the cells of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cells {
    /// Numbers, aligned right.
    Plain,
    /// Numbers, with a color for gains and for losses. There is no color if more is not better or the interval contains zero.
    Signed,
    /// Text, aligned left.
    Text,
}

impl Table {
    /// Returns the table as HTML. Rows of averages and of settings marked as different are highlighted.
    pub(crate) fn to_html(&self, label: &str, cells: Cells) -> String {
        let class = if cells == Cells::Text { " class=\"text\"" } else { "" };
        let mut html = format!("<table{class}>\n<thead><tr>");
        for column in &self.columns {
            // A header breaks between words, not at a sign.
            let head =
                escape(column).replace("± ", "±\u{a0}").replace(" − ", "\u{a0}−\u{a0}").replace(" → ", "\u{a0}→\u{a0}");
            let head = head.replace(" (%)", "\u{a0}(%)");
            html.push_str(&format!("<th scope=\"col\">{head}</th>"));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            let set_apart = row[0] == AVERAGE || row[0].starts_with(DIFFERS);
            let row_class = if set_apart { " class=\"strong\"" } else { "" };
            html.push_str(&format!("<tr{row_class}><th scope=\"row\">{}</th>", escape(&row[0])));
            for (cell, column) in row.iter().zip(&self.columns).skip(1) {
                let sign = if cells == Cells::Signed && column != STD_CHANGE { sign(cell) } else { None };
                let class = sign.map_or(String::new(), |sign| format!(" class=\"{sign}\""));
                let text = if cells == Cells::Text { escape(cell) } else { stacked(cell) };
                html.push_str(&format!("<td{class}>{text}</td>"));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n");
        scroll(&format!("table: {label}"), &html)
    }
}

/// Returns a cell with the part in brackets on a separate line below the value, so that tables stay narrow.
fn stacked(cell: &str) -> String {
    let bracket = cell.find(" [").or_else(|| cell.find(" (")).filter(|_| cell.ends_with([']', ')']));
    match bracket {
        Some(at) => format!("{} <small>{}</small>", escape(&cell[..at]), escape(&cell[at + 1..])),
        None => escape(cell),
    }
}

/// Returns the class of a gain or loss, if the difference is one: `+1.1 [+0.4, +2.1]` is a gain, `+1.1 [−0.4, +2.1]` is neither.
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
    fn cells_carry_their_sign_but_for_the_spread() {
        let cells = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let table = Table {
            columns: cells(["level", "b − a", STD_CHANGE]),
            rows: vec![cells(["average", "−1.0", "−0.5"])],
        };
        let shown = table.to_html("levels", Cells::Signed);
        assert!(
            shown.contains("<td class=\"minus\">−1.0</td><td>−0.5</td>") && shown.contains("<tr class=\"strong\">")
        );
        assert!(table.to_html("levels", Cells::Plain).contains("<td>−1.0</td>"));
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
