//! Neighbors of words from a lexicon.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use coin_core::quote::cut;
use serde_json::Value;

use super::{Neighbor, Neighbors};
use crate::PerturbError;

static BUILT_IN: LazyLock<Arc<Lexicon>> =
    LazyLock::new(|| Arc::new(Lexicon::parse(include_str!("../../lexicon/neighbors.txt")).unwrap_or_default()));

/// Head words and their replacements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lexicon {
    neighbors: HashMap<String, Vec<String>>,
}

impl Lexicon {
    /// The built-in lexicon, written for this project: about 400 words that are common in instructions, with slightly inaccurate
    /// neighbors like those of a substitution by embeddings.
    pub fn built_in() -> Arc<Lexicon> {
        Arc::clone(&BUILT_IN)
    }

    /// Parses a lexicon: one line per head word, `head: neighbor, neighbor`, all in lower case. Empty lines and lines that begin with
    /// `#` are skipped.
    ///
    /// # Errors
    /// [`PerturbError::Lexicon`] with the line, if a line is missing the colon or neighbors, has an empty or repeated word, or repeats a
    /// head word.
    ///
    /// ```
    /// let lexicon = coin_perturb::Lexicon::parse("# verbs\ndecide: settle, fix\n")?;
    /// assert_eq!(lexicon.get("Decide"), ["settle", "fix"]);
    /// assert!(lexicon.get("ponder").is_empty());
    /// # Ok::<(), coin_perturb::PerturbError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Lexicon, PerturbError> {
        let mut neighbors = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let malformed = |message: String| PerturbError::Lexicon { line: index + 1, message };
            let Some((head, rest)) = line.split_once(':') else {
                return Err(malformed(format!("expected `head: neighbor, neighbor`, found `{}`", cut(line))));
            };
            let head = head.trim().to_lowercase();
            let words: Vec<String> = rest.split(',').map(|word| word.trim().to_owned()).collect();
            for (position, word) in words.iter().enumerate() {
                if word.is_empty() || *word == head || words[..position].contains(word) {
                    return Err(malformed(format!(
                        "`{}` has the empty or repeated neighbor `{}`",
                        cut(&head),
                        cut(word)
                    )));
                }
            }
            if neighbors.insert(head.clone(), words).is_some() {
                return Err(malformed(format!("`{}` already has an entry", cut(&head))));
            }
        }
        Ok(Lexicon { neighbors })
    }

    /// Reads a lexicon from a JSON file `{word: [neighbor, ..]}`, nearest first, the format of published neighbor lists of counter-fitted
    /// vectors. Lists may be empty. The word itself and repetitions in a list are dropped. If two heads differ only in case, the one in
    /// lower case is used.
    ///
    /// # Errors
    /// [`PerturbError::Io`], or [`PerturbError::Malformed`] with the word whose entry is not a list of words.
    pub fn read_json(path: &Path) -> Result<Lexicon, PerturbError> {
        let malformed = |message: String| PerturbError::Malformed { path: path.to_owned(), message };
        let json = std::fs::read(path).map_err(|source| PerturbError::Io { path: path.to_owned(), source })?;
        let lists: BTreeMap<String, Value> = coin_core::json::from_slice(&json)
            .map_err(|error| malformed(format!("expected an object of neighbor lists: {}", cut(&error.to_string()))))?;
        let mut neighbors = HashMap::with_capacity(lists.len());
        for (head, list) in lists {
            let list: Vec<String> = serde_json::from_value(list).map_err(|error| {
                malformed(format!("`{}`: expected a list of words: {}", cut(&head), cut(&error.to_string())))
            })?;
            let mut words: Vec<String> = Vec::with_capacity(list.len());
            for word in list {
                if word.is_empty() {
                    return Err(malformed(format!("`{}` has an empty neighbor", cut(&head))));
                }
                if word != head && !words.contains(&word) {
                    words.push(word);
                }
            }
            // Upper case is first in the order of the map, so lower case overwrites it.
            neighbors.insert(head.to_lowercase(), words);
        }
        Ok(Lexicon { neighbors })
    }

    /// The neighbors of `word` in any case; empty for an unknown word.
    pub fn get(&self, word: &str) -> &[String] {
        let found = match self.neighbors.get(word) {
            Some(found) => Some(found),
            None => self.neighbors.get(word.to_lowercase().as_str()),
        };
        found.map_or(&[], Vec::as_slice)
    }

    /// Number of head words.
    pub fn len(&self) -> usize {
        self.neighbors.len()
    }

    /// True if the lexicon is empty.
    pub fn is_empty(&self) -> bool {
        self.neighbors.is_empty()
    }
}

impl Neighbors for Lexicon {
    fn describe(&self) -> String {
        format!("lexicon of {} words", self.len())
    }

    fn neighbors(&self, word: &str) -> Vec<Neighbor> {
        self.get(word).iter().map(|word| Neighbor { word: word.clone(), cosine: None }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_lexicon_is_well_formed() {
        let lexicon = Lexicon::parse(include_str!("../../lexicon/neighbors.txt")).unwrap();
        assert!((250..=420).contains(&lexicon.len()), "{}", lexicon.len());
        for (head, words) in &lexicon.neighbors {
            assert!((2..=5).contains(&words.len()), "{head}");
            assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())), "{head}: {words:?}");
            assert!(!crate::language::stop_words::contains(head), "{head} is a stop word and would never be looked up");
        }
    }

    #[test]
    fn lists_from_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Lexicon::read_json(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
        };
        let lexicon = read(r#"{"Film": ["x"], "film": ["movie", "film", "movie", "kino"], "br": []}"#).unwrap();
        assert_eq!(lexicon.get("FILM"), ["movie", "kino"]);
        assert!(lexicon.get("br").is_empty());
        assert_eq!(lexicon.neighbors("film")[0], Neighbor { word: "movie".to_owned(), cosine: None });
        assert!(read(r#"{"film": ["movie"], "film": []}"#).unwrap_err().contains("duplicate key `film`"));
        assert!(read("[]").unwrap_err().starts_with("FILE: expected an object of neighbor lists: "));
        assert!(read(r#"{"film": [1]}"#).unwrap_err().starts_with("FILE: `film`: expected a list of words: "));
        assert_eq!(read(r#"{"film": [""]}"#).unwrap_err(), "FILE: `film` has an empty neighbor");
        assert!(Lexicon::read_json(&folder.path().join("absent")).unwrap_err().to_string().contains("absent"));
    }

    #[test]
    fn bad_lines_are_named() {
        let message = |text| Lexicon::parse(text).unwrap_err().to_string();
        assert_eq!(message("a: b\nno colon"), "lexicon line 2: expected `head: neighbor, neighbor`, found `no colon`");
        assert_eq!(message("a: b, b"), "lexicon line 1: `a` has the empty or repeated neighbor `b`");
        assert_eq!(message("a: b\na: c"), "lexicon line 2: `a` already has an entry");
    }
}
