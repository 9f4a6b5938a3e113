//! One table, rendered for a terminal, as Markdown and as HTML.

mod html;
mod markdown;
mod text;

pub(crate) use html::Cells;
pub(crate) use markdown::markdown_text;
pub(crate) use text::one_line;

/// Header of the column with the change of the standard deviation.
pub(crate) const STD_CHANGE: &str = "± change";

/// Prefix of the name of a setting that differs between runs.
pub(crate) const DIFFERS: &str = "≠ ";

/// A table with names in the first column and values in the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Column headers.
    pub columns: Vec<String>,
    /// Rows. Each has as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let grid = Table {
            columns: cells(["level", "cit"]),
            rows: vec![cells(["clean", "81.0 ± 1.2"]), cells(["word", "–"])],
        };
        assert_eq!(grid.to_text(), "level         cit\n-----------------\nclean  81.0 ± 1.2\nword            –\n");
        assert_eq!(grid.to_markdown(), "| level | cit |\n| --- | ---: |\n| clean | 81.0 ± 1.2 |\n| word | – |\n");
    }

    #[test]
    fn text_from_outside_is_shown_as_text() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let grid = Table {
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
    }
}
