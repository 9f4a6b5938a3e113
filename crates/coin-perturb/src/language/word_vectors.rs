//! Neighbors by the cosine of word vectors, from a file in GloVe's text format.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use coin_core::quote::cut;

use super::{Neighbor, Neighbors};
use crate::PerturbError;

/// Word vectors as a source of neighbors.
///
/// The file has a line `word v1 v2 ..` for each word, with columns separated by ASCII white space. A first line of two whole
/// numbers is word2vec's header `count dimensions`. GloVe's files and counter-fitted vectors have this format. The file
/// is read line by line; in memory a word takes four bytes per dimension.
///
/// Finding neighbors computes the cosine with every word, so the time is proportional to the number of words.
///
/// ```
/// use coin_perturb::{Neighbors, WordVectors};
/// let vectors = WordVectors::parse("film 1 0\nmovie 0.9 0.1\nlion 0 1\n")?;
/// let found = vectors.neighbors("Film");
/// assert_eq!(found.iter().map(|neighbor| neighbor.word.as_str()).collect::<Vec<_>>(), ["movie"]);
/// // 0.9 over the root of 0.82.
/// assert!(found[0].cosine.is_some_and(|cosine| (cosine - 0.993_884).abs() < 1e-6));
/// # Ok::<(), coin_perturb::PerturbError>(())
/// ```
#[derive(Clone)]
pub struct WordVectors {
    words: Vec<String>,
    index: HashMap<String, usize>,
    dimensions: usize,
    /// `[words, dimensions]`. Each row has length 1, or 0 if the row in the file is zero.
    rows: Vec<f32>,
    nearest: usize,
    min_cosine: f32,
}

impl WordVectors {
    /// Reads the vectors in the file at `path`, with the default limits of [`WordVectors::with_limits`].
    ///
    /// # Errors
    /// [`PerturbError::Io`], or [`PerturbError::Malformed`] with the line if a row has another number of columns than the first row (or
    /// the header), a value is not a finite number, or the number of rows differs from the header.
    pub fn read(path: &Path) -> Result<WordVectors, PerturbError> {
        let file = File::open(path).map_err(|source| PerturbError::Io { path: path.to_owned(), source })?;
        WordVectors::from_lines(BufReader::with_capacity(1 << 16, file), path)
    }

    /// Same as [`WordVectors::read`], from text.
    ///
    /// # Errors
    /// Same as [`WordVectors::read`], with `text` instead of the path.
    pub fn parse(text: &str) -> Result<WordVectors, PerturbError> {
        WordVectors::from_lines(text.as_bytes(), Path::new("text"))
    }

    /// Sets the maximum number of neighbors of a word (default 50) and their minimum cosine (default 0.6). Both defaults are
    /// PromptBench's for TextFooler.
    #[must_use]
    pub fn with_limits(mut self, nearest: usize, min_cosine: f32) -> WordVectors {
        (self.nearest, self.min_cosine) = (nearest, min_cosine);
        self
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// True if there are no words.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Length of a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn from_lines(mut lines: impl BufRead, path: &Path) -> Result<WordVectors, PerturbError> {
        let io = |source| PerturbError::Io { path: path.to_owned(), source };
        let malformed = |message: String| PerturbError::Malformed { path: path.to_owned(), message };
        let mut vectors = WordVectors {
            words: Vec::new(),
            index: HashMap::new(),
            dimensions: 0,
            rows: Vec::new(),
            nearest: 50,
            min_cosine: 0.6,
        };
        let mut header = None;
        let (mut bytes, mut number, mut rows) = (Vec::new(), 0, 0);
        loop {
            bytes.clear();
            if lines.read_until(b'\n', &mut bytes).map_err(io)? == 0 {
                break;
            }
            number += 1;
            let line = std::str::from_utf8(&bytes).map_err(|_| malformed(format!("line {number}: invalid UTF-8")))?;
            // Words may contain other white space, such as a no-break space.
            let mut columns = line.split_ascii_whitespace();
            let Some(word) = columns.next() else { continue };
            let columns: Vec<&str> = columns.collect();
            if number == 1
                && let (Ok(count), [dimensions]) = (word.parse::<usize>(), &columns[..])
                && let Ok(dimensions) = dimensions.parse::<usize>()
                && dimensions > 0
            {
                header = Some(count);
                vectors.dimensions = dimensions;
                continue;
            }
            if vectors.dimensions == 0 {
                vectors.dimensions = columns.len();
            }
            if columns.len() != vectors.dimensions || columns.is_empty() {
                return Err(malformed(format!(
                    "line {number}, `{}`: expected {} columns, found {}",
                    cut(word),
                    vectors.dimensions.max(1) + 1,
                    columns.len() + 1
                )));
            }
            vectors.push(word, &columns).map_err(|value| {
                malformed(format!("line {number}, `{}`: expected a finite number, found `{}`", cut(word), cut(value)))
            })?;
            rows += 1;
        }
        match header {
            Some(count) if count != rows => {
                Err(malformed(format!("the header on line 1 promises {count} words, the file has {rows}")))
            }
            _ if rows == 0 => Err(malformed("expected lines `word v1 v2 ..`, found none".to_owned())),
            _ => Ok(vectors),
        }
    }

