//! Tables and text as Markdown.

use coin_core::quote::printable;

use super::Table;

impl Table {
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
