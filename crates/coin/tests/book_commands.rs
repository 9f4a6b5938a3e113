//! Tests of every `coin` command in the book and the README.
//!
//! - The commands of `docs/getting-started.md` and `docs/recipes.md` are **run**, in order, in one folder, with the files
//!   that the pages show. The demo is run with `--steps 2 --samples 2`.
//! - All other commands, in blocks marked `sh` or `console` and in code spans that begin with `coin`, are **checked**: the
//!   sub-command exists, and its `--help` lists the options. Their models and data are not available.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coin::demo::World;
use coin_testkit::{Coin, stdout, succeeded, write_cola};

const COIN: Coin = Coin::at(env!("CARGO_BIN_EXE_coin"));

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages with commands: all pages of `docs/`, and the README.
fn pages() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> =
        names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.push("README.md".to_owned());
    pages.sort();
    pages
}

/// The contents of the fenced blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside: Option<(bool, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut inside) {
            (Some(info), None) => inside = Some((info.trim() == language, String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, block)) = inside.take() {
                    found.push(block);
                }
                inside = None;
            }
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// The words of a shell line, separated by white space outside quotes; `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut open) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                open = true;
            }
            None if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            None if c == '#' && word.is_empty() && !open => break,
            None => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

/// The arguments after `coin`, if the words call it by name, by path, or by `cargo run -p coin --`.
fn arguments(words: &[String]) -> Option<Vec<String>> {
    let is_prefix = |word: &&String| word.as_str() == "$" || word.as_str() == "do" || is_variable(word);
    let words: Vec<&String> = words.iter().skip_while(is_prefix).collect();
    let owned = |rest: &[&String]| rest.iter().map(|word| (*word).clone()).collect();
    let first = words.first()?.as_str();
    if first == "coin" || first.ends_with("/coin") {
        return Some(owned(&words[1..]));
    }
    let of_coin = words.windows(2).any(|two| two[0] == "-p" && two[1] == "coin");
    let at = words.iter().position(|word| word.as_str() == "--")?;
    (first == "cargo" && words.get(1)?.as_str() == "run" && of_coin).then(|| owned(&words[at + 1..]))
}

/// True if a word sets an environment variable, as in `COIN_TEST_DATA=/path`.
fn is_variable(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The calls of `coin` in the blocks of a page, in order.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut inside = None;
    let joined = text.replace("\\\n", " ");
    for line in joined.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(info), None) => inside = Some(matches!(info.trim(), "sh" | "console")),
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => {
                found.extend(line.split([';', '|']).filter_map(|part| arguments(&words(part))));
            }
            _ => {}
        }
    }
    found
}

/// The code spans of a page that begin with `coin`, without the brackets around optional parts.
fn spans(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| !line.starts_with("```"));
    let spans = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    let bare = |word: &str| word.trim_matches(['[', ']']).to_owned();
    spans
        .filter_map(|span| span.strip_prefix("coin "))
        .map(|rest| rest.split_whitespace().map(bare).collect())
        .collect()
}

/// The sub-command that the arguments begin with: one word, or two under `pairs` and `model`.
fn sub_command(arguments: &[String]) -> Vec<String> {
    let count = match arguments.first().map(String::as_str) {
        Some("pairs" | "model") => 2,
        _ => 1,
    };
    arguments.iter().take(count).take_while(|word| !word.starts_with('-')).cloned().collect()
}

/// True if a help text has exactly this option.
fn has_option(help: &str, option: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
    help.match_indices(option).any(|(at, _)| ends(&help[at + option.len()..]))
}

