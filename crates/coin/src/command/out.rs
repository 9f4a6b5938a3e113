//! Checks of `--out`, before any work.

use std::path::{Path, PathBuf};

use anyhow::Context;
use coin::core::file::check_writable;
use coin::core::output_folder::{self, OutputFolder};
use coin::demo::BASE_FILES;
use coin::eval::folder;

use crate::failure::{Failure, OrFail, bad_input};

/// Refuses an output folder before any work if it cannot be written to, or if this program did not create it and it contains
/// something with a name in `written`. Does not create or change anything.
pub fn check_out_folder(out: &Path, written: &[&str]) -> Result<(), Failure> {
    let named = || format!("--out {}", out.display());
    output_folder::check(out, written).with_context(named).input()?;
    match out.is_dir() {
        true => check_writable(out).with_context(named).input(),
        false => Ok(()),
    }
}

/// Creates the folder `out` if it does not exist, and locks it: no other process of this program writes to it until the returned
/// value is dropped.
pub fn claim_out_folder(out: &Path, written: &[&str]) -> Result<OutputFolder, Failure> {
    let made = std::fs::create_dir_all(out);
    made.with_context(|| format!("--out {}: cannot create the folder", out.display())).input()?;
    OutputFolder::claim(out, written).with_context(|| format!("--out {}", out.display())).input()
}

/// Refuses an output file before any work. Its folder must exist and be writable, and the file must not be one of the `inputs`
/// (given with their names for the message) or a result in a folder of this program, not even through another path.
pub fn check_out(out: &Path, inputs: &[(&str, &Path)]) -> Result<(), Failure> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return bad_input(format!("--out {}: no such folder as {}", out.display(), folder.display()));
    }
    if out.is_dir() {
        return bad_input(format!("--out {}: is a folder, expected a file", out.display()));
    }
    if let Ok(to) = out.canonicalize()
        && let Some((name, _)) = inputs.iter().find(|(_, input)| input.canonicalize().is_ok_and(|from| from == to))
    {
        return bad_input(format!("--out {}: is the {name}, which would be overwritten", out.display()));
    }
    if let Some(owner) = result_of(out, folder) {
        return bad_input(format!(
            "--out {}: is a result in {}, which would be damaged; choose another name",
            out.display(),
            owner.display()
        ));
    }
    check_writable(folder).with_context(|| format!("--out {}", out.display())).input()
}

/// Returns the folder of this program that the file `out` in `folder` is a result of: `out` exists there, or is inside one of
/// its folders of results. Reports do not count, because they can be written again.
fn result_of(out: &Path, folder: &Path) -> Option<PathBuf> {
    let out = match out.canonicalize() {
        Ok(out) => out,
        Err(_) => folder.canonicalize().ok()?.join(out.file_name()?),
    };
    let owners = out.ancestors().skip(1).filter(|folder| folder.join(output_folder::MARKER).exists());
    let is_result = |owner: &&Path| {
        let Ok(inside) = out.strip_prefix(owner) else { return false };
        let name = inside.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
        let is_name = name == output_folder::MARKER || RESULTS.iter().any(|names| names.contains(&name));
        is_name && name != "report.html" && (out.exists() || inside.iter().count() > 1)
    };
    owners.into_iter().find(is_result).map(Path::to_owned)
}

/// The names that commands write in their output folders: evaluations, demos and their base models, training runs, experiments.
const RESULTS: [&[&str]; 5] = [
    &folder::ENTRIES,
    &["instructions.json", "pairs.jsonl"],
    &BASE_FILES,
    &coin::train::RUN_FOLDER_ENTRIES,
    &coin::experiment::ENTRIES,
];
