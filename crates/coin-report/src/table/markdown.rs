//! Tables and text as Markdown.

use coin_core::quote::printable;

use super::Table;

impl Table {
    /// Returns the table as Markdown. Markdown syntax in cells is escaped and shown literally.
    pub fn to_markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| markdown_text(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        // The line that aligns names left and values right.
        let aligned: Vec<String> =
            (0..self.columns.len()).map(|i| if i == 0 { "---" } else { "---:" }.to_owned()).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}| {} |\n{rows}", line(&self.columns), aligned.join(" | "))
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
            // Before whitespace it is a literal sign, because it cannot start a tag or a character reference.
            '<' | '&' => rest.peek().is_some_and(|next| !next.is_whitespace()),
            '>' => before != Some(' '),
            // Inside a word it is literal, as in mnli_matched.
            '_' => {
                !(before.is_some_and(char::is_alphanumeric) && rest.peek().is_some_and(|next| next.is_alphanumeric()))
            }
            // At the start of a line it begins a list or underlines a heading.
            '-' | '+' | '=' => before.is_none() && !rest.peek().is_some_and(char::is_ascii_digit),
            // After a number at the start of a line it begins a numbered list.
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
