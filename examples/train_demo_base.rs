//! Trains the tiny LLaMA that `coin demo` starts from, from scratch, on the demo world.
//!
//! Shows: a tokenizer and a decoder made from nothing, full (not LoRA) training, and saving in Hugging Face's layout.
//! Commands, in this order: `examples/remake_demo_base.sh` runs all three.
//! `cargo run --release -p coin-examples --example train_demo_base -- --out target/demo-base --stop-at 4000`
//! `cargo run --release -p coin-examples --example train_demo_base -- --from target/demo-base --first-row 256000
//!  --named-steps 0 --steps 2200 --rate 0.002 --out target/demo-base`
//! `cargo run --release -p coin-examples --example train_demo_base -- --from target/demo-base --first-row 396800
//!  --named-steps 0 --steps 3000 --rate 0.002 --out crates/coin/assets/demo-base`
//! Output:  `config.json`, `model.safetensors` (bf16), `tokenizer.json`; the loss and the accuracy as it goes.
//! Time and memory: see docs/reproduction.md. The same seed gives the same file on the same processor type.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use coin::data::prompt::TRAINING_MARKER;
use coin::data::tokenize::{TokenRow, TokenizeOptions, Truncation};
use coin::data::world::World;
use coin::data::{Instance, Prompt, Task, TemplateSet, stream, template};
use coin::eval::InstructionSet;
use coin::eval::scorer::released;
use coin::model::checkpoint;
use coin::model::config::ModelType;
use coin::model::generate::{GenerateOptions, generate};
use coin::model::{FloatType, Llama, LlamaConfig, TextTokenizer, TokenBatch, WeightFormat};
use coin::train::optimizer::clip_global_norm;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, TokenizerBuilder};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 1;
const VOCABULARY: usize = 1536;
/// The families and their shares of a run from nothing, and of one that goes on: the harder, the more.
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
const BATCH: usize = 64;
const WARM_UP: usize = 200;
/// The share of the loss on prompt tokens; the rest is on the answer.
const PROMPT_WEIGHT: f64 = 0.5;
/// One in so many prompt tokens enters the loss: the head over all of them would be a third of the work.
const PROMPT_STRIDE: usize = 2;

struct Arguments {
    out: PathBuf,
    /// A base to go on from, with its tokenizer.
    from: Option<PathBuf>,
    /// Rows of the world that the base to go on from has seen.
    first_row: usize,
    /// Steps after which the run ends, whatever its schedule.
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
    let arguments = arguments()?;
    let device = Device::flex().autodiff();
    let world = World::new(SEED);
    let templates = TemplateSet::demo();

    // Stage 1 teaches the tasks: the instruction is the task's name, which makes rows half as long.
    // Stage 2 teaches to read instructions: the ten templates of each task.
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
            Ok(template::fill(usable[rng.random_range(0..usable.len())], task, instance)?)
        },
        arguments.first_row + texts.len(),
        arguments.from.is_some(),
    )?;
    let bytes = match &arguments.from {
        Some(dir) => std::fs::read(dir.join("tokenizer.json")).with_context(|| dir.display().to_string())?,
        None => {
            let some = texts.iter().take(8_000).chain(second.iter().take(16_000));
            let text_of = |text: &Text| format!("{}{TRAINING_MARKER}{}", text.prompt, text.target);
            serde_json::to_vec(&train_tokenizer(some.map(text_of))?)?
        }
    };
    texts.extend(second);
    let vocabulary =
        tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| anyhow!("{error}"))?.get_vocab_size(true);

    let config = LlamaConfig {
        model_type: ModelType::Llama,
        vocab_size: vocabulary,
        hidden_size: arguments.width,
        intermediate_size: arguments.width * 3,
        num_hidden_layers: arguments.layers,
        num_attention_heads: 4,
        num_key_value_heads: Some(4),
        head_dim: None,
        max_position_embeddings: 512,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        hidden_act: "silu".to_owned(),
        tie_word_embeddings: true,
        attention_bias: false,
        mlp_bias: false,
        bos_token_id: Some(1),
        eos_token_ids: vec![2],
        pad_token_id: None,
        initializer_range: 0.05,
    };
    let tokenizer = TextTokenizer::from_bytes(&arguments.out, &bytes, &config)?;
    println!("{} parameters, {vocabulary} token ids, {} rows", config.parameters(), texts.len());

    let options = TokenizeOptions { truncation: Truncation::Error, ..TokenizeOptions::new(tokenizer.bos()) };
    let rows = texts
        .iter()
        .map(|text| {
            let tokens = options.row(tokenizer.inner(), &format!("{}{TRAINING_MARKER}", text.prompt), &text.target)?;
            let tokens = tokens.context("rows that are too long are errors here")?;
            Ok(Row { tokens, truthful: text.truthful })
        })
        .collect::<Result<Vec<_>>>()?;
    drop(texts);

    let mut model = match &arguments.from {
        Some(dir) => checkpoint::load(dir, WeightFormat::default(), &device)?.model,
        None => Llama::new(&config, SEED, &device)?,
    };
    let mut optimizer = AdamWConfig::new().with_beta_2(0.98).with_epsilon(1e-8).with_weight_decay(0.01).init();
    let start = Instant::now();
    let total = arguments.named_steps + arguments.steps;
    let mut recent = (0.0, 0.0);
    for (step, batch) in rows.chunks(BATCH).enumerate().take(arguments.stop_at) {
        let batch: Vec<&Row> = batch.iter().collect();
        let (gradients, losses) = gradients(&model, &batch, step, &device)?;
        let (gradients, _) = clip_global_norm(&model, gradients, 1.0);
        model = optimizer.step(arguments.rate * schedule(step, total), model, gradients);
        if (step + 1) % 50 == 0 {
            recent = losses;
            eprint!(
                "\rstep {:5}  prompt {:.3}  answer {:.3}  {:.0} s ",
                step + 1,
                recent.0,
                recent.1,
                start.elapsed().as_secs_f64()
            );
        }
        if (step + 1) % arguments.check_every == 0 || step + 1 == total.min(arguments.stop_at) {
            eprintln!();
            check(&model.clone().valid(), &tokenizer, &world, step < arguments.named_steps)?;
            checkpoint::save(&model, &arguments.out, FloatType::Bf16)?;
            std::fs::write(arguments.out.join("tokenizer.json"), &bytes)?;
        }
    }
    println!(
        "done in {:.0} s; last losses {recent:?}; written to {}",
        start.elapsed().as_secs_f64(),
        arguments.out.display()
    );
    Ok(())
}

