//! Trains the tiny LLaMA of `coin demo` from scratch on the demo world.
//!
//! Shows: training a tokenizer and a decoder from scratch, with all weights instead of LoRA, and saving in Hugging Face's layout.
//! Commands, in this order: `examples/remake_demo_base.sh` runs all three.
//! `cargo run --release -p coin-examples --example train_demo_base -- --out target/demo-base --stop-at 4000`
//! `cargo run --release -p coin-examples --example train_demo_base -- --from target/demo-base --first-row 256000
//!  --named-steps 0 --steps 2200 --rate 0.002 --out target/demo-base`
//! `cargo run --release -p coin-examples --example train_demo_base -- --from target/demo-base --first-row 396800
//!  --named-steps 0 --steps 3000 --rate 0.002 --out crates/coin/assets/demo-base`
//! Output:  `config.json`, `model.safetensors` (bf16), `tokenizer.json`; loss and accuracy during training.
//! Time and memory: see docs/reproduction.md. The same seed gives the same file on the same processor type.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use burn::module::Module;
use burn::tensor::Device;
use coin::allocator::{MiMalloc, keep_freed_memory};
use coin::core::stream;
use coin::data::tokenize::{TokenizeOptions, Truncation};
use coin::data::{Instance, Prompt, Task, TemplateSet};
use coin::demo::World;
use coin::eval::InstructionSet;
use coin::eval::parser::released;
use coin::model::checkpoint;
use coin::model::generate::{GenerateOptions, generate};
use coin::model::{FloatType, Llama, TextTokenizer, WeightFormat};
use coin_examples::from_scratch::{self, BATCH, Schedule, Text};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SEED: u64 = 1;
const VOCABULARY: usize = 1536;
/// The families, and their shares in a run from scratch and in a run that continues. Harder tasks have larger shares.
const FAMILIES: [(&str, usize, usize); 8] = [
    ("cola", 2, 1),
    ("sst2", 1, 1),
    ("mrpc", 3, 4),
    ("qqp", 3, 3),
    ("mnli", 4, 4),
    ("qnli", 3, 3),
    ("rte", 3, 5),
    ("wnli", 3, 1),
];

struct Arguments {
    out: PathBuf,
    /// A base to continue from, with its tokenizer.
    from: Option<PathBuf>,
    /// Number of rows of the world that this base was trained on.
    first_row: usize,
    /// Steps after which the run ends, even if the schedule is longer.
    stop_at: usize,
    /// Peak learning rate.
    rate: f64,
    named_steps: usize,
    steps: usize,
    width: usize,
    layers: usize,
    check_every: usize,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments {
        out: PathBuf::from("demo-base"),
        from: None,
        first_row: 0,
        stop_at: usize::MAX,
        rate: 3e-3,
        named_steps: 7000,
        steps: 2000,
        width: 128,
        layers: 4,
        check_every: 500,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--out" => arguments.out = value.into(),
            "--from" => arguments.from = Some(value.into()),
            "--stop-at" => arguments.stop_at = value.parse().context("--stop-at")?,
            "--rate" => arguments.rate = value.parse().context("--rate")?,
            "--first-row" => arguments.first_row = value.parse().context("--first-row")?,
            "--named-steps" => arguments.named_steps = value.parse().context("--named-steps")?,
            "--steps" => arguments.steps = value.parse().context("--steps")?,
            "--width" => arguments.width = value.parse().context("--width")?,
            "--layers" => arguments.layers = value.parse().context("--layers")?,
            "--check-every" => arguments.check_every = value.parse().context("--check-every")?,
            _ => bail!(
                "unknown option {name}, expected --out, --from, --first-row, --stop-at, --rate, --named-steps, --steps, --width, --layers or --check-every"
            ),
        }
    }
    Ok(arguments)
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = arguments()?;
    let device = Device::flex().autodiff();
    let world = World::new(SEED);
    let templates = TemplateSet::demo();

    // Stage 1 teaches the tasks: the instruction is the task's name, which halves the length of rows.
    // Stage 2 teaches reading instructions: the ten templates of each task.
    let mut texts = stage_texts(
        arguments.named_steps * BATCH,
        &world,
        &|task, instance, _| {
            Ok((format!("{}: {}", task.name, task.content(instance)?), task.answer(instance)?.to_owned()))
        },
        arguments.first_row,
        arguments.from.is_some(),
    )?;
    let second = stage_texts(
        arguments.steps * BATCH,
        &world,
        &|task, instance, rng| {
            let usable: Vec<_> =
                templates.for_task(task)?.iter().filter(|template| template.exclusion().is_none()).collect();
            Ok(usable[rng.random_range(0..usable.len())].fill(task, instance)?)
        },
        arguments.first_row + texts.len(),
        arguments.from.is_some(),
    )?;
    let bytes = match &arguments.from {
        Some(dir) => std::fs::read(dir.join("tokenizer.json")).with_context(|| dir.display().to_string())?,
        None => {
            let some = texts.iter().take(8_000).chain(second.iter().take(16_000));
            serde_json::to_vec(&from_scratch::train_tokenizer(VOCABULARY, some.map(Text::joined))?)?
        }
    };
    texts.extend(second);
    let vocabulary =
        tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| anyhow!("{error}"))?.get_vocab_size(true);

    let config = from_scratch::shape(vocabulary, arguments.width, arguments.layers);
    let tokenizer = TextTokenizer::from_bytes(&arguments.out, &bytes, &config)?;
    println!("{} parameters, {vocabulary} token ids, {} rows", config.parameters(), texts.len());

    let options = TokenizeOptions { truncation: Truncation::Error, ..TokenizeOptions::new(tokenizer.bos()) };
    let rows = texts
        .iter()
        .map(|text| text.row(&tokenizer, &options)?.context("a row is too long"))
        .collect::<Result<Vec<_>>>()?;
    drop(texts);

    let model = match &arguments.from {
        Some(dir) => checkpoint::load(dir, WeightFormat::default(), &device)?.model,
        None => Llama::new(&config, SEED, &device)?,
    };
    let start = Instant::now();
    let schedule = Schedule {
        steps: arguments.named_steps + arguments.steps,
        stop_at: arguments.stop_at,
        rate: arguments.rate,
        check_every: arguments.check_every,
    };
    let rows: Vec<&_> = rows.iter().collect();
    from_scratch::train(model, &rows, &schedule, &device, |model, step| {
        check(&model.clone().valid(), &tokenizer, &world, step < arguments.named_steps)?;
        checkpoint::save(model, &arguments.out, FloatType::Bf16)?;
        Ok(std::fs::write(arguments.out.join("tokenizer.json"), &bytes)?)
    })?;
    println!("done in {:.0} s; written to {}", start.elapsed().as_secs_f64(), arguments.out.display());
    Ok(())
}