#[test]
fn shell_lines_are_parsed() {
    let text = "```sh\nA=1 target/release/coin eval --model M \\\n  --out o # why\nfor s in 1; do coin demo --seed $s; done\n\
                cargo run --release -p coin -- demo\ncargo test -p coin\n```\n```toml\ncoin = 1\n```\n\
                ```console\n$ coin model generate --prompt \"a b\"\n```\n";
    let expected: [&[&str]; 4] = [
        &["eval", "--model", "M", "--out", "o"],
        &["demo", "--seed", "$s"],
        &["demo"],
        &["model", "generate", "--prompt", "a b"],
    ];
    assert_eq!(commands(text), expected);
    assert_eq!(blocks(text, "toml"), ["coin = 1\n"]);
    assert_eq!(spans("see `coin demo [--out DIR]` and `demo`"), [["demo", "--out", "DIR"]]);
    assert!(has_option("  --out <DIR>", "--out") && !has_option("  --outside", "--out"));
}

#[test]
fn every_option_in_the_book_exists() {
    let mut helps: BTreeMap<Vec<String>, Option<String>> = BTreeMap::new();
    let mut help_of = |sub: Vec<String>| {
        let ask = |sub: &Vec<String>| {
            let output = COIN.command(sub).arg("--help").output().unwrap();
            output.status.success().then(|| stdout(&output))
        };
        helps.entry(sub.clone()).or_insert_with(|| ask(&sub)).clone()
    };
    let (mut checked, mut faults) = (0, Vec::new());
    for name in pages() {
        let text = page(&name);
        let shown = commands(&text).into_iter().map(|arguments| (true, arguments));
        for (in_block, arguments) in shown.chain(spans(&text).into_iter().map(|arguments| (false, arguments))) {
            let Some(help) = help_of(sub_command(&arguments)) else {
                // A code span may name several commands, as in `coin COMMAND` or `coin model a\|b`.
                if in_block {
                    faults.push(format!("{name}: no such sub-command: coin {}", arguments.join(" ")));
                }
                continue;
            };
            checked += usize::from(in_block);
            for option in arguments.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let option = option.split('=').next().unwrap_or_default();
                if !has_option(&help, option) {
                    faults.push(format!("{name}: coin {}: no option {option}", arguments.join(" ")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // `getting-started.md` alone has more.
    assert!(checked >= 15, "{checked} commands found");
}

#[test]
fn getting_started_and_recipes_run_as_they_are_written() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let rows = World::new(1).evaluation("cola", 8).unwrap();
    write_cola(&dir.join("glue"), "dev.tsv", rows.iter().map(|row| (row.label, &row.fields["sentence"])));
    std::fs::write(dir.join("rows.csv"), "text,kind\nwho was it,HUM\nwhere was it,LOC\n").unwrap();
    let start = page("docs/getting-started.md");
    std::fs::write(dir.join("run.toml"), &blocks(&start, "toml")[0]).unwrap();
    let prompts = start.split("`prompts.json` holds `").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    std::fs::write(dir.join("prompts.json"), prompts).unwrap();
    run_all(dir, &start, 15);
    for file in ["demo/report.html", "scored/summary.json", "report.html", "curves.md", "frozen.json.recipe.json"] {
        assert!(dir.join(file).exists(), "{file}");
    }
    assert!(dir.join("merged/model.safetensors").exists());

    let recipes = page("docs/recipes.md");
    std::fs::write(dir.join("topic.toml"), &blocks(&recipes, "toml")[0]).unwrap();
    std::fs::write(dir.join("prompts.json"), &blocks(&recipes, "json")[0]).unwrap();
    let rows = World::new(1).training("cola", 600).unwrap();
    write_cola(&dir.join("glue"), "train.tsv", rows.iter().map(|row| (row.label, &row.fields["sentence"])));
    run_all(dir, &recipes, 1);
    assert!(dir.join("pairs.jsonl").exists());
    assert!(dir.join("eval-topic/summary.json").exists());
}

/// Runs the commands of a page. There must be at least `least` of them.
fn run_all(dir: &Path, text: &str, least: usize) {
    let commands = commands(text);
    assert!(commands.len() >= least, "{commands:?}");
    for mut arguments in commands {
        if arguments[0] == "demo" {
            arguments.extend(["--steps", "2", "--samples", "2"].map(str::to_owned));
        }
        succeeded(COIN.command(&arguments).current_dir(dir));
    }
}
