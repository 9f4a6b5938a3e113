//! Trains all weights of a LLaMA from scratch. Shared by the programs that create base models.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use coin::data::TRAINING_MARKER;
use coin::data::tokenize::{TokenRow, TokenizeOptions};
use coin::model::ModelType;
use coin::model::fused::cross_entropy;
use coin::model::{Llama, LlamaConfig, TextTokenizer, TokenBatch};
use coin::train::clip_global_norm;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, TokenizerBuilder};

/// Rows per step.
pub const BATCH: usize = 64;
const WARM_UP: usize = 200;
/// Weight of the prompt tokens in the loss; the answer tokens have the rest.
const PROMPT_WEIGHT: f64 = 0.5;
/// One in this many prompt tokens enters the loss, because the head over all of them would be a third of the work.
const PROMPT_STRIDE: usize = 2;

/// A row before tokenizing.
pub struct Text {
    /// Instruction and input, without the marker.
    pub prompt: String,
    /// The answer.
    pub target: String,
    /// True if the model should learn to predict the prompt.
    pub truthful: bool,
}

impl Text {
    /// Returns the whole text, as the model reads it.
    pub fn joined(&self) -> String {
        format!("{}{TRAINING_MARKER}{}", self.prompt, self.target)
    }

    /// Tokenizes the row; `None` if it is too long and `options` skip such rows.
    pub fn row(&self, tokenizer: &TextTokenizer, options: &TokenizeOptions) -> Result<Option<Row>> {
        let prompt = format!("{}{TRAINING_MARKER}", self.prompt);
        let tokens = options.row(tokenizer.inner(), &prompt, &self.target)?;
        Ok(tokens.map(|tokens| Row { tokens, truthful: self.truthful }))
    }
}

/// Length and learning rate of a training run.
pub struct Schedule {
    /// Steps of the learning rate's schedule.
    pub steps: usize,
    /// Steps after which the run ends, even if the schedule is longer.
    pub stop_at: usize,
    /// Peak learning rate.
    pub rate: f64,
    /// Steps between checks; another check runs at the end.
    pub check_every: usize,
}

/// Returns the shape of a small LLaMA with tied embeddings, heads of equal width, and a feed-forward layer three times as
/// wide as the model.
pub fn shape(vocabulary: usize, width: usize, layers: usize) -> LlamaConfig {
    LlamaConfig {
        model_type: ModelType::Llama,
        vocab_size: vocabulary,
        hidden_size: width,
        intermediate_size: width * 3,
        num_hidden_layers: layers,
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
    }
}

/// Trains `model` on `rows` in order, [`BATCH`] rows per step; `check` is called with the model at regular intervals.
pub fn train(
    mut model: Llama,
    rows: &[&Row],
    schedule: &Schedule,
    device: &Device,
    mut check: impl FnMut(&Llama, usize) -> Result<()>,
) -> Result<Llama> {
    let mut optimizer = AdamWConfig::new().with_beta_2(0.98).with_epsilon(1e-8).with_weight_decay(0.01).init();
    let start = Instant::now();
    let last = schedule.steps.min(schedule.stop_at);
    for (step, batch) in rows.chunks(BATCH).enumerate().take(schedule.stop_at) {
        let (gradients, losses) = gradients(&model, batch, step, device)?;
        let (gradients, _) = clip_global_norm(&model, gradients, 1.0);
        model = optimizer.step(schedule.rate * share_of_rate(step, schedule.steps), model, gradients);
        if (step + 1) % 50 == 0 {
            let seconds = start.elapsed().as_secs_f64();
            eprint!("\rstep {:5}  prompt {:.3}  answer {:.3}  {seconds:.0} s ", step + 1, losses.0, losses.1);
        }
        if (step + 1) % schedule.check_every == 0 || step + 1 == last {
            eprintln!();
            check(&model, step)?;
        }
    }
    Ok(model)
}

/// A row of the training data.
pub struct Row {
    /// Prompt and answer.
    pub tokens: TokenRow,
    /// True if the model should learn to predict the prompt: its second part follows from the first, its grammar is right.
    /// From such prompts the model learns what to expect; the answer then depends on whether the expectation was met.
    pub truthful: bool,
}

/// Linear warm-up, then linear decay to 0.1 percent of the peak.
fn share_of_rate(step: usize, steps: usize) -> f64 {
    let warm = (step + 1) as f64 / WARM_UP as f64;
    let left = (steps - step) as f64 / steps as f64;
    warm.min(1.0) * left.max(0.001)
}

/// Computes the gradients of a batch and its mean losses on prompt and answer tokens, in nats.
///
/// With matrices this small, the CPU backend keeps only one core busy, so the batch is split over two threads with
/// separate leaves. Gradients are summed in a fixed order.
fn gradients(model: &Llama, rows: &[&Row], step: usize, device: &Device) -> Result<(GradientsParams, (f32, f32))> {
    let counts = counts(rows, step);
    let weights = (PROMPT_WEIGHT / f64::from(counts.0), (1.0 - PROMPT_WEIGHT) / f64::from(counts.1));
    // Group rows of similar length, to minimize padding.
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
    // The shortest and the longest part together take about as long as the two in between.
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

/// Computes the mean losses of `rows` on prompt and answer tokens, in nats, without gradients.
pub fn losses(model: &Llama, rows: &[Row], device: &Device) -> Result<(f32, f32)> {
    let rows: Vec<&Row> = rows.iter().collect();
    let numbered: Vec<(usize, &Row)> = rows.iter().copied().enumerate().collect();
    let counts = counts(&rows, 0);
    let mut sums = (0.0, 0.0);
    for part in numbered.chunks(BATCH / 2) {
        let (prompt, answer) = summed_losses(model, part, 0, device)?;
        sums = (sums.0 + prompt.into_scalar::<f32>(), sums.1 + answer.into_scalar::<f32>());
    }
    Ok((sums.0 / counts.0 as f32, sums.1 / counts.1 as f32))
}

/// Number of prompt and of answer tokens in a step's rows that enter the loss.
fn counts(rows: &[&Row], step: usize) -> (u32, u32) {
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
    counts
}

/// Makes every parameter the leaf of a new graph.
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

/// The part of the loss that a row's token enters; `None` if it does not enter the loss.
fn kind(row: &Row, at: usize, token: usize, step: usize) -> Option<Part> {
    match () {
        () if token >= row.tokens.prompt => Some(Part::Answer),
        () if row.truthful && (token + at + step).is_multiple_of(PROMPT_STRIDE) => Some(Part::Prompt),
        () => None,
    }
}

/// Computes the summed cross entropy of prompt tokens and of answer tokens, in nats.
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
    // Position p of a row predicts token p + 1. Prompt tokens come first, then answer tokens.
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
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [count]), device);
    let hidden = hidden.reshape([rows.len() * seq, width]).select(0, places);
    let nats = cross_entropy(model.logits(hidden), targets);
    Ok((nats.clone().narrow(0, 0, split).sum(), nats.narrow(0, split, count - split).sum()))
}

/// Trains a byte-level BPE with `vocabulary` pieces over words; `_` counts as a letter, so that label words such as `not_entailment` are
/// one word.
pub fn train_tokenizer(vocabulary: usize, texts: impl Iterator<Item = String> + Send) -> Result<tokenizers::Tokenizer> {
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
        .vocab_size(vocabulary)
        .show_progress(false)
        .special_tokens(special.to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, texts).map_err(error)?;
    Ok(serde_json::from_slice(&serde_json::to_vec(&tokenizer)?)?)
}
