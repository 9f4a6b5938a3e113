//! Tables for a terminal.

use std::borrow::Cow;

use coin_core::quote::printable;

use super::Table;

impl Table {
    /// Returns the table with padded columns, names aligned left, values aligned right, and a line under the headers. Each cell is
    /// one line, with its control characters escaped.
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
}

/// Returns `text` on one line, with its control characters escaped.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    match printable(text) {
        shown if shown.contains(['\n', '\t']) => shown.replace(['\n', '\t'], " ").into(),
        shown => shown,
    }
}