    /// Adds a word and its vector, scaled to length 1. The first of several rows of a word counts.
    fn push<'a>(&mut self, word: &str, columns: &[&'a str]) -> Result<(), &'a str> {
        let begin = self.rows.len();
        for column in columns {
            match column.parse::<f32>() {
                Ok(value) if value.is_finite() => self.rows.push(value),
                _ => return Err(column),
            }
        }
        if self.index.contains_key(word) {
            self.rows.truncate(begin);
            return Ok(());
        }
        let row = &mut self.rows[begin..];
        // In f64, since the sum of squares of finite f32 may overflow f32.
        let length = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            row.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
        self.index.insert(word.to_owned(), self.words.len());
        self.words.push(word.to_owned());
        Ok(())
    }

    fn position(&self, word: &str) -> Option<usize> {
        self.index.get(word).or_else(|| self.index.get(word.to_lowercase().as_str())).copied()
    }

    fn row(&self, position: usize) -> &[f32] {
        &self.rows[position * self.dimensions..(position + 1) * self.dimensions]
    }
}

/// Of two vectors of length 1.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>().clamp(-1.0, 1.0)
}

impl fmt::Debug for WordVectors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WordVectors({})", self.describe())
    }
}

impl Neighbors for WordVectors {
    fn describe(&self) -> String {
        format!(
            "vectors of {} words in {} dimensions, the {} nearest of cosine {} or more",
            self.len(),
            self.dimensions,
            self.nearest,
            self.min_cosine
        )
    }

    fn neighbors(&self, word: &str) -> Vec<Neighbor> {
        let Some(own) = self.position(word) else { return Vec::new() };
        let vector = self.row(own);
        let mut found: Vec<(f32, usize)> = (0..self.len())
            .filter(|position| *position != own)
            .map(|position| (cosine(vector, self.row(position)), position))
            .filter(|(cosine, _)| *cosine >= self.min_cosine)
            .collect();
        // Words with equal cosines are in the order of the file.
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(self.nearest);
        let neighbor =
            |(cosine, position): (f32, usize)| Neighbor { word: self.words[position].clone(), cosine: Some(cosine) };
        found.into_iter().map(neighbor).collect()
    }

    fn cosine(&self, first: &str, second: &str) -> Option<f32> {
        Some(cosine(self.row(self.position(first)?), self.row(self.position(second)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        WordVectors::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn neighbors_in_order_and_within_limits() {
        // Cosines with `a`: b 0.8, c 0.6, d 0, z none.
        let vectors = WordVectors::parse("5 2\na 2 0\nb 4 3\nc 3 4\nd 0 1\nz 0 0\n").unwrap();
        assert_eq!((vectors.len(), vectors.dimensions()), (5, 2));
        let words = |vectors: &WordVectors| -> Vec<String> {
            vectors.neighbors("A").into_iter().map(|neighbor| neighbor.word).collect()
        };
        let vectors = vectors.with_limits(50, 0.59);
        assert_eq!(words(&vectors), ["b", "c"]);
        assert_eq!(words(&vectors.clone().with_limits(1, 0.59)), ["b"]);
        assert_eq!(words(&vectors.clone().with_limits(50, 0.7)), ["b"]);
        assert!(vectors.neighbors("z").is_empty() && vectors.neighbors("absent").is_empty());
        // 4/5 * 3/5 + 3/5 * 4/5, exact up to the rounding of f32.
        assert!((vectors.cosine("b", "C").unwrap() - 0.96).abs() < 1e-6);
        assert_eq!(vectors.cosine("b", "absent"), None);
    }

    #[test]
    fn a_word_of_digits_is_no_header_when_it_has_a_vector() {
        let vectors = WordVectors::parse("7 1 0\n8 1 1\n\n8 0 1\nno\u{a0}break 1 2").unwrap();
        assert_eq!(vectors.len(), 3);
        assert!((vectors.cosine("7", "8").unwrap() - 0.5_f32.sqrt()).abs() < 1e-6);
        assert!(vectors.position("no\u{a0}break").is_some());
    }

    #[test]
    fn bad_files_are_named() {
        assert_eq!(message("a 1 2\nb 1\n"), "text: line 2, `b`: expected 3 columns, found 2");
        assert_eq!(message("1 3\na 1 2\n"), "text: line 2, `a`: expected 4 columns, found 3");
        assert_eq!(message("a 1 2\nb c 1 2"), "text: line 2, `b`: expected 3 columns, found 4");
        assert_eq!(message("alone\n"), "text: line 1, `alone`: expected 2 columns, found 1");
        assert_eq!(message("a 1 x\n"), "text: line 1, `a`: expected a finite number, found `x`");
        assert_eq!(message("a 1 inf\n"), "text: line 1, `a`: expected a finite number, found `inf`");
        assert_eq!(message("3 2\na 1 2\n"), "text: the header on line 1 promises 3 words, the file has 1");
        assert_eq!(message(""), "text: expected lines `word v1 v2 ..`, found none");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.txt");
        std::fs::write(&path, b"a 1\n\xff 1\n").unwrap();
        assert!(WordVectors::read(&path).unwrap_err().to_string().ends_with("vectors.txt: line 2: invalid UTF-8"));
        assert!(WordVectors::read(&folder.path().join("absent")).unwrap_err().to_string().contains("absent"));
    }
}