/// A row before it is tokenised.
struct Text {
    prompt: String,
    target: String,
    truthful: bool,
}

/// A row of the training data.
struct Row {
    tokens: TokenRow,
    /// Whether the prompt is worth imitating: its second part follows from the first, its grammar is right. Learning to
    /// predict only such prompts teaches what to expect; the answer then depends on whether that came.
    truthful: bool,
}

/// Turns an instance into prompt and answer.
type Render<'a> = dyn Fn(&Task, &Instance, &mut ChaCha8Rng) -> Result<(String, String)> + 'a;

/// The rows of one stage as prompt and answer, tasks evenly mixed; `first` numbers the first of them.
fn stage_texts(count: usize, world: &World, render: &Render, first: usize, goes_on: bool) -> Result<Vec<Text>> {
    let share_of = |from_nothing: usize, later: usize| if goes_on { later } else { from_nothing };
    let shares: usize = FAMILIES.iter().map(|(_, from_nothing, later)| share_of(*from_nothing, *later)).sum();
    let mut texts = Vec::new();
    for (family, from_nothing, later) in FAMILIES {
        let share = share_of(from_nothing, later);
        let task = Task::named(family)?;
        let count = (count * share).div_ceil(shares);
        // A stage goes on about where the one before it ended, so that few instances come twice.
        let skip = first * share / shares;
        for (index, instance) in world.training(family, skip + count)?.iter().enumerate().skip(skip) {
            let mut rng = stream::keyed(SEED, &["base", family, &index.to_string()]);
            // Where in the stage the row comes: evenly spread, a little shaken.
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

/// Linear warm-up, then linear decay to a tenth of a per cent of the peak.
fn schedule(step: usize, steps: usize) -> f64 {
    let warm = (step + 1) as f64 / WARM_UP as f64;
    let left = (steps - step) as f64 / steps as f64;
    warm.min(1.0) * left.max(0.001)
}

/// The gradients of a batch and its mean losses on prompt and answer tokens, in nats.
///
/// The CPU backend keeps one core busy with matrices this small, so the batch is split over two threads, each part
/// against leaves of its own; the sum is taken in a fixed order.
fn gradients(model: &Llama, rows: &[&Row], step: usize, device: &Device) -> Result<(GradientsParams, (f32, f32))> {
    let mut counts = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        for token in 1..row.tokens.ids.len() {
            match kind(row, at, token, step) {
                Some(Part::Prompt) => counts.0 += 1,
                Some(Part::Answer) => counts.1 += 1,
                None => {}
            }
        }
    }
    let weights = (PROMPT_WEIGHT / f64::from(counts.0), (1.0 - PROMPT_WEIGHT) / f64::from(counts.1));
    // Rows of similar length stand together, so that little is padding.
    let mut sorted: Vec<(usize, &Row)> = rows.iter().copied().enumerate().collect();
    sorted.sort_by_key(|(_, row)| row.tokens.ids.len());
    let parts: Vec<&[(usize, &Row)]> = sorted.chunks(rows.len().div_ceil(4)).collect();
    let run = |part: &[(usize, &Row)]| {
        let model = model.clone().map(&mut FreshLeaves);
        let (prompt, answer) = summed_losses(&model, part, step, device)?;
        let loss = prompt.clone() * weights.0 + answer.clone() * weights.1;
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        anyhow::Ok((gradients, prompt.into_scalar::<f32>(), answer.into_scalar::<f32>()))
    };
    // The shortest and the longest part together take about as long as the two between them.
    let (inner, outer): (Vec<_>, Vec<_>) = parts.iter().enumerate().partition(|(index, _)| matches!(index, 1 | 2));
    let on_thread =
        |parts: Vec<(usize, &&[(usize, &Row)])>| parts.into_iter().map(|(_, part)| run(part)).collect::<Vec<_>>();
    let results = std::thread::scope(|scope| {
        let other = scope.spawn(|| on_thread(inner));
        let mut results = on_thread(outer);
        results.extend(other.join().unwrap_or_default());
        results
    });
    if results.len() < parts.len() {
        bail!("a training thread ended early");
    }
    let mut sum = GradientsAccumulator::new();
    let mut losses = (0.0, 0.0);
    for result in results {
        let (gradients, prompt, answer) = result?;
        sum.accumulate(model, gradients);
        losses = (losses.0 + prompt / counts.0 as f32, losses.1 + answer / counts.1 as f32);
    }
    Ok((sum.grads(), losses))
}

/// Makes every parameter a leaf of a graph of its own.
struct FreshLeaves;

impl ModuleMapper for FreshLeaves {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.detach().require_grad())
    }
}

