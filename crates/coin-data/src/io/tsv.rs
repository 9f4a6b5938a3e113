//! Reads tab-separated rows, with or without CSV quoting.
//!
//! GLUE's original files are plain: a quote character is text, and a field cannot contain a tab or a line break. CSV
//! libraries quote such fields and double the quotes inside. Files do not declare their form, so this module infers it
//! from the whole file, by a rule of this project. A file is *quoted* if
//!
//! 1. every field that contains a quote character is a well-formed CSV field: it starts and ends with a quote, and all
//!    quotes between them are doubled;
//! 2. there is evidence of quoting: a quoted field contains a doubled quote, a tab or a line break (writers that quote
//!    only if necessary), or all fields of the first row are quoted (writers that quote all text); and
//! 3. quotes do not join rows: a row spans several lines only if one of them lacks columns, and a field contains a tab
//!    only if no line of its row has the columns of a complete row.
//!
//! Any other file is plain. In plain text a quotation at the start or in the middle of a field violates the first
//! condition, a field that is a quotation as a whole does not meet the second, and a quotation that begins in one row and
//! ends in another violates the third.

/// A row: its first line, counted from 1, and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) fields: Vec<String>,
}

/// The meaning of quote characters in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// The file has no quote characters.
    Absent,
    /// Quote characters are text.
    Text,
    /// Quote characters enclose fields, as in CSV.
    Enclosing,
}

/// Returns the rows of `text` and the meaning of its quotes. Lines end in `\n` or `\r\n`. Empty lines at the end are ignored.
pub(crate) fn rows(text: &str) -> (Quotes, Vec<Row>) {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return (Quotes::Absent, Vec::new());
    }
    if !text.contains('"') {
        return (Quotes::Absent, plain(text));
    }
    match quoted(text) {
        Some(rows) => (Quotes::Enclosing, rows),
        None => (Quotes::Text, plain(text)),
    }
}

fn plain(text: &str) -> Vec<Row> {
    let split = |line: &str| line.strip_suffix('\r').unwrap_or(line).split('\t').map(str::to_owned).collect();
    text.split('\n').enumerate().map(|(at, line)| Row { line: at + 1, fields: split(line) }).collect()
}

/// Returns the rows of `text` if it is quoted according to the module's rule.
fn quoted(text: &str) -> Option<Vec<Row>> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut rows: Vec<Row> = Vec::new();
    let mut row = Row { line: 1, fields: Vec::new() };
    let (mut line, mut rest) = (1, text);
    let (mut needed, mut first_row_quoted) = (false, true);
    // True if a field of this row contains a tab.
    let mut tabs = false;
    loop {
        let field;
        if let Some(inside) = rest.strip_prefix('"') {
            let length = closing_quote(inside)?;
            let raw = &inside[..length];
            needed |= raw.contains(['"', '\t', '\n']);
            tabs |= raw.contains('\t');
            line += raw.matches('\n').count();
            field = raw.replace("\"\"", "\"");
            rest = &inside[length + 1..];
        } else {
            let length = rest.find(['\t', '\n']).unwrap_or(rest.len());
            let raw = &rest[..length];
            if raw.contains('"') {
                return None;
            }
            first_row_quoted &= !rows.is_empty();
            let ends_line = !rest[length..].starts_with('\t');
            field = if ends_line { raw.strip_suffix('\r').unwrap_or(raw) } else { raw }.to_owned();
            rest = &rest[length..];
        }
        row.fields.push(field);
        if let Some(after) = rest.strip_prefix('\t') {
            rest = after;
            continue;
        }
        let columns = rows.first().unwrap_or(&row).fields.len();
        if !is_one_row(&lines[row.line - 1..line], columns, tabs) {
            return None;
        }
        tabs = false;
        let Some(after) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) else {
            rows.push(row);
            return (rest.is_empty() && (needed || first_row_quoted)).then_some(rows);
        };
        rest = after;
        line += 1;
        rows.push(std::mem::replace(&mut row, Row { line, fields: Vec::new() }));
    }
}

