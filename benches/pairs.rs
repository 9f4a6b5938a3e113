//! Sampling, filling and tokenizing pairs, beside the tokenizer alone on the same texts.
//!
//! `cargo bench -p coin-benches --bench pairs -- [--pairs N] [--threads T] [--model DIR]` builds N pairs of the demo
//! world's tasks (default 100,000, in parts of 20,000), tokenizes them with the tokenizer of DIR (default: the demo's own),
//! and prints a line of JSON: seconds of sampling and filling, of tokenizing with masks, and of the tokenizer alone, and the
//! throughput of the whole as a share of the tokenizer's.

#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use coin::data::tokenize::{TokenizeOptions, tokenize_pairs};
use coin::data::world::World;
use coin::data::{PairBuilder, PromptTemplate, Task, TemplateSet};
use coin::demo::FAMILIES;
use coin::model::{LlamaConfig, TextTokenizer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Pairs in memory at a time.
const PART: usize = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str, default: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (pairs, threads) = (number("--pairs", 100_000), number("--threads", 1));
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/coin/assets/demo-base");
    let folder = value("--model").map_or(demo, PathBuf::from);
    let config = LlamaConfig::read(&folder).expect("the folder has a configuration");
    let tokenizer = TextTokenizer::read(&folder, &config).expect("the folder has a tokenizer");
    let options = TokenizeOptions { max_tokens: 512, ..TokenizeOptions::new(tokenizer.bos()) };

    let (world, templates, template) = (World::new(1), TemplateSet::demo(), PromptTemplate::default());
    let (mut sampling, mut tokenizing, mut alone, mut tokens, mut done) = (0.0, 0.0, 0.0, 0, 0);
    while done < pairs {
        let family = FAMILIES[done / PART % FAMILIES.len()];
        let task = Task::named(family).expect("a task of the world");
        let instances = world.training(family, PART / 2).expect("a task of the world");

        let start = Instant::now();
        let builder = PairBuilder::new(&templates, done as u64);
        let (built, _) = builder.build(&task, &instances, PART).expect("the world has pairs");
        sampling += start.elapsed().as_secs_f64();

        let start = Instant::now();
        let rows = tokenize_pairs(&options, tokenizer.inner(), &template, &built, threads).expect("rows").rows;
        tokenizing += start.elapsed().as_secs_f64();

        let texts: Vec<String> = built
            .iter()
            .flat_map(|pair| {
                [&pair.original_instruction, &pair.paraphrased_instruction].map(|text| (text, &pair.targets))
            })
            .map(|(text, target)| format!("{}{target}", template.fill(text).render()))
            .collect();
        let start = Instant::now();
        let count = |texts: &[String]| -> usize {
            texts.iter().map(|text| tokenizer.inner().encode(text.as_str(), false).expect("text").len()).sum()
        };
        let counted: usize = std::thread::scope(|scope| {
            let parts: Vec<_> =
                texts.chunks(texts.len().div_ceil(threads)).map(|part| scope.spawn(move || count(part))).collect();
            parts.into_iter().map(|part| part.join().expect("a thread")).sum()
        });
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