enum Part {
    Prompt,
    Answer,
}

/// Whether and as what a row's token enters the loss.
fn kind(row: &Row, at: usize, token: usize, step: usize) -> Option<Part> {
    match () {
        () if token >= row.tokens.prompt => Some(Part::Answer),
        () if row.truthful && (token + at + step).is_multiple_of(PROMPT_STRIDE) => Some(Part::Prompt),
        () => None,
    }
}

/// The summed cross entropy of prompt tokens and of answer tokens, in nats.
fn summed_losses(
    model: &Llama,
    rows: &[(usize, &Row)],
    step: usize,
    device: &Device,
) -> Result<(Tensor<1>, Tensor<1>)> {
    let ids: Vec<Vec<u32>> = rows.iter().map(|(_, row)| row.tokens.ids.clone()).collect();
    let batch = TokenBatch::left_padded(&ids, 0, 1, device)?;
    let hidden = model.hidden(&batch, None, None);
    let [_, seq, width] = hidden.dims();
    // Position p of a row predicts its token p + 1; prompts first, answers after them.
    let (mut prompts, mut answers) = (Vec::new(), Vec::new());
    for (place, (at, row)) in rows.iter().enumerate() {
        for token in 1..row.tokens.ids.len() {
            let entry = ((place * seq + batch.spans[place].start + token - 1) as i32, row.tokens.ids[token] as i32);
            match kind(row, *at, token, step) {
                Some(Part::Prompt) => prompts.push(entry),
                Some(Part::Answer) => answers.push(entry),
                None => {}
            }
        }
    }
    let split = prompts.len();
    let (places, targets): (Vec<i32>, Vec<i32>) = prompts.into_iter().chain(answers).unzip();
    let count = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [count]), device);
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [count, 1]), device);
    let hidden = hidden.reshape([rows.len() * seq, width]).select(0, places);
    let nats = log_softmax(model.logits(hidden), 1).gather(1, targets).neg().squeeze_dim::<1>(1);
    Ok((nats.clone().narrow(0, 0, split).sum(), nats.narrow(0, split, count - split).sum()))
}

/// Prints the share of right answers on new instances, under the six unseen instructions of every task, or in the first
/// stage under the task's name.
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

/// A byte-level BPE over words; `_` counts as a letter, so that label words such as `not_entailment` are one word.
fn train_tokenizer(texts: impl Iterator<Item = String> + Send) -> Result<tokenizers::Tokenizer> {
    let error = |error: tokenizers::Error| anyhow!("{error}");
    let words = Split::new(
        SplitPattern::Regex(r" ?[\p{L}_]+| ?\p{N}| ?[^\s\p{L}\p{N}_]+|\n+|\s".to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    )
    .map_err(error)?;
    let bytes = ByteLevel::new(false, true, false);
    let mut tokenizer = TokenizerBuilder::default()
        .with_model(BPE::default())
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .with_pre_tokenizer(Some(Sequence::new(vec![words.into(), bytes.into()])))
        .with_post_processor(None::<tokenizers::PostProcessorWrapper>)
        .with_decoder(Some(bytes))
        .build()
        .map_err(error)?;
    let special = ["<unk>", "<s>", "</s>"].map(|token| AddedToken::from(token, true));
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(VOCABULARY)
        .show_progress(false)
        .special_tokens(special.to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, texts).map_err(error)?;
    Ok(serde_json::from_slice(&serde_json::to_vec(&tokenizer)?)?)
}
