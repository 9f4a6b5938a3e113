//! Times sampling, filling and tokenizing of many pairs, compared with the tokenizer alone on the same texts.
//!
//! `cargo bench -p coin-benches --bench pairs -- [--pairs N] [--threads T] [--model DIR]` builds N pairs of the demo
//! world's tasks (default 100,000, in parts of 20,000) and tokenizes them with the tokenizer in DIR (default: the demo's).
//! It prints a line of JSON: the seconds of sampling and filling, of tokenizing with masks and of the tokenizer alone, and
//! the total throughput as a share of the tokenizer's.

#![allow(missing_docs)]

use std::path::PathBuf;
use std::time::Instant;

use coin::allocator::{MiMalloc, keep_freed_memory};
use coin::data::tokenize::tokenize_pairs;
use coin::data::{PromptTemplate, TemplateSet};
use coin::demo::FAMILIES;
use coin::model::{LlamaConfig, TextTokenizer};
use coin_benches::cases::{pairs, tokenizing};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Pairs in memory at a time.
const PART: usize = 20_000;

fn main() {
    keep_freed_memory();
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, default: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, threads) = (number("--pairs", 100_000), number("--threads", 1));
    let tokenizer = match value("--model").map(PathBuf::from) {
        Some(folder) => {
            let config = LlamaConfig::read(&folder).expect("the folder has a configuration");
            TextTokenizer::read(&folder, &config).expect("the folder has a tokenizer")
        }
        None => tokenizing::demo(),
    };
    let options = pairs::options(&tokenizer);

    let (templates, template) = (TemplateSet::demo(), PromptTemplate::default());
    let (mut sampling, mut tokenizing, mut alone, mut tokens, mut done) = (0.0, 0.0, 0.0, 0, 0);
    while done < count {
        let family = FAMILIES[done / PART % FAMILIES.len()];
        let instances = pairs::instances(family, PART / 2);

        let start = Instant::now();
        let built = pairs::build(&templates, &instances, family, PART, done as u64);
        sampling += start.elapsed().as_secs_f64();

        let start = Instant::now();
        let rows = tokenize_pairs(&options, tokenizer.inner(), &template, &built, threads).expect("rows").rows;
        tokenizing += start.elapsed().as_secs_f64();

        let texts: Vec<String> = built.iter().flat_map(|pair| pairs::texts(&template, pair)).collect();
        let start = Instant::now();
        let counted = tokenizing::count_on_threads(&tokenizer, &texts, threads);
        alone += start.elapsed().as_secs_f64();
        tokens += counted;
        let of_rows: usize = rows.iter().map(|row| row.original.ids.len() + row.paraphrase.ids.len()).sum();
        assert_eq!(of_rows, counted + 2 * rows.len() * tokenizer.bos().iter().count(), "the same work");
        done += PART;
    }
    let line = serde_json::json!({
        "pairs": done,
        "threads": threads,
        "tokens": tokens,
        "seconds_sampling": sampling,
        "seconds_tokenizing": tokenizing,
        "seconds_tokenizer_alone": alone,
        "pairs_per_second": done as f64 / (sampling + tokenizing),
        "share_of_the_tokenizers_throughput": alone / (sampling + tokenizing),
    });
    println!("{line}");
}
