//! Tab-separated rows, with or without CSV quoting.
//!
//! GLUE's own files are plain: a quote character is part of the text, and there is no way to write a tab or a line
//! break inside a field. Files written by CSV libraries quote such fields and double the quotes inside. Nothing in
//! a file says which form it has, so it is decided from the whole file (the rule is ours). A file is *quoted* if
//!
//! 1. every field with a quote character in it is a well-formed CSV field: it starts and ends with a quote, and
//!    every quote between is doubled; and
//! 2. quoting shows: a quoted field holds a doubled quote, a tab or a line break (writers that quote only where
//!    they must), or the first row has nothing but quoted fields (writers that quote all text).
//!
//! Any other file is plain. In plain text a quotation at the start or in the middle of a field breaks the first
//! condition, and a field that happens to be one quotation as a whole does not meet the second.

/// A row: its line in the file, counted from 1, and its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) fields: Vec<String>,
}

/// The rows of `text`. Lines end in `\n` or `\r\n`; empty lines at the end are no rows.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Vec::new();
    }
    quoted(text).unwrap_or_else(|| plain(text))
}

fn plain(text: &str) -> Vec<Row> {
    let split = |line: &str| line.strip_suffix('\r').unwrap_or(line).split('\t').map(str::to_owned).collect();
    text.split('\n').enumerate().map(|(at, line)| Row { line: at + 1, fields: split(line) }).collect()
}

/// The rows of `text` if it is quoted by the module's rule.
fn quoted(text: &str) -> Option<Vec<Row>> {
    if !text.contains('"') {
        return None;
    }
    let mut rows = Vec::new();
    let mut row = Row { line: 1, fields: Vec::new() };
    let (mut line, mut rest) = (1, text);
    let (mut needed, mut first_row_quoted) = (false, true);
    loop {
        let field;
        if let Some(inside) = rest.strip_prefix('"') {
            let length = closing_quote(inside)?;
            let raw = &inside[..length];
            needed |= raw.contains(['"', '\t', '\n']);
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
        let Some(after) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) else {
            rows.push(row);
            return (rest.is_empty() && (needed || first_row_quoted)).then_some(rows);
        };
        rest = after;
        line += 1;
        rows.push(std::mem::replace(&mut row, Row { line, fields: Vec::new() }));
    }
}

/// Where the quote that closes a field stands in `inside`, the text after its opening quote.
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
        rows(text).into_iter().map(|row| row.fields).collect()
    }

    #[test]
    fn plain_quotes_are_text() {
        // A quotation at the start, in the middle, unbalanced, and one that is the whole field.
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
        let rows = rows("a\tb\n\"one\ntwo\tthree\"\t1\nlast\t0");
        assert_eq!(rows[1], Row { line: 2, fields: vec!["one\ntwo\tthree".into(), "1".into()] });
        assert_eq!(rows[2].line, 4);
    }

    #[test]
    fn one_ill_formed_field_makes_the_file_plain() {
        let text = "text\tlabel\n\"She said \"\"go\"\".\"\t1\n\"Go\" she said.\t0\n";
        assert_eq!(fields(text)[1][0], "\"She said \"\"go\"\".\"");
    }

    #[test]
    fn carriage_returns_and_trailing_lines() {
        assert_eq!(fields("a\tb\r\nc\t\r\n\r\n"), [["a", "b"], ["c", ""]]);
        assert!(rows("\n\n").is_empty());
        assert_eq!(fields("a\n\nb").len(), 3, "an empty line in the middle is a row");
    }
}
