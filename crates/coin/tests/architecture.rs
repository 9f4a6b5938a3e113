//! The picture of the crates in `docs/architecture.md` is what the manifests say.

use std::collections::BTreeSet;
use std::path::Path;

/// Dependencies between libraries, as `from --> to`.
type Arrows = BTreeSet<(String, String)>;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The dependencies of the published crates on each other, without dev-dependencies.
fn of_manifests() -> Arrows {
    let mut arrows = Arrows::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let manifest: toml::Table = read(&entry.unwrap().path().join("Cargo.toml")).parse().unwrap();
        if manifest["package"].get("publish").is_some() {
            continue;
        }
        let name = manifest["package"]["name"].as_str().unwrap();
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten();
        let to = dependencies.map(|(to, _)| to).filter(|to| to.starts_with("coin-"));
        arrows.extend(to.map(|to| (name.to_owned(), to.clone())));
    }
    arrows
}

#[test]
fn the_picture_of_the_crates_is_true() {
    let page = read(&root().join("docs/architecture.md"));
    let (_, picture) = page.split_once("```mermaid\n").expect("a Mermaid block");
    let (picture, _) = picture.split_once("```").unwrap();
    let arrow = |line: &str| {
        // A dotted arrow is a dependency of a feature.
        let (from, to) = line.split_once(" --> ").or_else(|| line.split_once(" -.-> "))?;
        Some((from.trim().to_owned(), to.trim().to_owned()))
    };
    let drawn: Arrows = picture.lines().filter_map(arrow).collect();
    // `coin` re-exports all libraries; one line under the picture says so.
    let libraries: Arrows = of_manifests().into_iter().filter(|(from, _)| from != "coin").collect();
    let missing: Vec<_> = libraries.difference(&drawn).collect();
    let invented: Vec<_> = drawn.difference(&libraries).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}, in no manifest: {invented:?}");
}
