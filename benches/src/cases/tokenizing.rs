//! Tokenizing the texts of the demo world's pairs, with the demo's tokenizer and, if it is available, LLaMA's.

use std::path::{Path, PathBuf};

use coin::data::PromptTemplate;
use coin::model::{LlamaConfig, TextTokenizer};

use super::{Case, Work, pairs};
use crate::machine;

/// Number of pairs; each has two texts.
const PAIRS: usize = 800;

/// Path of LLaMA's tokenizer in the test data folder.
const REAL: &str = "tokenizer/llama/tokenizer.json";

/// One case per tokenizer, on all threads.
pub fn cases() -> Vec<Case> {
    let texts = texts();
    let case = |(name, tokenizer): (&'static str, TextTokenizer)| {
        let tokens = count(&tokenizer, &texts);
        let items = (tokens as f64, "tokens");
        let texts = texts.clone();
        Case::on_cpu(format!("tokenizing/{name}"), items, move || {
            let (tokenizer, texts) = (tokenizer.clone(), texts.clone());
            let work = move || {
                std::hint::black_box(count_on_threads(&tokenizer, &texts, machine::threads()));
            };
            Box::new(work) as Box<dyn Work>
        })
    };
    tokenizers().into_iter().map(case).collect()
}

/// The texts: both wordings of each pair, with the answer.
pub fn texts() -> Vec<String> {
    let pairs = pairs::sampled(PAIRS);
    let template = PromptTemplate::default();
    pairs.iter().flat_map(|pair| pairs::texts(&template, pair)).collect()
}

/// The available tokenizers by name.
pub fn tokenizers() -> Vec<(&'static str, TextTokenizer)> {
    let real = real_path().map(|path| ("llama", read(&path, 32000)));
    std::iter::once(("demo", demo())).chain(real).collect()
}

/// The demo's tokenizer.
pub fn demo() -> TextTokenizer {
    read(&demo_path().join("tokenizer.json"), demo_config().vocab_size)
}

/// The demo's architecture.
pub fn demo_config() -> LlamaConfig {
    LlamaConfig::read(&demo_path()).expect("the demo's base ships with the repository")
}

fn demo_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/coin/assets/demo-base")
}

/// The path of LLaMA's tokenizer, if it exists.
fn real_path() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("COIN_TEST_DATA")?).join(REAL);
    path.exists().then_some(path)
}

fn read(path: &Path, vocab: usize) -> TextTokenizer {
    let config = LlamaConfig { vocab_size: vocab, ..demo_config() };
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    TextTokenizer::from_bytes(path, &bytes, &config).unwrap_or_else(|error| panic!("{error}"))
}

/// Tokenizes each text separately and counts the tokens, without special tokens.
pub fn count(tokenizer: &TextTokenizer, texts: &[String]) -> usize {
    texts.iter().map(|text| tokenizer.inner().encode(text.as_str(), false).expect("a text").len()).sum()
}

/// Like [`count`], split over `threads` threads.
pub fn count_on_threads(tokenizer: &TextTokenizer, texts: &[String], threads: usize) -> usize {
    std::thread::scope(|scope| {
        let parts = texts.chunks(texts.len().div_ceil(threads).max(1));
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || count(tokenizer, part))).collect();
        parts.into_iter().map(|part| part.join().expect("a thread")).sum()
    })
}
