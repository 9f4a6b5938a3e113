//! The parser of Python literals.

use super::{Literal, LiteralError};

/// Maximum nesting of lists and dictionaries. Python's parser allows 200; a lower limit keeps the stack small.
const MAX_DEPTH: usize = 100;

/// Parses `text` as a single value.
pub(super) fn value(text: &str) -> Result<Literal, LiteralError> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(found) => Err(parser.error(format!("expected the end, found `{}`", shown(found)))),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Always at a character boundary.
    at: usize,
}

impl Parser<'_> {
    fn error(&self, message: String) -> LiteralError {
        LiteralError { offset: self.at, message }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|next| matches!(next, ' ' | '\t' | '\n' | '\r' | '\x0c')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> LiteralError {
        self.error(match self.peek() {
            Some(found) => format!("expected {what}, found `{}`", shown(found)),
            None => format!("expected {what}, found the end"),
        })
    }

    fn value(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        self.skip_space();
        if depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH}")));
        }
        match self.peek() {
            Some('\'' | '"') => self.string().map(Literal::Text),
            Some('{') => self.dict(depth),
            Some('[') => {
                self.at += 1;
                self.items(']', depth).map(|(items, _)| Literal::List(items))
            }
            Some('(') => {
                self.at += 1;
                let (mut items, comma) = self.items(')', depth)?;
                // Parentheses without a comma only group.
                match items.pop() {
                    Some(only) if items.is_empty() && !comma => Ok(only),
                    last => Ok(Literal::List(items.into_iter().chain(last).collect())),
                }
            }
            Some('+' | '-' | '.' | '0'..='9') => self.number(),
            Some(next) if next.is_alphabetic() || next == '_' => self.name(),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads the values up to `end`. The second result is true if a comma follows the last value.
    fn items(&mut self, end: char, depth: usize) -> Result<(Vec<Literal>, bool), LiteralError> {
        let (mut items, mut comma) = (Vec::new(), false);
        loop {
            self.skip_space();
            if self.take(end) {
                return Ok((items, comma));
            }
            if !items.is_empty() && !comma {
                return Err(self.expected(&format!("`,` or `{end}`")));
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            comma = self.take(',');
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        self.at += 1;
        let (mut entries, mut comma) = (Vec::new(), true);
        loop {
            self.skip_space();
            if self.take('}') {
                return Ok(Literal::Dict(entries));
            }
            if !comma {
                return Err(self.expected("`,` or `}`"));
            }
            // Nested keys would be quoted again at every level, which doubles their length each time.
            if matches!(self.peek(), Some('{' | '[' | '(')) {
                return Err(self.expected("a string, a number or a name as key"));
            }
            let key = self.value(depth + 1)?;
            self.skip_space();
            if !self.take(':') {
                return Err(self.expected("`:`"));
            }
            entries.push((key, self.value(depth + 1)?));
            self.skip_space();
            comma = self.take(',');
        }
    }

    fn name(&mut self) -> Result<Literal, LiteralError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
        let value = match &rest[..end] {
            "None" => Literal::None,
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            name @ ("nan" | "inf") => Literal::Number(name.to_owned()),
            other => return Err(self.error(format!("unknown name `{other:.40}`"))),
        };
        self.at += end;
        Ok(value)
    }

    fn number(&mut self) -> Result<Literal, LiteralError> {
        let start = self.at;
        let signed = self.take('-') || self.take('+');
        if signed && self.text[self.at..].starts_with("inf") {
            self.at += "inf".len();
            return Ok(Literal::Number(self.text[start..self.at].to_owned()));
        }
        let digits = |parser: &mut Self| {
            let before = parser.at;
            while parser.peek().is_some_and(|next| next.is_ascii_digit() || next == '_') {
                parser.at += 1;
            }
            parser.at > before
        };
        let whole = digits(self);
        let fraction = self.take('.') && digits(self);
        if !whole && !fraction {
            return Err(self.expected("a digit"));
        }
        if (self.take('e') || self.take('E')) && {
            let _ = self.take('-') || self.take('+');
            !digits(self)
        } {
            return Err(self.expected("a digit"));
        }
        if self.peek().is_some_and(|next| next.is_alphanumeric() || matches!(next, '.' | '_')) {
            return Err(self.expected("the end of the number"));
        }
        Ok(Literal::Number(self.text[start..self.at].replace('_', "")))
    }

    fn string(&mut self) -> Result<String, LiteralError> {
        let start = self.at;
        let quote = self.next();
        let mut value = String::new();
        loop {
            let at = self.at;
            match self.next() {
                next if next == quote => return Ok(value),
                Some('\\') => self.escape(at, &mut value)?,
                Some(next) => value.push(next),
                None => {
                    self.at = start;
                    return Err(self.error("the string that begins here has no closing quote".to_owned()));
                }
            }
        }
    }

    /// Reads an escape. `backslash` is the position of its backslash.
    fn escape(&mut self, backslash: usize, value: &mut String) -> Result<(), LiteralError> {
        let kind = self.next();
        let plain = match kind {
            Some(same @ ('\\' | '\'' | '"')) => same,
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('a') => '\x07',
            Some('b') => '\x08',
            Some('f') => '\x0c',
            Some('v') => '\x0b',
            // A backslash before a line break continues the line.
            Some('\n') => return Ok(()),
            Some(width @ ('x' | 'u' | 'U')) => {
                let length = match width {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits = self.text.get(self.at..self.at + length);
                let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let character = code.and_then(char::from_u32);
                let Some(character) = character else {
                    self.at = backslash;
                    return Err(self.error(match code {
                        Some(code) => format!("`\\{width}` with {code:x}, which is not a character"),
                        None => format!("`\\{width}` without its {length} hexadecimal digits"),
                    }));
                };
                self.at += length;
                character
            }
            other => {
                self.at = backslash;
                let shown = other.map(shown).unwrap_or_default();
                return Err(self.error(format!("unknown escape `\\{shown}`")));
            }
        };
        value.push(plain);
        Ok(())
    }
}

/// The character, escaped if it would break the line of a message.
fn shown(character: char) -> String {
    if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
}
