//! Untrusted text in messages: truncated, and without control characters.
//!
//! A row of a damaged file, a server's answer or a name in a configuration may be megabytes long or contain terminal escape
//! sequences. Every message that quotes such text passes it through [`cut`]; text that is printed in full passes through [`printable`].

use std::borrow::Cow;
use std::fmt::Write;

/// Maximum number of characters of a text that a message quotes.
const LONGEST: usize = 200;

/// Returns `text` for quoting in a message: [`printable`], on one line, and truncated to 200 characters, followed by its
/// original length.
///
/// ```
/// use coin_core::quote::cut;
/// assert_eq!(cut("not sure"), "not sure");
/// assert_eq!(cut("two\nlines\u{1b}[31m"), "two\\nlines\\u{1b}[31m");
/// let long = "ab".repeat(5_000);
/// let long = cut(&long);
/// assert!(long.starts_with("abab") && long.ends_with("ab… (10000 characters)"));
/// ```
pub fn cut(text: &str) -> Cow<'_, str> {
    let end = text.char_indices().nth(LONGEST).map(|(end, _)| end);
    match end {
        None => escape(text, &[]),
        Some(end) => {
            let mut shown = escape(&text[..end], &[]).into_owned();
            let _ = write!(shown, "… ({} characters)", text.chars().count());
            shown.into()
        }
    }
}

/// Returns `text` with control characters escaped, except line feeds and tabs.
///
/// ```
/// assert_eq!(coin_core::quote::printable("a\u{1b}]0;title\u{7}\n"), "a\\u{1b}]0;title\\u{7}\n");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, &['\n', '\t'])
}

/// True if a terminal may interpret `c` instead of showing it: control characters, and characters that change text direction.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let escaped = |c: char| is_unsafe(c) && !kept.contains(&c);
    if !text.contains(escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match escaped(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_truncated_by_characters() {
        let longest = "é".repeat(LONGEST);
        assert_eq!(cut(&longest), longest);
        assert_eq!(cut(&format!("{longest}é")), format!("{longest}… (201 characters)"));
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(cut("\u{9b}2J\u{202e}evil\r"), "\\u{9b}2J\\u{202e}evil\\r");
        assert_eq!(printable("tab\tline\r\n"), "tab\tline\\r\n");
        assert!(matches!(printable("as it is: ü 漢 🙂"), Cow::Borrowed(_)));
    }
}
