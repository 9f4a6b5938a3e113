//! Runs a small `scripts/medium_reproduction.sh` from public files to the table: 1 % of the pairs, one to three steps, one example per task.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use coin_testkit::test_folder;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the folder of public files and the folder of the built programs, or prints a message and returns `None`.
fn material(test: &str) -> Option<(PathBuf, PathBuf)> {
    let data = test_folder(test, &["glue"])?;
    // The programs of the same build as this test, which is target/debug/deps/TEST.
    let built = std::env::current_exe().ok()?.parent()?.parent()?.to_owned();
    for needed in [built.join("coin"), built.join("examples/train_base")] {
        if !needed.exists() {
            eprintln!("skipped: {test}: {} does not exist", needed.display());
            return None;
        }
    }
    Some((data, built))
}

#[test]
fn one_script_makes_the_table_from_public_files() {
    let Some((data, built)) = material("one_script_makes_the_table_from_public_files") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = |steps: &str| -> Output {
        let mut command = Command::new("bash");
        command.arg(root().join("scripts/medium_reproduction.sh")).env("DATA", &data).env("OUT", &out);
        command.env("PROGRAMS", &built);
        let small = [("SEEDS", "5"), ("SHARE", "1"), ("BASE_STEPS", "3"), ("HELD_OUT", "20"), ("EXAMPLES", "1")];
        command.env("STEPS", steps).envs(small).output().unwrap()
    };
    let output = run("1");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let tables = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = tables.lines().collect();
    assert_eq!(lines[0], "seeds: 1");
    assert!(lines.contains(&"| level | base | cit | coin | coin - cit |"), "{tables}");
    for row in ["clean", "deepwordbug", "textfooler", "checklist", "semantic", "average", "nli", "cola", "mnli_matched"]
    {
        let row = lines.iter().find(|line| line.starts_with(&format!("| {row} |"))).unwrap_or_else(|| panic!("{row}"));
        assert_eq!(row.split(" | ").count(), 5, "{row}");
    }

    // Existing results are kept, and a missing one is made again.
    let base = std::fs::metadata(out.join("base/model.safetensors")).unwrap().modified().unwrap();
    std::fs::remove_dir_all(out.join("seed-5/score")).unwrap();
    let output = run("1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), tables);
    assert_eq!(std::fs::metadata(out.join("base/model.safetensors")).unwrap().modified().unwrap(), base);
    // A folder with different settings is refused.
    assert_eq!(run("2").status.code(), Some(2));
}

#[test]
fn a_folder_without_data_is_refused() {
    let output = Command::new("bash")
        .arg(root().join("scripts/medium_reproduction.sh"))
        .env("DATA", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("DATA=/nowhere has no folder glue"));
}
