//! Writes states during a run.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use super::labels::Labels;
use super::{StateLabel, check, file};
use crate::AnalysisError;

/// Writes states one at a time without holding them in memory. Labels, about 100 bytes each, stay in memory.
///
/// States go to an unnamed temporary file in the same folder, which needs as much space as the result until
/// [`finish`](Self::finish) has copied it. A run that ends without `finish` does not leave a file.
///
/// ```
/// use coin_analysis::{RepresentationWriter, Representations, StateLabel};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("states.safetensors");
/// let mut writer = RepresentationWriter::create(&path, "model-1")?;
/// for row in 0..3 {
///     let label = StateLabel { task: "cola", level: "clean", instruction: 0, row, gold: row % 2, predicted: None };
///     writer.push(&label, &[row as f32, 1.0])?;
/// }
/// writer.finish()?;
/// assert_eq!(Representations::read(&path)?.state(2), [2.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RepresentationWriter {
    path: PathBuf,
    model: String,
    width: usize,
    labels: Labels,
    states: BufWriter<File>,
}

impl RepresentationWriter {
    /// Creates a writer for the file `path`, for states of the model with the fingerprint `model`.
    ///
    /// # Errors
    /// [`AnalysisError::Io`] if a file cannot be created in the folder of `path`.
    pub fn create(path: impl Into<PathBuf>, model: impl Into<String>) -> Result<Self, AnalysisError> {
        let path = path.into();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let states = tempfile::tempfile_in(folder).map_err(AnalysisError::io(folder))?;
        let (labels, states) = (Labels::default(), BufWriter::new(states));
        Ok(RepresentationWriter { path, model: model.into(), width: 0, labels, states })
    }

    /// Adds a state, `[d_model]`. The first state sets the width.
    ///
    /// # Errors
    /// Same as [`Representations::push`](super::Representations::push), and [`AnalysisError::Io`].
    pub fn push(&mut self, label: &StateLabel, state: &[f32]) -> Result<(), AnalysisError> {
        check(label, state, &mut self.width)?;
        self.labels.push(label)?;
        let mut write = || state.iter().try_for_each(|value| self.states.write_all(&value.to_le_bytes()));
        write().map_err(AnalysisError::io(&self.path))
    }

    /// Number of states written so far.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if no state has been written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the file atomically.
    ///
    /// # Errors
    /// [`AnalysisError::Io`]; [`AnalysisError::Invalid`] if no state was written.
    pub fn finish(self) -> Result<(), AnalysisError> {
        let path = self.path;
        let mut states = self.states.into_inner().map_err(|error| AnalysisError::io(&path)(error.into_error()))?;
        states.rewind().map_err(AnalysisError::io(&path))?;
        file::write(&path, &self.model, self.width, &self.labels, &mut |writer| {
            io::copy(&mut states, writer).map(|_| ())
        })
    }
}