/// Turns an instance into prompt and answer.
type Render<'a> = dyn Fn(&Task, &Instance, &mut ChaCha8Rng) -> Result<(String, String)> + 'a;

/// The rows of one stage as prompt and answer, with tasks evenly mixed; `first` is the number of the first row.
fn stage_texts(count: usize, world: &World, render: &Render, first: usize, continues: bool) -> Result<Vec<Text>> {
    let share_of = |from_scratch: usize, later: usize| if continues { later } else { from_scratch };
    let shares: usize = FAMILIES.iter().map(|(_, from_scratch, later)| share_of(*from_scratch, *later)).sum();
    let mut texts = Vec::new();
    for (family, from_scratch, later) in FAMILIES {
        let share = share_of(from_scratch, later);
        let task = Task::named(family)?;
        let count = (count * share).div_ceil(shares);
        // A stage continues about where the previous one ended, so that few instances repeat.
        let skip = first * share / shares;
        for (index, instance) in world.training(family, skip + count)?.iter().enumerate().skip(skip) {
            let mut rng = stream::keyed(SEED, &["base", family, &index.to_string()]);
            // The position of the row in the stage: evenly spaced, with a little jitter.
            let place = ((index - skip) as f64 + rng.random_range(0.0..8.0)) / count as f64;
            let (prompt, target) = render(&task, instance, &mut rng)?;
            let truthful = !matches!(
                task.answer(instance)?,
                "unacceptable" | "not_equivalent" | "not_entailment" | "neutral" | "contradiction"
            );
            texts.push((place, Text { prompt, target, truthful }));
        }
    }
    texts.sort_by(|a, b| a.0.total_cmp(&b.0));
    texts.truncate(count);
    Ok(texts.into_iter().map(|(_, text)| text).collect())
}

/// Prints the share of correct answers on new instances, under six unseen instructions per task, or in the first stage
/// under the task's name.
fn check(model: &Llama, tokenizer: &TextTokenizer, world: &World, named: bool) -> Result<()> {
    let instructions = InstructionSet::demo();
    let options = GenerateOptions {
        max_new_tokens: 7,
        batch_size: 64,
        threads: 2,
        eos: tokenizer.eos().to_vec(),
        hidden: false,
        memory: None,
        sampling: None,
    };
    let mut mean = 0.0;
    let tasks = Task::glue();
    for task in &tasks {
        let instances: Vec<Instance> = world.evaluation(&task.name, 40)?;
        let mut right = 0;
        let wordings = match named {
            true => vec![format!("{}: ", task.instructions)],
            false => instructions.get("clean", task)?.to_vec(),
        };
        for wording in &wordings {
            let prompts = instances
                .iter()
                .map(|instance| Ok(tokenizer.encode(&Prompt::new(wording, task.content(instance)?).render())?))
                .collect::<Result<Vec<_>>>()?;
            let decided =
                |_: usize, ids: &[u32]| tokenizer.decode(ids).is_ok_and(|text| released::decided(task, &text));
            for (out, instance) in generate(model, &prompts, &options, decided)?.iter().zip(&instances) {
                right += usize::from(released::parse(task, &tokenizer.decode(&out.ids)?) == Some(instance.label));
            }
        }
        let share = right as f64 / (instances.len() * wordings.len()) as f64;
        mean += share / tasks.len() as f64;
        eprint!("{} {:.0}%  ", task.name, share * 100.0);
    }
    eprintln!(" mean {:.1}%", mean * 100.0);
    Ok(())
}
