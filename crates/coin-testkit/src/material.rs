//! Small models and data in the forms that users have.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// The files of the demo's base model.
const BASE_FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// The folder of the demo's base model in the repository.
pub fn demo_base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../coin/assets/demo-base")
}

/// A copy of the demo's base model in the new folder `dir/base`.
///
/// # Panics
/// If it cannot be written.
pub fn demo_base_copy(dir: &Path) -> PathBuf {
    let base = dir.join("base");
    create(&base);
    for name in BASE_FILES {
        let copied = std::fs::copy(demo_base().join(name), base.join(name));
        copied.unwrap_or_else(|error| panic!("{}: {error}", base.join(name).display()));
    }
    base
}

/// Writes the file `name` (`train.tsv` or `dev.tsv`) of CoLA in the GLUE folder `glue`, from rows of a class and a sentence.
///
/// # Panics
/// If it cannot be written.
pub fn write_cola(glue: &Path, name: &str, rows: impl IntoIterator<Item = (impl Display, impl Display)>) {
    let folder = glue.join("CoLA");
    create(&folder);
    let lines = rows.into_iter().map(|(class, sentence)| format!("w\t{class}\t\t{sentence}\n"));
    let written = std::fs::write(folder.join(name), lines.collect::<String>());
    written.unwrap_or_else(|error| panic!("{}: {error}", folder.join(name).display()));
}

fn create(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
}