/// True if `lines` can be a single row of `columns` columns. `tabs` is true if a field contains a tab.
fn is_one_row(lines: &[&str], columns: usize, tabs: bool) -> bool {
    if lines.len() == 1 && !tabs {
        return true;
    }
    let counts = || lines.iter().map(|line| line.matches('\t').count() + 1);
    let lacking = lines.len() == 1 || counts().any(|count| count < columns);
    lacking && !(tabs && counts().any(|count| count == columns))
}

/// Returns the position of the closing quote in `inside`, the text after the opening quote.
fn closing_quote(inside: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += inside[at..].find('"')?;
        if !inside[at + 1..].starts_with('"') {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<Vec<String>> {
        rows(text).1.into_iter().map(|row| row.fields).collect()
    }

    #[test]
    fn plain_quotes_are_text() {
        // Quotations at the start, in the middle, unbalanced, and as the whole field.
        for field in ["\"Stay\" is what he said.", "She said \"go\".", "a 5\" nail", "\"", "\"Stay here.\""] {
            assert_eq!(fields(&format!("text\tlabel\n{field}\t1\n")), [vec!["text", "label"], vec![field, "1"]]);
        }
    }

    #[test]
    fn minimal_quoting_is_undone() {
        let text = "text\tlabel\n\"She said \"\"go\"\".\"\t1\nPlain.\t0\n\"Stay here.\"\t1\n";
        assert_eq!(
            fields(text),
            [vec!["text", "label"], vec!["She said \"go\".", "1"], vec!["Plain.", "0"], vec!["Stay here.", "1"]]
        );
    }

    #[test]
    fn full_quoting_is_undone() {
        let text = "\"text\"\t\"label\"\r\n\"Stay here.\"\t1\r\n";
        assert_eq!(fields(text), [vec!["text", "label"], vec!["Stay here.", "1"]]);
    }

    #[test]
    fn lines_are_counted_through_quoted_breaks() {
        let (_, rows) = rows("a\tb\n\"one\ntwo\tthree\"\t1\nlast\t0");
        assert_eq!(rows[1], Row { line: 2, fields: vec!["one\ntwo\tthree".into(), "1".into()] });
        assert_eq!(rows[2].line, 4);
    }

    #[test]
    fn a_quotation_over_two_rows_joins_nothing() {
        // A lenient reader would read these two rows as one.
        let two = "sentence\tlabel\n\"a\t1\nb\"\t0\n";
        assert_eq!(fields(two), [["sentence", "label"], ["\"a", "1"], ["b\"", "0"]]);
        assert_eq!(rows(two).0, Quotes::Text);
        // Well-formed rows elsewhere, or a row without its label, do not change that.
        let more = "sentence\tlabel\n\"a\t1\nb\"\t0\n\"She said \"\"go\"\".\"\t1\nc\n";
        assert_eq!(fields(more)[1..3], [["\"a", "1"], ["b\"", "0"]]);
        assert_eq!(fields("sentence\tlabel\n\"a\t1\noops\nb\"\t0\n").len(), 4);
        // A quotation over two fields of one row.
        let across = "one\ttwo\tlabel\n\"Yes, he said.\tNo, he said.\"\t0\n";
        assert_eq!(fields(across)[1], ["\"Yes, he said.", "No, he said.\"", "0"]);
    }

    #[test]
    fn a_quoted_text_may_come_last_and_break_lines() {
        let text = "label\ttext\n1\t\"one\ntwo\"\n0\tthree\n";
        assert_eq!(fields(text), [["label", "text"], ["1", "one\ntwo"], ["0", "three"]]);
        assert_eq!(rows(text).0, Quotes::Enclosing);
        assert_eq!(rows("a\tb\nc\td\n").0, Quotes::Absent);
    }

    #[test]
    fn one_ill_formed_field_makes_the_file_plain() {
        let text = "text\tlabel\n\"She said \"\"go\"\".\"\t1\n\"Go\" she said.\t0\n";
        assert_eq!(fields(text)[1][0], "\"She said \"\"go\"\".\"");
    }

    #[test]
    fn carriage_returns_and_trailing_lines() {
        assert_eq!(fields("a\tb\r\nc\t\r\n\r\n"), [["a", "b"], ["c", ""]]);
        assert!(rows("\n\n").1.is_empty());
        assert_eq!(fields("a\n\nb").len(), 3, "an empty line in the middle is a row");
    }
}
