//! Writes files of pairs.

use std::path::Path;

use coin_core::file::write_atomically;

use crate::{DataError, Pair};

/// Writes pairs as JSON lines. The file is written as a whole or not at all.
///
/// # Errors
/// [`DataError::Io`].
///
/// ```
/// use coin_data::Pair;
/// use coin_data::pairs::{read, write_jsonl};
/// let pair = |sentence: &str, target: &str| Pair {
///     original_instruction: format!("Is this well formed? {sentence}"),
///     paraphrased_instruction: format!("{sentence} Would you call that well formed?"),
///     targets: target.to_owned(),
///     task: Some("cola".to_owned()),
///     component: None, wordings: None,
///     keywords: [("sentence".to_owned(), sentence.to_owned())].into(),
/// };
/// let couple = vec![pair("The dog ran.", "acceptable"), pair("Dog the ran.", "unacceptable")];
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("pairs.jsonl");
/// write_jsonl(&path, &couple)?;
/// assert_eq!(read(&path)?, couple);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_jsonl(path: impl AsRef<Path>, pairs: &[Pair]) -> Result<(), DataError> {
    Ok(write_atomically(path, |writer| {
        for pair in pairs {
            serde_json::to_writer(&mut *writer, pair)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    })?)
}
