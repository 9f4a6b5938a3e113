//! Finds the columns of the released pairs by name and converts rows to pairs.

use std::collections::BTreeMap;

use coin_core::json;
use coin_core::quote::cut;

use crate::Pair;
use crate::io::header::is_repeated;
use crate::io::json_text;
use crate::io::python_literal::{self, Literal};

const ORIGINAL: &str = "original_instruction";
const PARAPHRASE: &str = "paraphrased_instruction";
const TARGETS: &str = "targets";

/// The places of the columns of a pair in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    original: usize,
    paraphrase: usize,
    targets: usize,
    task: Option<usize>,
    keywords: Option<usize>,
    /// True if `task` or `keywords` was found by name.
    by_name: bool,
}

impl Columns {
    /// Finds the columns in `header`.
    ///
    /// The released file has the task name and the keyword data after the targets, under undocumented names. The columns
    /// `task` and `keywords` are used if they exist, otherwise the first ones with `task` or `keyword` in their names. If
    /// there are none, the first and the second column after the targets are used. Other columns, such as the index that
    /// pandas writes first, are ignored.
    pub(super) fn find(header: &[String]) -> Result<Self, String> {
        let at = |name: &str| header.iter().position(|column| column == name);
        let need = |name: &str| {
            at(name).ok_or_else(|| format!("the header has no column `{name}`, only: {}", cut(&header.join(", "))))
        };
        let (original, paraphrase, targets) = (need(ORIGINAL)?, need(PARAPHRASE)?, need(TARGETS)?);
        let named = |exact: &str, part: &str| {
            at(exact).or_else(|| header.iter().position(|column| column.to_ascii_lowercase().contains(part)))
        };
        let (mut task, mut keywords) = (named("task", "task"), named("keywords", "keyword"));
        let by_name = task.is_some() || keywords.is_some();
        if !by_name {
            let mut after = (targets + 1..header.len()).filter(|&at| at != original && at != paraphrase);
            (task, keywords) = (after.next(), after.next());
        }
        let used = [Some(original), Some(paraphrase), Some(targets), task, keywords];
        if let Some(twice) = used.into_iter().flatten().find(|&at| is_repeated(header, at)) {
            return Err(format!("the column `{}` occurs twice in the header", cut(&header[twice])));
        }
        Ok(Columns { original, paraphrase, targets, task, keywords, by_name })
    }

    /// The places of all columns in use.
    #[cfg(feature = "parquet")]
    pub(super) fn places(&self) -> Vec<usize> {
        let optional = [self.task, self.keywords].into_iter().flatten();
        [self.original, self.paraphrase, self.targets].into_iter().chain(optional).collect()
    }

    /// Converts a row to a pair. `take` returns the text of a column, or `None` for a null.
    pub(super) fn pair(
        &self,
        header: &[String],
        mut take: impl FnMut(usize) -> Option<String>,
    ) -> Result<Pair, String> {
        let mut need = |at: usize| take(at).ok_or_else(|| format!("column `{}`: no text", cut(&header[at])));
        let (original_instruction, paraphrased_instruction) = (need(self.original)?, need(self.paraphrase)?);
        let targets = need(self.targets)?;
        let keywords = match self.keywords.and_then(|at| Some((at, take(at)?))) {
            // A column that was chosen by its position may contain other data.
            Some((_, text)) if !self.by_name && !text.trim_start().starts_with('{') => BTreeMap::new(),
            Some((at, text)) => {
                keywords(&text).map_err(|message| format!("column `{}`: {message}", cut(&header[at])))?
            }
            None => BTreeMap::new(),
        };
        let task = self.task.and_then(&mut take).filter(|task| !task.is_empty());
        Ok(Pair {
            original_instruction,
            paraphrased_instruction,
            targets,
            task,
            component: None,
            wordings: None,
            keywords,
        })
    }
}

/// Parses the keyword data: a Python dictionary or a JSON object as text, or an empty text.
fn keywords(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let entries = match python_literal::parse(text) {
        Ok(Literal::None) => return Ok(BTreeMap::new()),
        Ok(Literal::Dict(entries)) => entries,
        Ok(_) => return Err("expected a dictionary".to_owned()),
        Err(error) => {
            let object = json::from_str::<BTreeMap<String, serde_json::Value>>(text);
            let values = object.map_err(|fault| match fault.is_data() {
                true => json::message(&fault),
                // The notation is unknown, and the released files use Python's.
                false => error.to_string(),
            })?;
            return Ok(values.into_iter().map(|(name, value)| (name, json_text(value))).collect());
        }
    };
    let mut keywords = BTreeMap::new();
    for (name, value) in entries {
        let name = name.into_text();
        if keywords.contains_key(&name) {
            return Err(format!("duplicate key `{}` in a dictionary", cut(&name)));
        }
        keywords.insert(name, value.into_text());
    }
    Ok(keywords)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: &str) -> Result<Columns, String> {
        Columns::find(&header.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn columns_are_found_by_name_or_after_the_targets() {
        let places = |header: &str| {
            let Columns { original, paraphrase, targets, task, keywords, by_name } = find(header).unwrap();
            (original, paraphrase, targets, task, keywords, by_name)
        };
        assert_eq!(
            places(",original_instruction,paraphrased_instruction,targets,a,b,c"),
            (1, 2, 3, Some(4), Some(5), false)
        );
        assert_eq!(
            places("keywords,targets,paraphrased_instruction,original_instruction,x"),
            (3, 2, 1, None, Some(0), true)
        );
        assert_eq!(
            places("original_instruction,paraphrased_instruction,targets,keyword_data,subtask,Task Name,task"),
            (0, 1, 2, Some(6), Some(3), true)
        );
        assert_eq!(places("original_instruction,paraphrased_instruction,targets"), (0, 1, 2, None, None, false));
        assert_eq!(
            find("original_instruction,targets").unwrap_err(),
            "the header has no column `paraphrased_instruction`, only: original_instruction, targets"
        );
        assert_eq!(
            find("targets,original_instruction,paraphrased_instruction,targets").unwrap_err(),
            "the column `targets` occurs twice in the header"
        );
    }

    #[test]
    fn keyword_data_is_python_or_json() {
        let text = |text: &str| keywords(text).map(|map| map.into_iter().collect::<Vec<_>>());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(text("{'a': \"it's\", 'n': [1, 'x']}").unwrap(), [pair("a", "it's"), pair("n", "[1,\"x\"]")]);
        assert_eq!(text(r#"{"a": null, "b": "\ud83d\ude00"}"#).unwrap(), [pair("a", "null"), pair("b", "😀")]);
        assert_eq!(text(" ").unwrap(), []);
        assert_eq!(text("None").unwrap(), []);
        assert_eq!(text("['a']").unwrap_err(), "expected a dictionary");
        assert_eq!(text("{'a': 1, 'a': 2}").unwrap_err(), "duplicate key `a` in a dictionary");
        let twice = text(r#"{"a": null, "a": "\ud83d\ude00"}"#).unwrap_err();
        assert!(twice.starts_with("duplicate key `a`"), "{twice}");
        assert_eq!(text("{'a': x}").unwrap_err(), "python literal, byte 6: unknown name `x`");
    }
}
