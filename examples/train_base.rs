//! Trains a small LLaMA from scratch on files of pairs, to get a base that has read real instructions.
//!
//! Shows: instruction tuning of all weights. The only input is pairs files written by `coin pairs build`.
//! Command: `cargo run --release -p coin-examples --example train_base -- --out base --steps 2000 a.jsonl b.jsonl ..`
//!          A second run continues with `--from base --first-row N`, where N is the number of rows that the first run used.
//! Output:  `config.json`, `model.safetensors` (bf16), `tokenizer.json`; losses in nats during training and on held-out rows.
//! Time and memory: see docs/reproduction.md; this is the first step of its medium reproduction.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use burn::module::Module;
use burn::tensor::Device;
use coin::allocator::{MiMalloc, keep_freed_memory};
use coin::core::stream;
use coin::data::pairs::read;
use coin::data::tokenize::TokenizeOptions;
use coin::model::{FloatType, Llama, TextTokenizer, WeightFormat, checkpoint};
use coin_examples::from_scratch::{self, BATCH, Schedule, Text};
use rand::seq::SliceRandom;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SEED: u64 = 1;
/// Number of held-out rows.
const HELD_OUT: usize = 512;
/// Number of rows to train the tokenizer on.
const TOKENIZER_ROWS: usize = 60_000;

struct Arguments {
    pairs: Vec<PathBuf>,
    out: PathBuf,
    /// A base to continue from, with its tokenizer.
    from: Option<PathBuf>,
    /// Number of rows that this base was trained on.
    first_row: usize,
    steps: usize,
    /// Steps after which the run ends, even if the schedule is longer.
    stop_at: usize,
    /// Peak learning rate.
    rate: f64,
    width: usize,
    layers: usize,
    vocabulary: usize,
    max_tokens: usize,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments {
        pairs: Vec::new(),
        out: "base".into(),
        from: None,
        first_row: 0,
        steps: 2000,
        stop_at: usize::MAX,
        rate: 2e-3,
        width: 256,
        layers: 4,
        vocabulary: 8192,
        max_tokens: 160,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--out" => arguments.out = value()?.into(),
            "--from" => arguments.from = Some(value()?.into()),
            "--first-row" => arguments.first_row = value()?.parse().context("--first-row")?,
            "--stop-at" => arguments.stop_at = value()?.parse().context("--stop-at")?,
            "--steps" => arguments.steps = value()?.parse().context("--steps")?,
            "--rate" => arguments.rate = value()?.parse().context("--rate")?,
            "--width" => arguments.width = value()?.parse().context("--width")?,
            "--layers" => arguments.layers = value()?.parse().context("--layers")?,
            "--vocabulary" => arguments.vocabulary = value()?.parse().context("--vocabulary")?,
            "--max-tokens" => arguments.max_tokens = value()?.parse().context("--max-tokens")?,
            other => {
                let options = "--out, --from, --first-row, --steps, --stop-at, --rate, --width, --layers, --vocabulary, \
                               --max-tokens";
                ensure!(!other.starts_with("--"), "unknown option {other}, expected {options}");
                arguments.pairs.push(word.into());
            }
        }
    }
    ensure!(arguments.steps.min(arguments.stop_at) > 0, "--steps and --stop-at must be at least 1");
    ensure!(!arguments.pairs.is_empty(), "expected files of pairs, as written by `coin pairs build`");
    Ok(arguments)
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = arguments()?;
    let device = Device::flex().autodiff();

    // Each wording of a pair is a row, in one seeded order over all files.
    let mut texts = Vec::new();
    for path in &arguments.pairs {
        for pair in read(path)? {
            for prompt in [pair.original_instruction, pair.paraphrased_instruction] {
                texts.push(Text { prompt, target: pair.targets.clone(), truthful: true });
            }
        }
    }
    texts.shuffle(&mut stream::keyed(SEED, &["rows of the base"]));
    ensure!(texts.len() > HELD_OUT, "{} rows, expected more than the {HELD_OUT} that are held out", texts.len());

    let bytes = match &arguments.from {
        Some(dir) => std::fs::read(dir.join("tokenizer.json")).with_context(|| dir.display().to_string())?,
        None => {
            let sample = texts.iter().take(TOKENIZER_ROWS).map(Text::joined);
            serde_json::to_vec(&from_scratch::train_tokenizer(arguments.vocabulary, sample)?)?
        }
    };
    let vocabulary =
        tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| anyhow!("{error}"))?.get_vocab_size(true);
    let config = from_scratch::shape(vocabulary, arguments.width, arguments.layers);
    let tokenizer = TextTokenizer::from_bytes(&arguments.out, &bytes, &config)?;

    let options = TokenizeOptions { max_tokens: arguments.max_tokens, ..TokenizeOptions::new(tokenizer.bos()) };
    let mut rows = Vec::with_capacity(texts.len());
    for text in &texts {
        rows.extend(text.row(&tokenizer, &options)?);
    }
    drop(texts);
    let held_out = rows.split_off(rows.len() - HELD_OUT);
    let tokens: usize = rows.iter().map(|row| row.tokens.ids.len()).sum();
    println!("{} parameters, {vocabulary} token ids", config.parameters());
    let (steps, stop_at) = (arguments.steps, arguments.stop_at);
    println!("{} rows, {tokens} tokens; training on {} rows", rows.len(), steps.min(stop_at) * BATCH);

    let model = match &arguments.from {
        Some(dir) => checkpoint::load(dir, WeightFormat::default(), &device)?.model,
        None => Llama::new(&config, SEED, &device)?,
    };
    let schedule = Schedule { steps, stop_at, rate: arguments.rate, check_every: 250 };
    // Rows repeat once all have been used.
    let order: Vec<&_> = rows.iter().cycle().skip(arguments.first_row).take(steps * BATCH).collect();
    let start = Instant::now();
    from_scratch::train(model, &order, &schedule, &device, |model, _| {
        let (prompt, answer) = from_scratch::losses(&model.clone().valid(), &held_out, &Device::flex())?;
        ensure!(prompt.is_finite() && answer.is_finite(), "the losses are {prompt} and {answer}; try a lower --rate");
        eprintln!("held out: prompt {prompt:.3}, answer {answer:.3} nats per token");
        checkpoint::save(model, &arguments.out, FloatType::Bf16)?;
        Ok(std::fs::write(arguments.out.join("tokenizer.json"), &bytes)?)
    })?;
    println!("done in {:.0} s; written to {}", start.elapsed().as_secs_f64(), arguments.out.display());
    Ok(())
}
