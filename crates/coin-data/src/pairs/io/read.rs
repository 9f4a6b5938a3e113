//! Reads pairs, all at once or one at a time.
//!
//! The extension determines the format: `.jsonl` or `.ndjson` (JSON lines), `.csv` (the released format), `.parquet`
//! (with the feature `parquet`).

use std::path::{Path, PathBuf};

use super::{Row, Rows, open};
use crate::{DataError, Pair, ReadOptions, ReadReport};

/// Reads the pairs of the file `path`.
///
/// # Errors
/// - [`DataError::Io`];
/// - [`DataError::Malformed`] with the line, and the column if known, of a row that cannot be read, or if the number of
///   rows is odd;
/// - [`DataError::Empty`] for a file without rows;
/// - [`DataError::Feature`] for a Parquet file in a build without the feature, [`DataError::Invalid`] for an unknown
///   extension.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pairs.csv");
/// let text = r#",original_instruction,paraphrased_instruction,targets,task_name,keyword_data
/// 0,Judge: The dog ran.,"The dog ran. Well formed, or not?",acceptable,cola,{'sentence': 'The dog ran.'}
/// 1,Judge: Dog the ran.,"Dog the ran. Well formed, or not?",unacceptable,cola,{'sentence': 'Dog the ran.'}
/// "#;
/// std::fs::write(&path, text)?;
/// let pairs = coin_data::pairs::read(&path)?;
/// assert_eq!(pairs[1].targets, "unacceptable");
/// assert_eq!(pairs[1].keywords["sentence"], "Dog the ran.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Pair>, DataError> {
    read_with(path, &ReadOptions::default()).map(|(pairs, _)| pairs)
}

/// Reads the pairs of the file `path` under `options`, with a report of the rows left out.
///
/// With [`skip_bad`](ReadOptions::skip_bad) a row that cannot be read is left out together with the other row of its
/// couple (a row at an even index and the next one, bad rows included), and so is a last row without a partner. An error
/// after which the limits of rows are unknown, such as an unbalanced quote in a CSV file, is not skipped. Neither is a
/// couple of two tasks in a file with bad rows: a line is missing or was broken in two, so all later couples are wrong.
///
/// # Errors
/// As [`read`]; [`DataError::Empty`] also if no pair is left.
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<(Vec<Pair>, ReadReport), DataError> {
    let path = path.as_ref();
    gather(path, open(path)?, options)
}

/// Reads the pairs of the file `path` one at a time. One row of JSON lines or CSV is in memory, or about a thousand rows of
/// Parquet.
///
/// An item is a pair or an error. After a row that cannot be read, the next item is the next row; after any other error the
/// iterator ends. The caller checks that the number of rows is even and not zero.
///
/// # Errors
/// As [`read`], for errors that occur when the file is opened.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("pairs.jsonl");
/// # let line = r#"{"original_instruction":"a","paraphrased_instruction":"b","targets":"c"}"#;
/// # std::fs::write(&path, [line; 2].join("\n"))?;
/// let mut longest = 0;
/// for pair in coin_data::pairs::stream(&path)? {
///     longest = longest.max(pair?.targets.len());
/// }
/// assert_eq!(longest, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn stream(path: impl AsRef<Path>) -> Result<PairStream, DataError> {
    let path = path.as_ref();
    Ok(PairStream { path: path.to_owned(), rows: open(path)? })
}

/// An iterator over the pairs of a file. See [`stream`].
pub struct PairStream {
    path: PathBuf,
    rows: Rows,
}

impl std::fmt::Debug for PairStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PairStream").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Iterator for PairStream {
    type Item = Result<Pair, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next()?.and_then(|row| {
            let Row { line, pair } = row;
            pair.map_err(|message| DataError::Malformed { path: self.path.clone(), line, message })
        }))
    }
}

fn gather(path: &Path, rows: Rows, options: &ReadOptions) -> Result<(Vec<Pair>, ReadReport), DataError> {
    let malformed = |line, message| DataError::Malformed { path: path.to_owned(), line, message };
    let mut pairs = Vec::new();
    let mut report = ReadReport::default();
    // A couple of two tasks is an error only if rows were skipped. Remember the first until that is known.
    let mut torn = None;
    let mut first = None;
    for row in rows {
        let row = row?;
        report.rows += 1;
        if !options.skip_bad
            && let Err(message) = row.pair
        {
            return Err(malformed(row.line, message));
        }
        let Some(anchor) = first.take() else {
            first = Some(row);
            continue;
        };
        couple(anchor, row, &mut pairs, &mut report, &mut torn);
    }
    if report.rows == 0 {
        return Err(DataError::Empty { path: path.to_owned(), what: "pair" });
    }
    if let Some(Row { line, pair }) = first {
        if !options.skip_bad {
            let message = format!("{} pairs, expected an even number: pairs come in couples", report.rows);
            return Err(malformed(0, message));
        }
        report.skip(line, pair.err().unwrap_or_else(|| "the last row has no partner".to_owned()));
    }
    if let Some(line) = torn.filter(|_| report.skipped_count > 0) {
        let message = format!(
            "the two rows of a couple have different tasks, and {} rows were left out: a line may be missing",
            report.skipped_count
        );
        return Err(malformed(line, message));
    }
    if pairs.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), what: "readable pair" });
    }
    Ok((pairs, report))
}

/// Keeps both rows of a couple or neither.
fn couple(first: Row, second: Row, pairs: &mut Vec<Pair>, report: &mut ReadReport, torn: &mut Option<usize>) {
    let (lines, partner) =
        ((first.line, second.line), |line| format!("left out with row {line}, its partner in the couple"));
    match (first.pair, second.pair) {
        (Ok(first), Ok(second)) => {
            if first.task.is_some() && second.task.is_some() && first.task != second.task {
                torn.get_or_insert(lines.1);
            }
            pairs.extend([first, second]);
        }
        (one, other) => {
            report.skip(lines.0, one.err().unwrap_or_else(|| partner(lines.1)));
            report.skip(lines.1, other.err().unwrap_or_else(|| partner(lines.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pairs_of(text: &str) -> Result<Vec<Pair>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    const LINE: &str = r#"{"original_instruction":"a","paraphrased_instruction":"b","targets":"c"}"#;

    #[test]
    fn optional_columns_may_be_absent_null_or_of_other_types() {
        let full = r#"{"original_instruction":"a","paraphrased_instruction":"b","targets":"c","task":null,
            "keywords":{"idx":3,"options":["x","y"],"text":"t"},"more":1}"#
            .replace('\n', "");
        let pairs = pairs_of(&format!("{LINE}\n\n{full}\n")).unwrap();
        assert_eq!(pairs[0].keywords, BTreeMap::new());
        assert_eq!((pairs[1].task.as_ref(), pairs[1].keywords["idx"].as_str()), (None, "3"));
        assert_eq!((&*pairs[1].keywords["options"], &*pairs[1].keywords["text"]), (r#"["x","y"]"#, "t"));
        assert_eq!(serde_json::to_string(&pairs[0]).unwrap(), LINE);
    }

    #[test]
    fn bad_files_are_refused_with_their_line() {
        let message = |text: &str| pairs_of(text).unwrap_err().to_string();
        assert!(
            message(&format!("{LINE}\n{{\"targets\":\"c\"}}\n")).contains("pairs.jsonl:2: not a pair: missing field")
        );
        assert!(message(LINE).contains("pairs.jsonl: 1 pairs, expected an even number"));
        assert!(message("\n").ends_with("pairs.jsonl contains no pair"));
    }
}
