//! Finds the files of a task's split.

use std::path::{Path, PathBuf};

use crate::sources::glue::Split;
use crate::sources::glue::form::{Form, Names};
use crate::{DataError, Task};

/// The supported extensions, in the order in which they are tried.
const ENDINGS: [&str; 4] = ["tsv", "csv", "jsonl", "parquet"];

/// The files of `split`, in reading order.
pub(super) fn find(form: &Form, dir: &Path, task: &Task, split: Split) -> Result<Vec<PathBuf>, DataError> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(DataError::io(dir))? {
        let entry = entry.map_err(DataError::io(dir))?;
        if entry.path().is_dir() {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            let place = form.folders.iter().position(|(folder, _)| *folder == name);
            folders.extend(place.map(|place| (place, entry.path())));
        }
    }
    // If the name exists in several cases, upper case comes first.
    folders.sort();
    if folders.is_empty() {
        folders.push((
            0,
            dir.join(match form.folders[0].0 {
                "cola" => "CoLA".to_owned(),
                name => name.to_uppercase(),
            }),
        ));
    }
    let mut search = Search { looked_for: Vec::new(), unreadable: None };
    for (place, folder) in &folders {
        let names = match split {
            Split::Train => form.train,
            Split::Validation => form.folders[*place].1,
        };
        if let Some(paths) = search.folder(folder, names)? {
            return Ok(paths);
        }
    }
    let mut looked_for = search.looked_for.join(", or ");
    if let Some(path) = search.unreadable {
        let error = DataError::Feature { path, feature: "parquet" };
        looked_for = format!("{looked_for}; {error}");
    }
    Err(DataError::NotFound { task: task.name.clone(), looked_for })
}

/// True if the file `name`, with folders separated by `/`, may belong to `split`: `FOLDER/SPLIT.EXTENSION` or a part of it.
pub(super) fn is_file_of(form: &Form, name: &str, split: Split) -> bool {
    let mut parts = name.rsplit('/');
    let (file, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().to_lowercase());
    form.folders.iter().filter(|(known, _)| *known == folder).any(|(_, validation)| {
        let names = if split == Split::Train { form.train } else { validation };
        names.iter().flat_map(|files| *files).any(|known| match file.strip_prefix(known) {
            Some("") => known.contains('.'),
            Some(rest) => {
                let part = rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
                ENDINGS.iter().any(|ending| {
                    rest.strip_suffix(ending).is_some_and(|rest| rest == "." || part && rest.ends_with('.'))
                })
            }
            None => false,
        })
    })
}

struct Search {
    looked_for: Vec<String>,
    /// An existing Parquet file that this build cannot read.
    unreadable: Option<PathBuf>,
}

impl Search {
    /// The files of the first alternative in `names` that exist in `folder`.
    fn folder(&mut self, folder: &Path, names: Names) -> Result<Option<Vec<PathBuf>>, DataError> {
        for files in names {
            let mut paths = Vec::new();
            let mut complete = true;
            for file in *files {
                let found = self.file(folder, file)?;
                complete &= !found.is_empty();
                paths.extend(found);
            }
            if complete {
                return Ok(Some(paths));
            }
            let pattern = |file: &&str| {
                let path = folder.join(file).display().to_string();
                if file.contains('.') { path } else { format!("{path}.{{{}}}", ENDINGS.join(",")) }
            };
            self.looked_for.push(files.iter().map(pattern).collect::<Vec<_>>().join(" with "));
        }
        Ok(None)
    }

    /// The file called `name`, or its parts in order; empty if it does not exist.
    fn file(&mut self, folder: &Path, name: &str) -> Result<Vec<PathBuf>, DataError> {
        if name.contains('.') {
            return Ok(Some(folder.join(name)).filter(|path| path.is_file()).into_iter().collect());
        }
        for ending in ENDINGS {
            let path = folder.join(format!("{name}.{ending}"));
            let mut paths = if path.is_file() { vec![path] } else { Vec::new() };
            if ending == "parquet" {
                if paths.is_empty() {
                    paths = parts(folder, name)?;
                }
                if !cfg!(feature = "parquet") {
                    self.unreadable = self.unreadable.take().or(paths.into_iter().next());
                    continue;
                }
            }
            if !paths.is_empty() {
                return Ok(paths);
            }
        }
        Ok(Vec::new())
    }
}

/// The files `NAME-00000-of-00002.parquet`, `NAME-00001-of-00002.parquet`, as the hub's converter names them.
fn parts(folder: &Path, name: &str) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    let mut total = None;
    // A missing folder has no parts.
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let file = entry.map_err(DataError::io(folder))?.file_name();
        let numbers = file.to_str().and_then(|file| {
            let (part, of) =
                file.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(".parquet")?.split_once("-of-")?;
            Some((part.parse::<usize>().ok()?, of.parse::<usize>().ok()?))
        });
        if let Some((part, of)) = numbers {
            total = total.max(Some(of));
            paths.push((part, folder.join(file)));
        }
    }
    paths.sort();
    if let Some(total) = total
        && !paths.iter().map(|(part, _)| *part).eq(0..total)
    {
        let (found, folder) = (paths.len(), folder.display());
        return Err(DataError::Invalid(format!(
            "{folder}: {name}-*.parquet are {found} files, expected {total} parts"
        )));
    }
    Ok(paths.into_iter().map(|(_, path)| path).collect())
}
