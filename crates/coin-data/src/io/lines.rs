//! Reads a file line by line, with a limit on the length of a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::DataError;

/// Maximum length of a row in bytes (this project's). It keeps an unclosed quote, or a file that is not text, from filling
/// the memory.
pub(crate) const MAX_ROW: usize = 1 << 26;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a file, without the byte order mark.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    line: usize,
}

impl Lines {
    /// Opens `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io(path))?;
        Ok(Lines {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 16, file),
            buffer: Vec::new(),
            line: 0,
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the last line read, counted from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The next line without its line feed; `None` after the last line.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>, DataError> {
        self.buffer.clear();
        let limited = &mut self.reader.by_ref().take(MAX_ROW as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.buffer).map_err(DataError::io(&self.path))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if read > MAX_ROW {
            return Err(too_long(&self.path, self.line));
        }
        let mark = if self.line == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Ok(Some(&self.buffer[mark..]))
    }
}

/// The error of a row that begins at `line` and is too long.
pub(crate) fn too_long(path: &Path, line: usize) -> DataError {
    let message = format!("a row of more than {} MiB", MAX_ROW >> 20);
    DataError::Malformed { path: path.to_owned(), line, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<(usize, Vec<u8>)>, DataError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut lines = Lines::open(file.path())?;
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()?.map(<[u8]>::to_vec) {
            all.push((lines.line(), line));
        }
        Ok(all)
    }

    #[test]
    fn lines_are_counted_and_the_mark_is_dropped() {
        assert_eq!(lines(b"").unwrap(), []);
        let all = lines(b"\xef\xbb\xbfa\n\n\xef\xbb\xbfb\r\nlast").unwrap();
        let texts: Vec<&[u8]> = all.iter().map(|(_, text)| &text[..]).collect();
        assert_eq!(texts, [&b"a"[..], b"", b"\xef\xbb\xbfb\r", b"last"]);
        assert_eq!(all.last().unwrap().0, 4);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut bytes = vec![b'x'; MAX_ROW + 1];
        bytes[0] = b'\n';
        assert_eq!(lines(&bytes).unwrap().len(), 2, "just as long as allowed");
        bytes.push(b'x');
        assert!(lines(&bytes).unwrap_err().to_string().ends_with(":2: a row of more than 64 MiB"));
    }
}
