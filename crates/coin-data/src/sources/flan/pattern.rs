//! The pattern of a template: fills in values, and recovers the values from a filled text.

use std::collections::BTreeMap;

/// Values by placeholder.
pub(super) type Values = BTreeMap<String, String>;

/// The placeholder of the list of answers.
pub(super) const OPTIONS: &str = "options_";

/// The beginning of every list of answers in FLAN. It marks where the list starts.
pub(super) const OPTIONS_BEGIN: &str = "OPTIONS:";

/// Texts, each followed by a placeholder, and the text after the last placeholder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern {
    parts: Vec<(String, String)>,
    tail: String,
}

/// The result of matching a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The text does not match the pattern.
    None,
    /// The text matches with more than one choice of values.
    Several,
    /// The text matches with these values only.
    One(Values),
}

impl Pattern {
    /// Parses a text with placeholders in braces. White space around it is ignored, as in FLAN's rows. The value of
    /// `{options_}` is the text after [`OPTIONS_BEGIN`].
    pub(super) fn new(text: &str) -> Self {
        let (mut parts, mut rest) = (Vec::new(), text.trim());
        let mut literal = String::new();
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            match after.split_once('}') {
                Some((name, after))
                    if !name.is_empty() && !name.contains(|c: char| !c.is_alphanumeric() && c != '_') =>
                {
                    if name == OPTIONS {
                        literal.push_str(OPTIONS_BEGIN);
                    }
                    parts.push((std::mem::take(&mut literal), name.to_owned()));
                    rest = after;
                }
                // A brace that does not open a placeholder is text.
                _ => {
                    literal.push('{');
                    rest = after;
                }
            }
        }
        literal.push_str(rest);
        Pattern { parts, tail: literal }
    }

    /// The names of the placeholders, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|(_, name)| name.as_str())
    }

    /// Fills in `values`; returns `None` if one is missing.
    pub(super) fn fill(&self, values: &Values) -> Option<String> {
        let mut text = String::new();
        for (literal, name) in &self.parts {
            text.push_str(literal);
            text.push_str(values.get(name)?);
        }
        Some(text + &self.tail)
    }

    /// Finds the non-empty values with which the pattern gives `text`.
    ///
    /// The literal texts are placed as early as possible, then as late as possible. All other placements lie between these
    /// two, so the match is unique if and only if they agree.
    pub(super) fn find(&self, text: &str) -> Found {
        let text = text.trim();
        let Some((first, _)) = self.parts.first() else {
            return if text == self.tail { Found::One(Values::new()) } else { Found::None };
        };
        let inner = text.strip_prefix(first.as_str()).and_then(|text| text.strip_suffix(self.tail.as_str()));
        let Some(inner) = inner else { return Found::None };
        let between: Vec<&str> = self.parts[1..].iter().map(|(literal, _)| literal.as_str()).collect();
        let (Some(early), Some(late)) = (earliest(inner, &between), latest(inner, &between)) else {
            return Found::None;
        };
        if early != late {
            return Found::Several;
        }
        let mut values = Values::new();
        let mut start = 0;
        let ends = early.iter().copied().chain([inner.len()]);
        let widths = between.iter().map(|literal| literal.len()).chain([0]);
        for ((name, end), width) in self.names().zip(ends).zip(widths) {
            let value = &inner[start..end];
            if values.insert(name.to_owned(), value.to_owned()).is_some_and(|before| before != value) {
                return Found::None;
            }
            start = end + width;
        }
        Found::One(values)
    }
}

/// The earliest position of each of `literals` in `text`, with non-empty text before, between and after them.
fn earliest(text: &str, literals: &[&str]) -> Option<Vec<usize>> {
    let mut start = 0;
    let mut places = Vec::with_capacity(literals.len());
    for literal in literals {
        let from = start + text[start..].chars().next()?.len_utf8();
        let place = from + text[from..].find(literal)?;
        places.push(place);
        start = place + literal.len();
    }
    (start < text.len()).then_some(places)
}

/// The latest positions; otherwise as [`earliest`].
fn latest(text: &str, literals: &[&str]) -> Option<Vec<usize>> {
    let mut end = text.len();
    let mut places = Vec::with_capacity(literals.len());
    for literal in literals.iter().rev() {
        let until = end - text[..end].chars().next_back()?.len_utf8();
        end = text[..until].rfind(literal)?;
        places.push(end);
    }
    places.reverse();
    (end > 0).then_some(places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(pattern: &str, text: &str) -> Found {
        Pattern::new(pattern).find(text)
    }

    fn one(values: &[(&str, &str)]) -> Found {
        Found::One(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_unique_match_gives_the_values() {
        let rte = "{premise}\n\nCan we draw this?\n{hypothesis}\n\n{options_}";
        let text = "A b.\nC.\n\nCan we draw this?\nD.\n\nOPTIONS:\n- yes\n- no";
        let values = [("premise", "A b.\nC."), ("hypothesis", "D."), ("options_", "\n- yes\n- no")];
        assert_eq!(found(rte, text), one(&values));
        assert_eq!(found("{a}\n{options_}", "x\ny\nOPTIONS:\n- z"), one(&[("a", "x\ny"), ("options_", "\n- z")]));
        assert_eq!(found("{context}\n{question}", "a\nb"), one(&[("context", "a"), ("question", "b")]));
        assert_eq!(found("{context}\n{question}", "a\nb\nc"), Found::Several);
        assert_eq!(found("{context}\n{question}", "a b"), Found::None);
        assert_eq!(found("{a}{b}", "xyz"), Found::Several);
        assert_eq!(found("{a}{b}", "xy"), one(&[("a", "x"), ("b", "y")]));
        assert_eq!(found("{a} is {a}", "x is x"), one(&[("a", "x")]));
        assert_eq!(found("{a} is {a}", "x is y"), Found::None);
        assert_eq!(found("Say {a}.", "Say ."), Found::None);
        assert_eq!(found("Say it.", "Say it."), one(&[]));
        assert_eq!(found("{a}, é?\n", " öñ, é?"), one(&[("a", "öñ")]));
        assert_eq!(found("{ {a} }", "{ x }"), one(&[("a", "x")]));
        assert_eq!(found("aa{x}aa", "aaa"), Found::None);
    }

    #[test]
    fn a_missing_value_fills_nothing() {
        assert_eq!(Pattern::new("{a} {b}").fill(&[("a".to_owned(), "x".to_owned())].into()), None);
    }

    proptest! {
        #[test]
        fn what_is_found_gives_the_text(parts in prop::collection::vec("[ab]{0,2}\\{[xyz]\\}", 0..4), tail in "[ab]{0,2}", text in "[ab]{0,9}") {
            let pattern = Pattern::new(&(parts.concat() + &tail));
            if let Found::One(values) = pattern.find(&text) {
                prop_assert_eq!(pattern.fill(&values), Some(text));
            }
        }

        #[test]
        fn what_was_filled_is_found_or_has_several_ways(parts in prop::collection::vec("[ab]{0,2}\\{[xyz]\\}", 1..4), x in "[ab]{1,3}", y in "[ab]{1,3}", z in "[ab]{1,3}") {
            let pattern = Pattern::new(&parts.concat());
            let all: Values = [("x", x), ("y", y), ("z", z)].map(|(name, value)| (name.to_owned(), value)).into();
            let text = pattern.fill(&all).unwrap();
            match pattern.find(&text) {
                Found::None => prop_assert!(false, "{pattern:?} of {text}"),
                Found::Several => {}
                Found::One(values) => prop_assert!(values.iter().all(|(name, value)| all[name] == *value)),
            }
        }
    }
}
